"""The folders of a spool: calls on disk, so that what a deadline or a crash leaves is sent later.

The rules:

1. Each call has a folder of its own, private to the user. It holds the journal, a file for each
   chunk that has not arrived, the tail of the recording that is no whole chunk yet, and a lock.
2. Whoever delivers a call holds its lock. The system releases it when the process dies.
3. A file appears whole or not at all; only the journal and the tail grow. A chunk's file is removed
   when the chunk has arrived, and the folder when the call has, the journal first. A folder without
   a journal is no call.
4. A call belongs to the API key and base URL that it was captured for. Its journal holds their
   fingerprint, never the key.
5. Disk usage is bounded. To make room, the audio of calls that Roark has begun to receive is
   removed, the oldest call first. A call of which nothing has arrived keeps its audio; if no other
   is left, a full spool accepts no more. The journal keeps the length of audio that is not on disk,
   so that silence of that length can be sent and nothing after it shifts.

Everything in here blocks on the disk, and may raise `OSError`.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from pipecat_roark.spool import journal
from pipecat_roark.spool.files import GrowingFile, write_whole
from pipecat_roark.spool.lock import acquire, check
from pipecat_roark.spool.room import folders_of, room_of, sizes_in
from pipecat_roark.spool.tail_file import TailFile, read_tail, tails_in

if TYPE_CHECKING:
    from filelock import BaseFileLock

STALE_SECS = 60.0
"""How old a folder without a journal must be before it is removed: a call may be beginning."""
_JOURNAL, _LOCK = "journal", "lock"
_CHUNK = ".pcm"
_NAME = re.compile(r"(\d{20})-\w+")


class SpooledCall:
    """The folder of one call. This process holds its lock.

    Args:
        path: The folder.
        lock: Its lock.
    """

    def __init__(self, path: Path, lock: BaseFileLock) -> None:
        self.path = path
        self._lock = lock
        self._journal = GrowingFile(path / _JOURNAL)
        self._tail = TailFile(path)

    @classmethod
    def create(cls, spool_dir: Path, pipecat_call_id: str, owner: str) -> SpooledCall:
        """Create the folder of a call that begins.

        Args:
            spool_dir: The spool.
            pipecat_call_id: The call.
            owner: The fingerprint of its key and base URL.

        Raises:
            OSError: If that is not possible; then no folder is left.
        """
        check()
        spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Sorted by name, the oldest call comes first. The random rest keeps names apart.
        path = Path(tempfile.mkdtemp(prefix=f"{time.time_ns():020d}-", dir=spool_dir))
        try:
            call = cls(path, acquire(path / _LOCK))
        except BaseException:
            _remove(path)
            raise
        try:
            call.append(journal.header(datetime.now(timezone.utc), pipecat_call_id, owner))
        except BaseException:
            call.release(done=True)
            raise
        return call

    @classmethod
    def lock(cls, path: Path) -> SpooledCall | None:
        """Lock a call. Return None if somebody else delivers it now.

        Raises:
            FileNotFoundError: If it is not there any more.
            NoLocksError: If no lock can be had.
        """
        path.stat()  # the lock would make a new folder
        try:
            return cls(path, acquire(path / _LOCK))
        except BlockingIOError:
            return None

    def read(self) -> journal.Journal:
        """Read the journal.

        Raises:
            UnreadableJournalError: If it can't be read.
        """
        return journal.replay((self.path / _JOURNAL).read_bytes())

    def append(self, lines: bytes) -> None:
        """Append whole lines to the journal."""
        self._journal.append(lines)

    def write_chunk(self, index: int, pcm: bytes) -> None:
        """Write a chunk, and cut its audio off the start of the tail.

        Raises:
            OSError: Also if there is no room for it in the spool.
        """
        room = room_of(self.path.parent)
        try:
            room.reserve(len(pcm), _give_way)
            try:
                write_whole(self._file(index), pcm)
            except OSError:
                room.give_back(len(pcm))
                raise
        except OSError:
            self._tail.remove()
            raise
        self._tail.cut(index, len(pcm))

    def write_tail(self, index: int, records: bytes) -> None:
        """Append records to the tail that will be part of the chunk at `index`.

        Raises:
            OSError: Then nothing is left of this tail.
        """
        self._tail.append(index, records)

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

    def adopt_tail(self, chunk_bytes: int) -> None:
        """Turn the tail that a dead process left into chunks of a size at most."""
        tails = tails_in(self.path)
        if not tails:
            return
        index, pcm = read_tail(tails[-1])
        if index in (chunks := self.chunks()):  # it died after the chunk, before the tail
            index, pcm = index + 1, pcm[chunks[index] :]
        for number, start in enumerate(range(0, len(pcm), chunk_bytes)):
            write_whole(self._file(index + number), pcm[start : start + chunk_bytes])
        for file in tails:
            file.unlink()

    def read_chunk(self, index: int) -> bytes:
        """Return a chunk."""
        return self._file(index).read_bytes()

    def remove_chunk(self, index: int) -> None:
        """Remove a chunk."""
        file = self._file(index)
        with suppress(FileNotFoundError):
            size = file.stat().st_size
            file.unlink()
            room_of(self.path.parent).give_back(size)

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
            self._file(index).unlink()
            gone += chunks.pop(index)
        return gone

    def release(self, *, done: bool) -> None:
        """Release the lock; with `done`, remove the call from the disk."""
        self._journal.close()
        self._tail.close()
        try:
            if done:
                (self.path / _JOURNAL).unlink(missing_ok=True)
        finally:
            self._lock.release()
        if done:  # last of all, for Windows removes no file that is open
            _remove(self.path)

    def _file(self, index: int) -> Path:
        return self.path / f"{index:06d}{_CHUNK}"


def waiting(spool_dir: Path) -> list[Path]:
    """Return the folders of all calls in a spool, the oldest first."""
    return sorted(path for path in folders_of(spool_dir) if (path / _JOURNAL).exists())


def owner_of(path: Path) -> str | None:
    """Return the fingerprint of the key and base URL that a call was captured for.

    Returns:
        The fingerprint; empty if the journal has none, as those of release 0.3.0; None if the
        journal can't be read.
    """
    try:
        with (path / _JOURNAL).open("rb") as file:
            header = json.loads(file.readline())
        return str(header.get("owner", ""))
    except (OSError, ValueError, AttributeError):
        return None


def age_secs(path: Path) -> float | None:
    """Return how long ago a call began, by the name of its folder; None if that doesn't say."""
    name = _NAME.fullmatch(path.name)
    return (time.time_ns() - int(name[1])) / 1e9 if name else None


def audio_bytes(path: Path) -> int:
    """Return how much audio a call has on disk."""
    return sum(sizes_in(path))


def remove(path: Path) -> int | None:
    """Remove a call that can be read and that nobody holds.

    Returns:
        How many bytes of audio it had; None if somebody holds it.

    Raises:
        UnreadableJournalError: If its journal can't be read.
    """
    call = SpooledCall.lock(path)
    if call is None:
        return None
    done = False
    try:
        call.read()
        size, done = audio_bytes(path), True
    finally:
        call.release(done=done)
    room_of(path.parent).give_back(size)
    return size


def remove_remains(spool_dir: Path) -> None:
    """Remove folders without a journal: what a process left that died at the start or the end."""
    for path in folders_of(spool_dir):
        age = age_secs(path)
        if age is None or age <= STALE_SECS or (path / _JOURNAL).exists():
            continue
        with suppress(OSError):
            if (call := SpooledCall.lock(path)) is not None:
                call.release(done=True)


def _give_way(path: Path, size: int) -> int:
    """Remove audio of another call, unless somebody delivers it now."""
    with suppress(OSError, journal.UnreadableJournalError):
        if (call := SpooledCall.lock(path)) is not None:
            try:
                return call.give_way(size)
            finally:
                call.release(done=False)
    return 0


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):  # somebody else removes the remains, too
        shutil.rmtree(folder)
