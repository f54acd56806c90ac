"""The calls that have come to a local Roark, and the problems found in their requests."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loguru import logger

from pipecat_roark.local import requestlog
from pipecat_roark.local.contract import CALL_ENDED, CALL_STARTED
from pipecat_roark.local.sequence import RequestSequence
from pipecat_roark.local.store import (
    StoredCall,
    folder_name,
    join_recording,
    read_call,
    remove_call,
    save_call,
    save_chunk,
)
from pipecat_roark.local.verdict import judge
from pipecat_roark.local.waveform import Waveforms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path
    from typing import Any

    from pipecat_roark.local.requestlog import LoggedRequest

MOST_PROBLEMS = 1000
"""Further ones of a call are neither kept nor logged."""


@dataclass(slots=True)
class _LockedCall:
    """A call with its requests; only the holder of the lock changes it."""

    call: StoredCall
    sequence: RequestSequence = field(default_factory=RequestSequence)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_open: bool = False
    """Whether its folder was looked into: it may hold the call's beginning, of an earlier run."""
    requests: int = 0


class Register:
    """Keeps every call that comes to one server.

    A request is only given to the register if it is well-formed. Requests of one call may come at
    the same time: they are handled one after the other, and each of them ends by writing the
    call's `call.json`. A call that an earlier run knows goes on, unless it begins anew: then the
    old one is replaced.

    Args:
        folder: Where each call gets a folder of its own.
        on_change: Called with a call's folder when the call has changed.
    """

    def __init__(self, folder: Path, on_change: Callable[[Path], None]) -> None:
        self.problems: tuple[str, ...] = ()
        """What was wrong with requests that belong to no call."""
        self.waveforms = Waveforms()
        self._folder = folder
        self._on_change = on_change
        self._calls: dict[str, _LockedCall] = {}
        self._finalized: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def calls(self) -> dict[str, StoredCall]:
        """Return each call of this run by its id."""
        # The list is made at once: other threads ask, too, while calls come.
        return {call_id: locked.call for call_id, locked in list(self._calls.items())}

    async def add_event(
        self, body: dict[str, Any], raw: bytes, request: LoggedRequest, *, has_odd_key: bool
    ) -> StoredCall | None:
        """Add a lifecycle event to its call.

        Args:
            body: The event.
            raw: The bytes that the event was sent in.
            request: The same for the log.
            has_odd_key: Whether the key that it came with doesn't look like one.

        Returns:
            The call, if the event came for the first time.
        """
        kind = body["event"]
        started = body if kind == CALL_STARTED else None
        async with self._lock(body["pipecatCallId"], request, started) as locked:
            is_first, problems = locked.sequence.add_event(kind, raw)
            self._note(problems, locked.call)
            locked.call.has_odd_key |= has_odd_key
            if not is_first:
                return None
            if kind == CALL_ENDED:
                await self._finalize(locked, body)
            # Last, for whoever reads `call.ended` instead of waiting for the end.
            locked.call.events[kind] = body
            return locked.call

    async def add_url_request(self, call_id: str, index: int, request: LoggedRequest) -> None:
        """Add a request for the upload URL of a chunk."""
        async with self._lock(call_id, request) as locked:
            self._note(locked.sequence.add_url_request(index), locked.call)

    async def add_chunk(
        self, call_id: str, index: int, data: bytes, request: LoggedRequest
    ) -> None:
        """Add the audio of a chunk."""
        async with self._lock(call_id, request) as locked:
            is_first, problems = locked.sequence.add_chunk(index, data)
            self._note(problems, locked.call)
            if not is_first:
                return
            path = await asyncio.to_thread(save_chunk, locked.call, index, data)
            if locked.call.ended is None:
                await asyncio.to_thread(self.waveforms.add, path, data)
            locked.call.chunks[index] = path

    async def add_problems(
        self, problems: Iterable[str], call_id: object = None, request: LoggedRequest | None = None
    ) -> None:
        """Add what was wrong with a request, to its call if the id is usable."""
        if isinstance(call_id, str) and call_id.strip():
            async with self._lock(call_id, request) as locked:
                self._note(problems, locked.call)
        else:
            self._note(problems)

    async def wait_for_end(self, call_id: str, timeout: float) -> StoredCall:
        """Wait until a call has ended and its recording is joined.

        Raises:
            TimeoutError: The call has not ended in time. The text lists the problems so far.
        """
        try:
            await asyncio.wait_for(self._finalized[call_id].wait(), timeout)
        except asyncio.TimeoutError:
            locked = self._calls.get(call_id)
            problems = (locked.call.problems if locked else ()) + self.problems
            raise TimeoutError(
                f"call {call_id!r} has not ended within {timeout} s; "
                f"problems: {'; '.join(problems) or 'none'}"
            ) from None
        return self._calls[call_id].call

    async def _finalize(self, locked: _LockedCall, ended: dict[str, Any]) -> None:
        """Judge a call that has ended, and join its recording."""
        call, verdict = locked.call, list(judge(ended, locked.sequence))
        self._note([finding.sentence for finding in verdict if not finding.is_right], call)
        call.verified = tuple(finding.sentence for finding in verdict if finding.is_right)
        if call.chunks and "recordingSampleRate" in ended:
            rate, channels = ended["recordingSampleRate"], ended["recordingNumChannels"]
            await asyncio.to_thread(self.waveforms.save, call, rate, channels)
            call.recording = await asyncio.to_thread(join_recording, call, rate, channels)

    @asynccontextmanager
    async def _lock(
        self,
        call_id: str,
        request: LoggedRequest | None,
        started: dict[str, Any] | None = None,
    ) -> AsyncIterator[_LockedCall]:
        """Lock a call, which a first request creates, and write its call.json before unlocking."""
        locked = self._calls.get(call_id)
        if locked is None:
            locked = _LockedCall(StoredCall(call_id, self._folder / folder_name(call_id)))
            self._calls[call_id] = locked
        async with locked.lock:
            if not locked.is_open:
                await asyncio.to_thread(_take_up, locked, started)
            locked.requests += 1
            if request is not None and locked.requests <= requestlog.MOST_REQUESTS:
                await asyncio.to_thread(requestlog.append, locked.call.folder, request)
            yield locked
            await asyncio.to_thread(save_call, locked.call)
            if locked.call.ended is not None:
                self._finalized[call_id].set()
        self._on_change(locked.call.folder)

    def _note(self, problems: Iterable[str], call: StoredCall | None = None) -> None:
        for problem in problems:
            if call is None:
                self.problems = (*self.problems, problem)[:MOST_PROBLEMS]
                logger.warning("Local Roark: {}", problem)
            elif len(call.problems) < MOST_PROBLEMS:
                call.problems += (problem,)
                logger.warning("Local Roark, call {!r}: {}", call.call_id, problem)


def _take_up(locked: _LockedCall, started: dict[str, Any] | None) -> None:
    """Go on with what an earlier run stored of a call, or remove it if the call begins anew.

    Args:
        locked: The call.
        started: The call-started that comes now, if it is one.
    """
    locked.is_open = True
    call = locked.call
    earlier = read_call(call.folder)
    if earlier is None or earlier.call_id != call.call_id:
        remove_call(call.folder)
        return
    if started is not None and earlier.started not in (None, started):
        remove_call(call.folder)
        return
    call.events, call.chunks, call.recording = earlier.events, earlier.chunks, earlier.recording
    call.problems, call.verified = earlier.problems, earlier.verified
    call.has_odd_key = earlier.has_odd_key
    for index, path in call.chunks.items():
        locked.sequence.add_url_request(index)
        locked.sequence.add_chunk(index, path.read_bytes())
    for kind, raw in requestlog.accepted_events(call.folder):
        locked.sequence.add_event(kind, raw)
