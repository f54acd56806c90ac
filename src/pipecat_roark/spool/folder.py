"""The spool: calls on disk, so that what a deadline or a crash leaves behind is delivered later.

The rules:

1. Each call has a folder of its own, private to the user: the journal, a file for each chunk that
   has not arrived, the tail of the recording that is no chunk yet, and a lock.
2. Whoever delivers a call holds its lock. The system releases it when the process dies.
3. A file appears whole or not at all. It goes when its chunk has arrived, the folder with the call.
4. Use of the disk is bounded. To make room, audio goes of calls that Roark has begun to receive,
   the oldest first. A call of which nothing has arrived keeps its own; then a full spool takes no
   more audio. The journal keeps the length of what is not there, so that nothing after it shifts.

Everything in here blocks on the disk, and may raise `OSError`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from pipecat_roark.spool import journal

MAX_BYTES = 2 * 1024**3
"""Audio of all calls of a spool together: six hours of stereo at 24 kHz."""
_JOURNAL, _LOCK = "journal", "lock"
_CHUNK, _TAIL, _PART = ".pcm", ".tail", ".part"


class SpooledCall:
    """The folder of one call, whose lock this process holds.

    Args:
        path: The folder.
        lock: Descriptor of its locked file.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, spool_dir: Path, pipecat_call_id: str) -> SpooledCall:
        """Make the folder of a call that begins."""
        spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In the order of their names the oldest comes first; the rest of the name is nobody else's.
        path = Path(tempfile.mkdtemp(prefix=f"{time.time_ns():020d}-", dir=spool_dir))
        lock = _open(path / _LOCK)
        fcntl.flock(lock, fcntl.LOCK_EX)
        call = cls(path, lock)
        call.append(journal.header(datetime.now(timezone.utc), pipecat_call_id))
        return call

    @classmethod
    def take(cls, path: Path) -> SpooledCall | None:
        """Take over a call, unless somebody delivers it at this moment."""
        lock = _open(path / _LOCK)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return cls(path, lock)

    def read(self) -> journal.Journal:
        """Read the journal.

        Raises:
            UnreadableJournalError: If it can't be replayed.
        """
        return journal.replay((self.path / _JOURNAL).read_bytes())

    def append(self, lines: bytes) -> None:
        """Append whole lines to the journal."""
        file = _open(self.path / _JOURNAL, os.O_APPEND)
        try:
            _write(file, lines)
        finally:
            os.close(file)

    def write_chunk(self, index: int, pcm: bytes) -> None:
        """Write a chunk; what the tail holds beyond it is the next tail.

        Raises:
            OSError: Also if there is no room for it in the spool.
        """
        tail = self._file(index, _TAIL)
        try:
            _make_room(self.path.parent, len(pcm))
            self._replace(self._file(index), pcm)
            with suppress(OSError):  # of no tail, or no room for it: the next one mends it
                self.write_tail(index + 1, tail.read_bytes()[len(pcm) :])
        finally:
            tail.unlink(missing_ok=True)

    def write_tail(self, index: int, pcm: bytes) -> None:
        """Write the audio that will be part of a chunk, in place of what was known of it."""
        self._replace(self._file(index, _TAIL), pcm)

    def note_absence(self, index: int, size: int) -> None:
        """Note that a chunk which has not arrived is not on disk."""
        self.append(journal.line(datetime.now(timezone.utc), absent=index, size=size))

    def chunks(self) -> dict[int, int]:
        """Return the size of each chunk that has not arrived, by its index."""
        return {
            int(file.stem): file.stat().st_size
            for file in sorted(self.path.iterdir())
            if file.suffix == _CHUNK
        }

    def adopt_tail(self) -> None:
        """Make a chunk of the tail that a process left behind when it died."""
        tails = sorted(self.path.glob(f"*{_TAIL}"))
        if not tails:
            return
        index, pcm = int(tails[-1].stem), tails[-1].read_bytes()
        if index in (chunks := self.chunks()):  # it died between the two
            index, pcm = index + 1, pcm[chunks[index] :]
        if pcm:
            self._replace(self._file(index), pcm)
        for tail in tails:
            tail.unlink()

    def read_chunk(self, index: int) -> bytes:
        """Return a chunk."""
        return self._file(index).read_bytes()

    def remove_chunk(self, index: int) -> None:
        """Remove a chunk."""
        self._file(index).unlink(missing_ok=True)

    def give_way(self, size: int) -> int:
        """Remove audio, if something of the call has arrived; return how much.

        Args:
            size: How much is enough.
        """
        gone = 0
        chunks = self.chunks() if self.read().arrived else {}
        while chunks and gone < size:
            index = min(chunks)
            self.note_absence(index, chunks[index])
            self.remove_chunk(index)
            gone += chunks.pop(index)
        return gone

    def release(self, *, done: bool) -> None:
        """Let go of the call; with `done`, nothing of it remains on disk."""
        try:
            if done:
                shutil.rmtree(self.path)
        finally:
            os.close(self._lock)

    def _file(self, index: int, kind: str = _CHUNK) -> Path:
        return self.path / f"{index:06d}{kind}"

    def _replace(self, path: Path, data: bytes) -> None:
        part = path.with_suffix(_PART)
        file = _open(part, os.O_TRUNC)
        try:
            _write(file, data)
            part.replace(path)
        except OSError:
            part.unlink()
            raise
        finally:
            os.close(file)


def waiting(spool_dir: Path) -> list[Path]:
    """Return the folders of all calls in a spool, the oldest first."""
    if not spool_dir.is_dir():
        return []
    return sorted(path.parent for path in spool_dir.glob(f"*/{_JOURNAL}"))


def _make_room(spool_dir: Path, size: int) -> None:
    excess = size - MAX_BYTES
    for file in spool_dir.glob(f"*/*{_CHUNK}"):
        with suppress(FileNotFoundError):  # it has arrived meanwhile
            excess += file.stat().st_size
    for path in waiting(spool_dir) if excess > 0 else ():
        with suppress(OSError, journal.UnreadableJournalError):
            if call := SpooledCall.take(path):
                try:
                    excess -= call.give_way(excess)
                finally:
                    call.release(done=False)
    if excess > 0:
        raise OSError(errno.ENOSPC, "the spool is full")


def _open(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
