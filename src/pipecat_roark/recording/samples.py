"""A queue of samples in which silence takes no memory.

Pure: mono 16-bit PCM in and out.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pipecat_roark.silence import silence

if TYPE_CHECKING:
    from collections.abc import Iterable


class SampleQueue:
    """Samples that wait to be removed from the front; counts are in samples."""

    def __init__(self) -> None:
        self._parts: deque[bytes | int] = deque()  # a number stands for that much silence

    def append(self, pcm: bytes) -> None:
        """Add samples at the end."""
        if pcm:
            self._parts.append(pcm)

    def append_silence(self, count: int) -> None:
        """Add silence at the end."""
        self._parts.append(count)

    def prepend_silence(self, count: int) -> None:
        """Add silence at the front."""
        self._parts.appendleft(count)

    def peek(self, start: int = 0) -> bytes:
        """Return everything from a sample on, and leave it there."""
        parts: list[bytes | int] = []
        for part in self._parts:
            size = part if isinstance(part, int) else len(part) // 2
            if start < size:
                parts.append(_split(part, start)[1] if start else part)
            start = max(0, start - size)
        return _join(parts)

    def pop_front(self, count: int) -> bytes:
        """Remove and return samples that are there; silence alone is the object of `silence`."""
        front: list[bytes | int] = []
        wanted = count
        while count:
            part = self._parts.popleft()
            size = part if isinstance(part, int) else len(part) // 2
            if size > count:
                part, rest = _split(part, count)
                self._parts.appendleft(rest)
                size = count
            front.append(part)
            count -= size
        return silence(2 * wanted) if all(isinstance(part, int) for part in front) else _join(front)


def _join(parts: Iterable[bytes | int]) -> bytes:
    return b"".join([bytes(2 * part) if isinstance(part, int) else part for part in parts])


def _split(part: bytes | int, count: int) -> tuple[bytes | int, bytes | int]:
    if isinstance(part, int):
        return count, part - count
    return part[: 2 * count], part[2 * count :]
