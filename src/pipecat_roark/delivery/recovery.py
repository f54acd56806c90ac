"""The recovery: it delivers the calls that a deadline or a crash left in a spool."""

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


DEADLINE_SECS = 60.0
"""Bound on the delivery of each call, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of one call in the spool.

    Attributes:
        number: Its place in the spool, from 1.
        of: How many calls there were.
        folder: Name of its folder.
        pipecat_call_id: The call; None if nothing of it was sent.
        receipt: The receipt of its delivery; None if nothing was sent, because another process
            delivers the call or its journal can't be read.
        problem: Why its journal can't be read.
    """

    number: int
    of: int
    folder: str
    pipecat_call_id: str | None = None
    receipt: Receipt | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A call that this process has locked, and what of it must be sent.

    Attributes:
        call: Its folder.
        journal: Its journal.
        events: The events that have not arrived, by name; without `call-ended`.
        chunks: The size of each chunk that has not arrived, by index.
    """

    call: SpooledCall
    journal: Journal
    events: dict[str, bytes]
    chunks: dict[int, int]


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
            claim = await _claim_in_thread(folder)
        except FileNotFoundError:  # another process has just delivered it
            continue
        except (OSError, UnreadableJournalError) as error:
            why = getattr(error, "strerror", None) or str(error)
            logger.warning(f"A call in the spool can't be read and stays there ({folder}): {why}.")
            yield replace(found, problem=why)
            continue
        if claim is None:
            yield found
            continue
        call_id = claim.journal.pipecat_call_id
        delivery = Delivery(
            RoarkClient(url, api_key, call_id),
            label=call_id,
            deadline_secs=DEADLINE_SECS if deadline_secs is None else deadline_secs,
            spool=SpoolWriter(spool_dir, call_id, claim.call),
        )
        delivery.resume(claim.events, claim.chunks)
        await delivery.finish(claim.journal.ended)
        yield replace(found, pipecat_call_id=call_id, receipt=delivery.receipt)


async def deliver_left(spool_dir: Path, url: str, api_key: str) -> None:
    """Deliver what earlier calls left in a spool, until one of them can't be delivered."""
    async for recovered in recover(spool_dir, url, api_key):
        if recovered.receipt is not None and recovered.receipt.spooled:
            return


async def _claim_in_thread(folder: Path) -> _Claim | None:
    """Claim a call in a thread. If this is cancelled meanwhile, the call is released again."""
    claiming = asyncio.ensure_future(asyncio.to_thread(_claim, folder))
    try:
        return await asyncio.shield(claiming)
    except asyncio.CancelledError:
        with suppress(OSError, UnreadableJournalError):
            if claim := await claiming:
                claim.call.release(done=False)
        raise


def _claim(folder: Path) -> _Claim | None:
    """Lock a call and find out what of it must be sent. Return None if it is locked already."""
    call = SpooledCall.lock(folder)
    if call is None:
        return None
    try:
        journal = call.read()
        call.append(b"\n")  # so that the next line is not appended to one that was cut short
        if journal.recorded and not journal.finished:
            call.adopt_tail()
        events = {
            name: event for name, event in journal.events.items() if name not in journal.arrived
        }
        sizes = journal.absent | call.chunks()
        chunks = {index: sizes[index] for index in sizes.keys() - journal.arrived}
        return _Claim(call, journal, events, chunks)
    except BaseException:
        call.release(done=False)
        raise
