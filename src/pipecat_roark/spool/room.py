"""The room in a spool: how much audio it holds, and what gives way to more."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_BYTES = 2 * 1024**3
"""Bound on the audio of a whole spool: six hours of stereo at 24 kHz."""
COUNT_SECS = 10.0
"""How often a spool is counted that other processes may also write to."""
FULL_SECS = 1.0
"""How often one is counted, or searched from the start, that seems to be full."""
SEARCH_SECS = 0.5
"""How long one chunk may search for calls that give way; the next one goes on from there."""


class Room:
    """Counts the audio of one spool, for all calls of this process.

    Counting takes as long as the spool has calls, and so does a search for calls that can give way.
    Therefore neither is done for every chunk: in between, the room adds and subtracts what the
    calls of this process write and remove.

    Args:
        spool_dir: The spool.
    """

    def __init__(self, spool_dir: Path) -> None:
        self._spool_dir = spool_dir
        self._mutex = Lock()
        self._used = 0
        self._counted_at = self._searched_at = float("-inf")
        self._candidates: deque[Path] = deque()

    def reserve(self, size: int, give_way: Callable[[Path, int], int]) -> None:
        """Make room for some bytes.

        Args:
            size: How many.
            give_way: Removes up to so many bytes of a call, and returns how many it removed.

        Raises:
            OSError: If there is no room.
        """
        with self._mutex:
            now = time.monotonic()
            if now - self._counted_at >= COUNT_SECS:
                self._count(now)
            if self._used + size > MAX_BYTES and not self._candidates:
                self._search_anew(now)
            excess = self._used + size - MAX_BYTES
            if excess > 0 and self._free(excess, give_way) < excess:
                raise OSError(errno.ENOSPC, "the spool is full")
            self._used += size

    def give_back(self, size: int) -> None:
        """Note that some bytes were removed."""
        with self._mutex:
            self._used -= size

    def _count(self, now: float) -> None:
        self._used = sum(size for path in folders_of(self._spool_dir) for size in sizes_in(path))
        self._counted_at = now

    def _search_anew(self, now: float) -> None:
        """Let all calls be asked to give way, unless all of them have just been asked."""
        if now - self._searched_at >= FULL_SECS:
            if now > self._counted_at:  # it may not be full any more
                self._count(now)
            self._candidates = deque(sorted(folders_of(self._spool_dir)))
            self._searched_at = now

    def _free(self, size: int, give_way: Callable[[Path, int], int]) -> int:
        """Let other calls give way, the oldest first. Return how many bytes were removed."""
        freed, until = 0, time.monotonic() + SEARCH_SECS
        while self._candidates and freed < size and time.monotonic() < until:
            freed += give_way(self._candidates[0], size - freed)
            if freed < size:
                self._candidates.popleft()
        self._used -= freed
        return freed


@cache
def room_of(spool_dir: Path) -> Room:
    """Return the room of a spool."""
    return Room(spool_dir)


def folders_of(spool_dir: Path) -> Iterator[Path]:
    """Yield the folders in a spool; none if there is no spool."""
    try:
        with os.scandir(spool_dir) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield spool_dir / entry.name
    except (FileNotFoundError, NotADirectoryError):
        return


def sizes_in(folder: Path) -> Iterator[int]:
    """Yield the size of each chunk in a folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".pcm"):
                    yield entry.stat().st_size
    except FileNotFoundError:  # the chunk or the call has just arrived
        return
