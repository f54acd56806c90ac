"""A call that is discarded, and not delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from pipecat_roark.delivery.delivery import CHUNK_BYTES, ENDED, STARTED
from pipecat_roark.receipt import CHUNK, Cause, Ledger

if TYPE_CHECKING:
    from pipecat_roark.receipt import Receipt


def discarded(label: str, audio_bytes: int, cause: Cause) -> Receipt:
    """Log that a call was discarded, of which nothing was sent; return its receipt.

    Args:
        label: Names the call in the log.
        audio_bytes: How much audio it had.
        cause: Why it was discarded.
    """
    ledger = Ledger()
    chunks = -(-audio_bytes // CHUNK_BYTES)
    for what in (STARTED, *[CHUNK] * chunks, ENDED):
        ledger.captured(what)
        ledger.lost(what, cause)
    ledger.close(0.0)
    logger.info(f"Call {label} was discarded: {cause.why}. Nothing of it was sent.")
    return ledger.receipt()
