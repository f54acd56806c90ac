"""Audio that is held back until it is known what of it may leave.

Pure: interleaved 16-bit PCM in and out; places are in bytes of the recording.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from pipecat_roark.silence import silence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipecat_roark.budget import Kept, Share
    from pipecat_roark.receipt import Cause


class Part(NamedTuple):
    """A part of the recording that is released.

    Attributes:
        pcm: Its audio.
        lost: Why silence took the place of its audio, if it did.
    """

    pcm: bytes
    lost: Cause | None


class _Held(NamedTuple):
    """A part that is held: where it begins and ends, and its audio."""

    start: int
    end: int
    kept: Kept


class HeldAudio:
    """Holds audio, in order.

    Args:
        memory: Keeps it. Audio that finds no room, or gives way, becomes silence.
    """

    def __init__(self, memory: Share) -> None:
        self._memory = memory
        self._parts: deque[_Held] = deque()

    def add(self, start: int, pcm: bytes) -> None:
        """Hold audio that begins at a place of the recording."""
        (kept,) = self._memory.keep([pcm])
        self._parts.append(_Held(start, start + len(pcm), kept))

    def release(self, until: float, silenced: Iterable[tuple[int, int]] = ()) -> Iterator[Part]:
        """Yield the parts that end before a place, without what is silenced.

        Args:
            until: The place.
            silenced: Spans of places.
        """
        spans = [*silenced]
        while self._parts and self._parts[0].end <= until:
            part = self._parts.popleft()
            pcm, lost = part.kept.take(), None
            part.kept.free()
            if pcm is None:
                pcm, lost = silence(part.end - part.start), part.kept.missing
            for begin, end in spans:
                pcm = _silenced(pcm, begin - part.start, end - part.start)
            yield Part(pcm, lost)

    def clear(self) -> None:
        """Forget everything."""
        for part in self._parts:
            part.kept.free()
        self._parts.clear()


def _silenced(pcm: bytes, begin: int, end: int) -> bytes:
    begin, end = max(0, begin), min(len(pcm), end)
    if begin >= end:
        return pcm
    return pcm[:begin] + bytes(end - begin) + pcm[end:]
