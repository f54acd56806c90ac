"""The recovery: it delivers the calls that a deadline or a crash left in a spool."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loguru import logger

from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import CHUNK_BYTES, ENDED, Delivery
from pipecat_roark.spool.folder import (
    SpooledCall,
    age_secs,
    owner_of,
    remove,
    remove_remains,
    waiting,
)
from pipecat_roark.spool.journal import UnreadableJournalError
from pipecat_roark.spool.owner import fingerprint
from pipecat_roark.spool.writer import SpoolWriter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from pipecat_roark.receipt import Receipt
    from pipecat_roark.spool.journal import Journal

AT_ONCE = 4
"""How many calls are delivered at the same time."""
AT_ONCE_BESIDE_A_CALL = 2
"""How many, while a call runs that needs the network more."""
REPORT_SECS = 10.0
"""How often the log tells how far a long delivery is."""
TAKE_OVER_SECS = 5.0
"""How often a call looks whether the one that delivers the spool of this process has ended."""
DEADLINE_SECS = 60.0
"""Bound on the delivery of each call, in seconds."""
_under_way: set[tuple[Path, str]] = set()
"""The spools that a call of this process delivers now, each with the fingerprint of its owner."""


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


class Recovery:
    """Delivers the calls of a spool, the oldest first; when one is done, several at a time.

    A call is delivered with the API key and base URL that it was captured for. Calls of others, and
    calls of release 0.3.0, which did not note the key, stay where they are.

    Args:
        spool_dir: The spool.
        url: Roark's base URL.
        api_key: The key.
        any_key: Whether to deliver all calls, whatever they were captured for.
        deadline_secs: Bound on each call.
        at_once: How many calls at the same time.
    """

    def __init__(  # noqa: PLR0913  # keyword-only, each with a default
        self,
        spool_dir: Path,
        url: str,
        api_key: str,
        *,
        any_key: bool = False,
        deadline_secs: float | None = None,
        at_once: int = AT_ONCE,
    ) -> None:
        self.others = 0
        """How many calls wait for another key or base URL; known when the delivery has begun."""
        self.unreadable: set[str] = set()
        """The folders of calls that could not be read when they were tried last."""
        self.spool_dir = spool_dir
        self._url = url
        self._api_key = api_key
        self._owner = fingerprint(api_key, url)
        self._any_key = any_key
        self._deadline_secs = DEADLINE_SECS if deadline_secs is None else deadline_secs
        self._at_once = at_once

    async def deliver(
        self, enough: Callable[[], bool] = lambda: False
    ) -> AsyncGenerator[Recovered, None]:
        """Deliver the calls.

        Args:
            enough: Returns whether no other call is to be begun.

        Yields:
            What became of each call, as soon as it is known.
        """
        folders = await asyncio.to_thread(self.find)
        todo = [
            Recovered(number=number, of=len(folders), folder=folder.name)
            for number, folder in enumerate(folders, 1)
        ]
        todo.reverse()
        running: set[asyncio.Task[Recovered | None]] = set()
        width = 1  # until one is done: if Roark is away, there is no need to try many
        try:
            while running or (todo and not enough()):
                while todo and len(running) < width and not enough():
                    running.add(asyncio.create_task(self._deliver(todo.pop())))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                width = self._at_once
                for task in done:
                    if (recovered := task.result()) is not None:
                        yield recovered
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    def find(self) -> list[Path]:
        """Return the folders of the calls to deliver, the oldest first."""
        remove_remains(self.spool_dir)
        folders = waiting(self.spool_dir)
        if self._any_key:
            return folders
        # One that can't be read is tried, so that somebody reports why.
        own = [folder for folder in folders if owner_of(folder) in {None, self._owner}]
        self.others = len(folders) - len(own)
        return own

    def drop(self, older_than_secs: float) -> tuple[int, int]:
        """Remove calls that began long ago, unless somebody holds them or they can't be read.

        Returns:
            How many, and how many bytes of audio were in them.
        """
        calls = size = 0
        for folder in self.find():
            age = age_secs(folder)
            if age is not None and age > older_than_secs:
                with suppress(OSError, UnreadableJournalError):
                    if (dropped := remove(folder)) is not None:
                        calls, size = calls + 1, size + dropped
        return calls, size

    async def _deliver(self, found: Recovered) -> Recovered | None:
        """Deliver one call. Return None if all of it has arrived already."""
        folder = self.spool_dir / found.folder
        try:
            claim = await _claim_in_thread(folder)
        except FileNotFoundError:  # another process has just delivered it
            self.unreadable.discard(found.folder)
            return None
        except (OSError, UnreadableJournalError) as error:
            why = getattr(error, "strerror", None) or str(error)
            if found.folder not in self.unreadable:
                self.unreadable.add(found.folder)
                logger.warning(
                    f"A call in the spool can't be read and stays there ({folder}): {why}."
                )
            return replace(found, problem=why)
        self.unreadable.discard(found.folder)
        if claim is None:
            return found
        if ENDED in claim.journal.arrived:  # the last of all; the process died right after it
            await asyncio.to_thread(claim.call.release, done=True)
            return None
        call_id = claim.journal.pipecat_call_id
        delivery = Delivery(
            RoarkClient(self._url, self._api_key, call_id),
            label=call_id,
            deadline_secs=self._deadline_secs,
            spool=SpoolWriter(self.spool_dir, call_id, owner=self._owner, call=claim.call),
        )
        delivery.resume(claim.events, claim.chunks)
        await delivery.finish(claim.journal.ended)
        return replace(found, pipecat_call_id=call_id, receipt=delivery.receipt)


async def deliver_left(spool_dir: Path, url: str, api_key: str) -> None:
    """Deliver what earlier calls left in a spool, until Roark doesn't take one of them.

    It goes on beside a call that runs, so it does little at a time. The log tells how far it is.
    Of many calls in a process, one does it; another goes on if that one ends.
    """
    spool = spool_dir, fingerprint(api_key, url)
    while spool in _under_way:  # noqa: ASYNC110  # perhaps by a call of another event loop
        await asyncio.sleep(TAKE_OVER_SECS)
    _under_way.add(spool)
    try:
        await _deliver_left(Recovery(spool_dir, url, api_key, at_once=AT_ONCE_BESIDE_A_CALL))
    finally:
        _under_way.discard(spool)


async def _deliver_left(recovery: Recovery) -> None:
    clock = asyncio.get_running_loop().time
    report_due = clock() + REPORT_SECS
    done, spool_dir = 0, recovery.spool_dir
    async with aclosing(recovery.deliver()) as calls:
        async for call in calls:
            done += 1
            if clock() >= report_due:
                report_due = clock() + REPORT_SECS
                logger.info(f"{done} of {call.of} calls in the spool {spool_dir} are dealt with.")
            if call.receipt is not None and is_away(call.receipt):
                break
    if recovery.others:
        logger.info(
            f"{recovery.others} calls in the spool {spool_dir} wait for another API key or base "
            "URL. The command `pipecat-roark deliver` can deliver them."
        )


def is_away(receipt: Receipt) -> bool:
    """Return whether Roark takes nothing at the moment, so that other calls needn't be tried."""
    reasons = {gap.reason for gap in receipt.spooled}
    return bool(reasons & {"unavailable", "key-refused"}) or reasons == {"no-time"}


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
            call.adopt_tail(CHUNK_BYTES)
        events = {
            name: event for name, event in journal.events.items() if name not in journal.arrived
        }
        sizes = journal.absent | call.chunks()
        chunks = {index: sizes[index] for index in sizes.keys() - journal.arrived}
        return _Claim(call, journal, events, chunks)
    except BaseException:
        call.release(done=False)
        raise
