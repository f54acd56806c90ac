"""Audio that is held back until it is known what of it may leave.

Pure: interleaved 16-bit PCM in and out; places are in bytes of the recording.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipecat_roark.silence import is_shared_silence, silence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(slots=True)
class Part:
    """A part of the recording.

    Attributes:
        start: Where it begins.
        pcm: Its audio.
        memory_bytes: How much memory it takes; silence takes none.
        lost: Whether silence took the place of its audio, because memory was full.
    """

    start: int
    pcm: bytes
    memory_bytes: int
    lost: bool = False

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.pcm)


class HeldAudio:
    """Holds audio, in order, within a bound.

    Args:
        max_bytes: Bound on what it holds; silence takes no room. Above it, the oldest audio becomes
            silence.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: deque[Part] = deque()
        self._bytes = 0

    def add(self, start: int, pcm: bytes) -> None:
        """Hold audio that begins at a place of the recording."""
        size = 0 if is_shared_silence(pcm) else len(pcm)
        self._parts.append(Part(start, pcm, size))
        self._bytes += size
        for part in self._parts:
            if self._bytes <= self._max_bytes:
                break
            if part.memory_bytes:
                self._bytes -= part.memory_bytes
                part.pcm, part.memory_bytes, part.lost = silence(len(part.pcm)), 0, True

    def release(self, until: float, silenced: Iterable[tuple[int, int]] = ()) -> Iterator[Part]:
        """Yield the parts that end before a place, without what is silenced.

        Args:
            until: The place.
            silenced: Spans of places.
        """
        spans = [*silenced]
        while self._parts and self._parts[0].end <= until:
            part = self._parts.popleft()
            self._bytes -= part.memory_bytes
            for begin, end in spans:
                part.pcm = _silenced(part.pcm, begin - part.start, end - part.start)
            yield part

    def clear(self) -> None:
        """Forget everything."""
        self._parts.clear()
        self._bytes = 0


def _silenced(pcm: bytes, begin: int, end: int) -> bytes:
    begin, end = max(0, begin), min(len(pcm), end)
    if begin >= end:
        return pcm
    return pcm[:begin] + bytes(end - begin) + pcm[end:]
