"""The folders of a spool: calls on disk, so that what a deadline or a crash leaves is sent later.

The rules:

1. Each call has a folder of its own, private to the user. It holds the journal, a file for each
   chunk that has not arrived, the tail of the recording that is no whole chunk yet, and a lock.
2. Whoever delivers a call holds its lock. The system releases it when the process dies.
3. A file appears whole or not at all. A chunk's file is removed when the chunk has arrived, and the
   folder when the call has.
4. Disk usage is bounded. To make room, the audio of calls that Roark has begun to receive is
   removed, the oldest call first. A call of which nothing has arrived keeps its audio; if no other
   is left, a full spool accepts no more. The journal keeps the length of audio that is not on disk,
   so that silence of that length can be sent and nothing after it shifts.

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
"""Bound on the audio of a whole spool: six hours of stereo at 24 kHz."""
_JOURNAL, _LOCK = "journal", "lock"
_CHUNK, _TAIL, _PART = ".pcm", ".tail", ".part"


class SpooledCall:
    """The folder of one call. This process holds its lock.

    Args:
        path: The folder.
        lock: Descriptor of its locked file.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, spool_dir: Path, pipecat_call_id: str) -> SpooledCall:
        """Create the folder of a call that begins."""
        spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Sorted by name, the oldest call comes first. The random rest keeps names apart.
        path = Path(tempfile.mkdtemp(prefix=f"{time.time_ns():020d}-", dir=spool_dir))
        lock = _open(path / _LOCK)
        fcntl.flock(lock, fcntl.LOCK_EX)
        call = cls(path, lock)
        call.append(journal.header(datetime.now(timezone.utc), pipecat_call_id))
        return call

    @classmethod
    def lock(cls, path: Path) -> SpooledCall | None:
        """Lock a call. Return None if somebody else delivers it now."""
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
            UnreadableJournalError: If it can't be read.
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
        """Write a chunk, and cut its audio off the start of the tail.

        Raises:
            OSError: Also if there is no room for it in the spool.
        """
        tail = self._file(index, _TAIL)
        try:
            _make_room(self.path.parent, len(pcm))
            self._replace(self._file(index), pcm)
            with suppress(OSError):  # no tail, or no room for one: the next tail replaces it
                self.write_tail(index + 1, tail.read_bytes()[len(pcm) :])
        finally:
            tail.unlink(missing_ok=True)

    def write_tail(self, index: int, pcm: bytes) -> None:
        """Replace the tail: the audio since the last chunk, to be part of the next one."""
        self._replace(self._file(index, _TAIL), pcm)

    def note_absence(self, index: int, size: int) -> None:
        """Record the length of a chunk that is neither at Roark nor on disk."""
        self.append(journal.line(datetime.now(timezone.utc), absent=index, size=size))

    def chunks(self) -> dict[int, int]:
        """Return the size of each chunk that has not arrived, by its index."""
        return {
            int(file.stem): file.stat().st_size
            for file in sorted(self.path.iterdir())
            if file.suffix == _CHUNK
        }

    def adopt_tail(self) -> None:
        """Turn the tail that a dead process left into a chunk."""
        tails = sorted(self.path.glob(f"*{_TAIL}"))
        if not tails:
            return
        index, pcm = int(tails[-1].stem), tails[-1].read_bytes()
        if index in (chunks := self.chunks()):  # it died after the chunk, before the tail
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
        """Remove audio from the disk, if anything of the call has arrived.

        Args:
            size: How many bytes are enough.

        Returns:
            How many bytes were removed.
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
        """Release the lock; with `done`, remove the folder first."""
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
        with suppress(FileNotFoundError):  # it has just arrived
            excess += file.stat().st_size
    for path in waiting(spool_dir) if excess > 0 else ():
        with suppress(OSError, journal.UnreadableJournalError):
            if call := SpooledCall.lock(path):
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
