"""Keeps a call in the spool while it runs, by a thread of its own and never in the call's way.

Audio that finds no room on the disk is not kept, and the rest is. A disk that fails or can't keep
up costs the spool of this call: it is delivered as if there were none. Either is said once.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from loguru import logger

from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.spool import journal
from pipecat_roark.spool.folder import SpooledCall
from pipecat_roark.wire import CallEnded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipecat_roark.receipt import Item

MAX_BACKLOG = 64
"""Chunks that may wait for the disk."""
NOTE_SECS = 0.25
"""How often the tail of the recording is written."""
DRAFT_SHARE = 0.1
"""Share of the event loop's time that drafts may take; those of a long call take longer."""
DISK_SECS = 2.0
"""How long a request waits for the disk before it is sent all the same."""


class SpoolWriter:
    """Writes one call; nothing is on disk before something is kept.

    Args:
        spool_dir: The spool.
        pipecat_call_id: The call.
        call: Its folder, if there is one already.
    """

    def __init__(
        self, spool_dir: Path, pipecat_call_id: str, call: SpooledCall | None = None
    ) -> None:
        self.spool_dir = spool_dir
        self.healthy = True
        """Whether everything that was kept is on disk, or on its way."""
        self.changed = asyncio.Event()
        """To be set when there may be something to note."""
        self._pipecat_call_id = pipecat_call_id
        self._call = call
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="roark-spool")
        self._backlog: set[asyncio.Future[None]] = set()
        self._draft = CallEnded()
        self._recorded = False
        self._unkept: set[int] = set()
        self._cramped = False

    @property
    def unkept(self) -> int:
        """How many chunks have not arrived and are not on disk."""
        return len(self._unkept)

    def keep_event(self, what: Item, event: bytes) -> None:
        """Keep an event that is about to be sent."""
        self._append({what.removeprefix("call-"): event.decode()})

    def keep_chunk(self, index: int, pcm: bytes) -> None:
        """Keep a chunk that is about to be sent."""

        def keep(call: SpooledCall) -> None:
            try:
                call.write_chunk(index, pcm)
            except OSError as error:
                self._unkept.add(index)
                call.note_absence(index, len(pcm))
                self._tell_cramped(error)

        self._do(keep)
        self._note_recording()

    def drop_event(self, what: Item) -> None:
        """Note that an event arrived, or never can."""
        self._append({"arrived": what})

    def drop_chunk(self, index: int) -> None:
        """Forget a chunk that arrived, or never can."""

        def drop(call: SpooledCall) -> None:
            self._unkept.discard(index)
            call.remove_chunk(index)

        self._append({"arrived": index})
        self._do(drop)

    async def follow(
        self, draft: Callable[[bool], CallEnded], tail: Callable[[], tuple[int, bytes]]
    ) -> None:
        """Note what becomes known, until it is cancelled.

        Args:
            draft: Returns `call-ended` as it would be now, given whether there is any audio; asked
                when something changed.
            tail: Returns the recording since the last chunk, and the index of the next one.
        """
        guard, clock = ErrorBoundary("spool"), asyncio.get_running_loop().time
        draft_due = clock()
        while self.healthy:
            now = clock()
            drafts = now >= draft_due and self.changed.is_set()
            if drafts:
                self.changed.clear()
            with guard:
                self._note_tail(*tail())
                if drafts:  # after the tail, in which its places lie
                    began = time.thread_time()
                    self._note_draft(draft(self._recorded))
                    draft_due = now + (time.thread_time() - began) / DRAFT_SHARE
            await self.kept()
            tail_due = now + NOTE_SECS
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.changed.wait(), tail_due - clock())
            await asyncio.sleep(min(tail_due, draft_due) - clock())

    def _note_draft(self, draft: CallEnded) -> None:
        self._append(*journal.changes(self._draft, draft))
        self._draft = draft

    def _note_tail(self, index: int, tail: bytes) -> None:
        def write(call: SpooledCall) -> None:
            try:
                call.write_tail(index, tail)
            except OSError as error:
                self._tell_cramped(error)

        if tail:
            self._do(write)
            self._note_recording()
        self._append({})  # The call still goes on.

    def _note_recording(self) -> None:
        """Let the draft tell that there is audio, even if nothing else happens."""
        if not self._recorded:
            self._recorded = True
            self.changed.set()

    async def kept(self) -> bool:
        """Wait until all that was handed over is on disk. Return whether it is."""
        if self._backlog:
            _, late = await asyncio.wait(self._backlog, timeout=DISK_SECS)
            if late:
                self._fail("the disk doesn't answer")
        return self.healthy

    async def read_chunk(self, index: int) -> bytes | None:
        """Return a chunk, or None if it can't be read."""
        try:
            return await asyncio.to_thread(self._folder().read_chunk, index)
        except OSError:
            return None

    async def close(self, *, done: bool) -> None:
        """Let go of the call; with `done`, nothing of it remains on disk."""
        self._hand_over(lambda call: call.release(done=done), always=True)
        await self.kept()
        self._thread.shutdown(wait=False)

    def _append(self, *entries: dict[str, object]) -> None:
        now = datetime.now(timezone.utc)
        lines = b"".join(journal.line(now, **entry) for entry in entries)
        self._do(lambda call: call.append(lines))

    def _do(self, work: Callable[[SpooledCall], None]) -> None:
        if len(self._backlog) > MAX_BACKLOG:
            self._fail("the disk can't keep up")
        if self.healthy:
            self._hand_over(work)

    def _hand_over(self, work: Callable[[SpooledCall], None], *, always: bool = False) -> None:
        """Let the thread work, after all that it was given before."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, self._work, work, always)
        self._backlog.add(future)
        future.add_done_callback(self._backlog.discard)

    def _work(self, work: Callable[[SpooledCall], None], always: bool) -> None:  # noqa: FBT001
        try:
            if self.healthy or always:
                work(self._folder())
        except OSError as error:
            self._fail(_why(error))

    def _folder(self) -> SpooledCall:
        if self._call is None:
            self._call = SpooledCall.create(self.spool_dir, self._pipecat_call_id)
        return self._call

    def _tell_cramped(self, error: OSError) -> None:
        if not self._cramped:
            self._cramped = True
            logger.warning(
                f"Audio of call {self._pipecat_call_id} finds no room in the spool: {_why(error)}. "
                "What Roark doesn't take of it in time will be lost."
            )

    def _fail(self, why: str) -> None:
        if self.healthy:
            self.healthy = False
            logger.warning(
                f"Call {self._pipecat_call_id} is not kept in the spool any more: {why}. "
                "What Roark doesn't take in time will be lost."
            )


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
