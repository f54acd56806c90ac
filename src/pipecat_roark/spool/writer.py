"""The writer: it keeps a call in the spool while the call runs.

A thread of its own writes, so that the call never waits for the disk. If the disk has no room for a
chunk, that chunk is not kept and everything else is. If the disk fails or is too slow, the rest of
this call is delivered without the spool. In both cases one warning is logged.
"""

from __future__ import annotations

import asyncio
import errno
import time
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING

from loguru import logger

from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.moments import SPEAKERS
from pipecat_roark.receipt import Cause
from pipecat_roark.spool import journal
from pipecat_roark.spool.alarm import Alarm
from pipecat_roark.spool.draft import Draft
from pipecat_roark.spool.folder import SpooledCall
from pipecat_roark.spool.lock import NoLocksError
from pipecat_roark.spool.tail import Tail
from pipecat_roark.spool.thread import Thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipecat_roark.moments import Speaker
    from pipecat_roark.wire import CallEnded

MAX_BACKLOG = 64
"""Writes that may wait for the disk."""
NOTE_SECS = 0.75
"""How often the tail of the recording is written: a kill costs less than a second of it."""
DRAFT_SECS = 0.05
"""How long after something has finished a draft of `call-ended` is made that has it."""
GROWN_SECS = 2.0
"""How often one is made while a turn only goes on."""
DRAFT_SHARE = 0.1
"""Largest share of the event loop's time for drafts; the draft of a long call takes longer."""
DISK_SECS = 2.0
"""How long a request waits for the disk. After that it is sent without the spool."""
_PASSES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
"""Errors of a machine that has no room at the moment; they say nothing about the disk."""
_PATIENCE_SECS = 0.75 * DISK_SECS
"""How long a write that met such an error is tried again."""
_UNREADABLE = Cause("sent as silence: it can't be read from the spool", "spool-unreadable")
_PAUSE_SECS = 0.05
"""How long the thread waits before it tries again."""


class SpoolWriter:
    """Writes one call. It creates the folder with the first thing that it keeps.

    Args:
        spool_dir: The spool.
        pipecat_call_id: The call.
        owner: The fingerprint of its API key and base URL.
        call: Its folder, if there is one already.
    """

    silenced: Cause | None = _UNREADABLE

    def __init__(
        self,
        spool_dir: Path,
        pipecat_call_id: str,
        *,
        owner: str,
        call: SpooledCall | None = None,
    ) -> None:
        self.spool_dir = spool_dir
        self.healthy = True
        """Whether everything is on disk, or on its way."""
        self._pipecat_call_id = pipecat_call_id
        self._owner = owner
        self._call = call
        self._thread = Thread("roark-spool")
        self._changed = Alarm()
        self._grown = True
        self._follows = False
        """Whether something is written every `NOTE_SECS`."""
        self._draft = Draft()
        self._tail = Tail()
        self._kept_bytes = 0
        self._unkept: set[int] = set()
        self._warned_of_room = False

    @property
    def unkept(self) -> int:
        """How many chunks have neither arrived nor found room on the disk."""
        return len(self._unkept)

    def note_change(self, *, growing: bool = False) -> None:
        """Have the draft made anew, at once or in a while."""
        self._grown = True
        if not growing:
            self._changed.ring()

    def keep_event(self, name: str, event: bytes) -> None:
        """Keep an event that is about to be sent."""
        self._append(journal.event(name, event))

    def keep_chunk(self, index: int, pcm: bytes) -> None:
        """Keep a chunk that is about to be sent."""

        def keep(call: SpooledCall) -> None:
            try:
                call.write_chunk(index, pcm)
            except OSError as error:
                if error.errno in _PASSES:
                    raise
                self._unkept.add(index)
                call.note_absence(index, len(pcm))
                self._warn_of_room(error)

        # The thread would compete with the event loop for the interpreter, just when that has most
        # to do. Whoever sends the chunk wakes it, and so does the next note of the tail.
        self._write(keep, wakes=not self._follows)
        self._kept_bytes += len(pcm)
        self._tail = Tail(index + 1)
        if index == 0:  # the draft must mention the recording
            self.note_change()

    def drop(self, key: str | int) -> None:
        """Forget an event or a chunk that arrived, or never can."""

        def drop(call: SpooledCall) -> None:
            call.append(journal.line(datetime.now(timezone.utc), arrived=key))
            if isinstance(key, int):
                self._unkept.discard(key)
                call.remove_chunk(key)

        self._write(drop)

    async def flushed(self) -> bool:
        """Wait until everything is on disk. Return whether it is."""
        if not await self._thread.caught_up(DISK_SECS):
            self._give_up("the disk doesn't answer")
        return self.healthy

    async def read_chunk(self, index: int) -> bytes | None:
        """Return a chunk, or None if it can't be read."""
        try:
            return await asyncio.to_thread(self._folder().read_chunk, index)
        except OSError:
            return None

    async def follow(
        self, draft: Callable[[bool], CallEnded], tail: Callable[[Tail, Speaker], Tail]
    ) -> None:
        """Keep the end of the call as it would be now, until it is cancelled.

        Args:
            draft: Returns `call-ended` as of now, given whether there is any audio. It is called
                after something changed.
            tail: Returns the tail with the channel of a speaker as of now, given the one before.
        """
        self._follows = True
        try:
            await self._follow(draft, tail)
        finally:
            self._follows = False

    async def _follow(
        self, draft: Callable[[bool], CallEnded], tail: Callable[[Tail, Speaker], Tail]
    ) -> None:
        guard, clock = ErrorBoundary("spool"), asyncio.get_running_loop().time
        note_due = rested_at = grown_due = clock()
        while self.healthy:
            now = clock()
            notes = now >= note_due
            drafts = self._changed.rung or (self._grown and now >= grown_due)
            if notes:
                note_due = now + NOTE_SECS
                for speaker in SPEAKERS:
                    with guard:
                        self._note_tail(tail(self._tail, speaker))
                    await asyncio.sleep(0)  # small pieces of work hold up the event loop less
            entries: list[dict[str, object]] = []
            with guard:
                if drafts:
                    self._changed.reset()
                    self._grown = False
                    began = time.thread_time()
                    self._draft.replace(draft(self._audio_bytes > 0))
                    busy_secs = (time.thread_time() - began) / DRAFT_SHARE
                    rested_at, grown_due = now + busy_secs, now + GROWN_SECS
                if drafts or (notes and self._draft.short):
                    entries = self._draft.changes(self._audio_bytes)
            self._append(*(entries or [{}]))  # in any case, the call is alive
            await self._changed.wait(note_due)
            if self._changed.rung:  # what happens at the same time makes one draft
                await asyncio.sleep(max(DRAFT_SECS, rested_at - clock()))

    async def close(self, *, done: bool) -> None:
        """Release the call; with `done`, remove it from the disk."""
        self._thread.submit(self._work, lambda call: call.release(done=done), always=True)
        await self.flushed()
        self._thread.stop()

    @property
    def _audio_bytes(self) -> int:
        """How much of the recording is on disk, or on its way."""
        return self._kept_bytes + self._tail.size

    def _note_tail(self, tail: Tail) -> None:
        if tail.size and not self._audio_bytes:
            self.note_change()  # the draft must mention the recording
        self._tail, records = tail.written(), tail.records(self._tail)

        def write(call: SpooledCall) -> None:
            try:
                call.write_tail(tail.chunk, records)
            except OSError as error:
                self._tail = Tail(tail.chunk)  # the next one is written whole
                self._warn_of_room(error)

        if records:
            self._write(write, wakes=False)

    def _append(self, *entries: dict[str, object]) -> None:
        now = datetime.now(timezone.utc)
        lines = b"".join(journal.line(now, **entry) for entry in entries)
        self._write(lambda call: call.append(lines))

    def _write(self, work: Callable[[SpooledCall], None], *, wakes: bool = True) -> None:
        if self._thread.behind > MAX_BACKLOG:
            self._give_up("the disk can't keep up")
        if self.healthy:
            (self._thread.submit if wakes else self._thread.put)(self._work, work)

    def _work(self, work: Callable[[SpooledCall], None], *, always: bool = False) -> None:
        until = time.monotonic() + _PATIENCE_SECS
        while self.healthy or always:
            try:
                work(self._folder())
            except NoLocksError as error:
                self.healthy = False
                _warn_without_locks(self.spool_dir, _why(error))
            except OSError as error:
                if error.errno in _PASSES and time.monotonic() < until:
                    time.sleep(_PAUSE_SECS)
                    continue
                self._give_up(_why(error))
            return

    def _folder(self) -> SpooledCall:
        if self._call is None:
            self._call = SpooledCall.create(self.spool_dir, self._pipecat_call_id, self._owner)
        return self._call

    def _warn_of_room(self, error: OSError) -> None:
        if not self._warned_of_room:
            self._warned_of_room = True
            logger.warning(
                f"Audio of call {self._pipecat_call_id} finds no room in the spool: {_why(error)}. "
                "What Roark doesn't take of it in time will be lost."
            )

    def _give_up(self, why: str) -> None:
        if self.healthy:
            self.healthy = False
            logger.warning(
                f"Call {self._pipecat_call_id} is not kept in the spool {self.spool_dir} any more: "
                f"{why}. What Roark doesn't take in time will be lost."
            )


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


@cache  # once in a process: it is the same for all calls
def _warn_without_locks(spool_dir: Path, why: str) -> None:
    logger.warning(
        f"No call is kept in the spool {spool_dir}: {why}. What Roark doesn't take in time is lost."
    )
