"""Delivers the calls that a deadline or a crash left in a spool."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loguru import logger

from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.spool.folder import SpooledCall, waiting
from pipecat_roark.spool.journal import UnreadableJournalError
from pipecat_roark.spool.writer import SpoolWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipecat_roark.receipt import Receipt
    from pipecat_roark.spool.journal import Journal

    _Taken = tuple[SpooledCall, Journal, dict[int, int]]

DEADLINE_SECS = 60.0
"""For each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of one call in the spool.

    Attributes:
        number: Its place in the spool, from 1.
        of: How many calls there were.
        folder: Name of its folder.
        pipecat_call_id: The call; None if its journal can't be read.
        receipt: Of its delivery; None if it was not delivered, because it is another process's
            at this moment or can't be read.
        problem: Why it can't be read.
    """

    number: int
    of: int
    folder: str
    pipecat_call_id: str | None = None
    receipt: Receipt | None = None
    problem: str = ""


async def recover(
    spool_dir: Path, url: str, api_key: str, *, deadline_secs: float | None = None
) -> AsyncIterator[Recovered]:
    """Deliver the calls of a spool, the oldest first.

    Args:
        spool_dir: The spool.
        url: Roark's base URL.
        api_key: The key.
        deadline_secs: Bound on each call.

    Yields:
        What became of each call.
    """
    folders = await asyncio.to_thread(waiting, spool_dir)
    for number, folder in enumerate(folders, 1):
        found = Recovered(number=number, of=len(folders), folder=folder.name)
        try:
            taken = await _taken(folder)
        except FileNotFoundError:  # somebody has just delivered it
            continue
        except (OSError, UnreadableJournalError) as error:
            why = getattr(error, "strerror", None) or str(error)
            logger.warning(f"A call in the spool can't be read and stays there ({folder}): {why}.")
            yield replace(found, problem=why)
            continue
        if taken is None:
            yield found
            continue
        call, left, chunks = taken
        call_id = left.pipecat_call_id
        delivery = Delivery(
            RoarkClient(url, api_key, call_id),
            label=call_id,
            deadline_secs=DEADLINE_SECS if deadline_secs is None else deadline_secs,
            spool=SpoolWriter(spool_dir, call_id, call),
        )
        delivery.resume(None if "call-started" in left.arrived else left.started, chunks)
        await delivery.finish(left.ended)
        yield replace(found, pipecat_call_id=call_id, receipt=delivery.receipt)


async def deliver_left(spool_dir: Path, url: str, api_key: str) -> None:
    """Deliver what earlier calls left in a spool, unless Roark turns out to be away."""
    async for recovered in recover(spool_dir, url, api_key):
        if recovered.receipt is not None and recovered.receipt.spooled:
            return


async def _taken(folder: Path) -> _Taken | None:
    """Take over a call in a thread; who is cancelled meanwhile leaves it to others."""
    taking = asyncio.ensure_future(asyncio.to_thread(_take, folder))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        with suppress(OSError, UnreadableJournalError):
            if taken := await taking:
                taken[0].release(done=False)
        raise


def _take(folder: Path) -> _Taken | None:
    """Take over a call, if nobody delivers it."""
    call = SpooledCall.take(folder)
    if call is None:
        return None
    try:
        left = call.read()
        call.append(b"\n")  # so that a line which was cut short spoils no other
        if left.recorded and not left.finished:
            call.adopt_tail()
        chunks = left.absent | call.chunks()
        return call, left, {index: chunks[index] for index in chunks.keys() - left.arrived}
    except BaseException:
        call.release(done=False)
        raise
