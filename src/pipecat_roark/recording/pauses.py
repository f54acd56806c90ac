"""The pauses of a track: the silence that was laid, and the silence that is not decided yet.

Pure: positions, delays and lengths are in samples of the track.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECENT = 4
"""How many of the latest gaps are compared with the place that a detector names."""


class Gaps:
    """The silences that were laid on a track between the samples that it received."""

    def __init__(self) -> None:
        self._index = array("q")
        self._total = array("q")

    def add(self, index: int, count: int) -> None:
        """Add `count` samples of silence before the received sample at `index`."""
        self._index.append(index)
        self._total.append(count + (self._total[-1] if self._total else 0))

    def add_in_front(self, count: int) -> None:
        """Add `count` samples of silence before all received samples."""
        self._index.insert(0, 0)
        self._total = array("q", [count, *(count + total for total in self._total)])

    def before(self, index: int, *, end: bool) -> int:
        """Return how much silence lies before a received sample.

        Args:
            index: Index of the sample.
            end: Whether it is the end of speech, which lies before a gap rather than after it.
        """
        find = bisect_left if end else bisect_right
        gap = find(self._index, index)
        return self._total[gap - 1] if gap else 0

    def recent(self) -> list[tuple[int, int]]:
        """Return the index of the sample behind each of the latest gaps, and the gap's length."""
        totals = [0, *self._total[-_RECENT - 1 :]]
        indexes = self._index[-_RECENT:]
        lengths = [total - before for before, total in pairwise(totals)][-_RECENT:]
        return [*zip(indexes, lengths, strict=True)]


@dataclass(slots=True)
class Segment:
    """Audio behind a pause whose length is not decided yet."""

    index: int
    """Index of its first sample among those that the track received."""
    since: float
    """When its first frame arrived."""
    begins: bool
    """Whether its first frame was on time, however early the later ones are."""
    lag: float
    """The smallest delay among its frames."""
    audio: list[tuple[bytes, int]] = field(default_factory=list)
    """The PCM of its frames, each with its sample rate."""


class Pauses:
    """The pauses of a track, decided or not, with the audio behind those that are not.

    Args:
        tolerance: A delay that is larger than the usual one by no more than this is jitter.
        near: How far a detector may miss the place at which speech begins or ends beside a pause.
    """

    def __init__(self, tolerance: float, near: int) -> None:
        self.gaps = Gaps()
        """The silences of the pauses that are decided."""
        self.baseline = 0.0
        """The delay that frames of this track usually have."""
        self._tolerance = tolerance
        self._near = near
        self._segments: deque[Segment] = deque()

    def __bool__(self) -> bool:
        return bool(self._segments)

    def open(self, segment: Segment) -> None:
        """Add a pause, with the first frame behind it still to come."""
        self._segments.append(segment)

    def add(self, pcm: bytes, rate: int, lag: float) -> None:
        """Add a frame behind the latest pause."""
        segment = self._segments[-1]
        segment.audio.append((pcm, rate))
        segment.lag = segment.lag if segment.begins else min(segment.lag, lag)

    def is_due(self, before: float) -> bool:
        """Return whether the first pause ended by a time and is to be decided."""
        return bool(self._segments) and self._segments[0].since <= before

    def decisions(self) -> Iterator[tuple[Segment, int]]:
        """Yield each segment with the silence before it, as far as it is known now."""
        laid, baseline = 0, self.baseline
        for segment, delay in zip(self._segments, self._delays(), strict=True):
            silence = 0
            if delay - baseline > self._tolerance:
                silence = max(0, round(delay) - laid)
            yield segment, silence
            laid, baseline = laid + silence, delay

    def decide(self) -> tuple[Segment, int]:
        """Remove the first pause; return the segment behind it and the silence before that."""
        segment, silence = next(self.decisions())
        self.baseline = self._delays()[0] - silence
        self._segments.popleft()
        for later in self._segments:
            later.lag -= silence
        return segment, silence

    def move(self, later: int, *, delay: int = 0) -> None:
        """Adapt to another origin of the clock.

        Args:
            later: How much later every moment is.
            delay: How much more every frame is delayed.
        """
        for segment in self._segments:
            segment.since += later
            segment.lag += delay

    @property
    def is_first(self) -> bool:
        """Whether the track begins with a pause that is not decided yet."""
        return bool(self._segments) and self._segments[0].index == 0

    def onset(self, index: int) -> int:
        """Return where speech begins that is detected at an index: not just before a pause."""
        return next((s for s in self._starts() if 0 <= s - index <= self._near), index)

    def offset(self, index: int) -> int:
        """Return where speech ends that is detected at an index: not just after a pause."""
        return next((s for s in self._starts() if 0 <= index - s <= self._near), index)

    def latest(self, index: int, length: float) -> int:
        """Return the index behind the latest pause of a length up to another one, else 0."""
        starts = (start for start, silence in self._silences() if silence >= length)
        return max((start for start in starts if start <= index), default=0)

    def position(self, index: int, *, end: bool) -> int:
        """Return where a received sample lies; the end of speech lies before a gap."""
        silence = self.gaps.before(index, end=end)
        for segment, pending in self.decisions():
            if segment.index < index or (segment.index == index and not end):
                silence += pending
        return max(0, index + silence)

    def _starts(self) -> list[int]:
        """Return the indexes of the samples behind the latest pauses, decided or not."""
        return [start for start, _ in self._silences()]

    def _silences(self) -> list[tuple[int, int]]:
        """Return the latest pauses, decided or not: the index behind each, and its length."""
        return self.gaps.recent() + [(after.index, length) for after, length in self.decisions()]

    def _delays(self) -> list[float]:
        """Return by how much each segment came late, as far as it is known now.

        A sample can't lie later than it arrived. So the delay of a segment is the smallest among
        its own and those of the segments that followed.
        """
        delays: list[float] = []
        for segment in reversed(self._segments):
            later = [] if segment.begins else delays[-1:]
            delays.append(min([segment.lag, *later]))
        return delays[::-1]
