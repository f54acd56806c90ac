"""Where every sample of a call belongs: two tracks on one real timeline.

The rules:

1. Sample 0 is the first sample of the call's first audio frame.
2. A track holds every sample that it was given, once, in order.
3. Silence stands where there was no audio, and only there. A frame's audio is over when the frame
   arrives, so a frame that arrives late by more than its own length *may* follow a gap. It may also
   follow a stall, and then a burst of frames catches up with the clock. So the verdict waits: the
   gap is what remains of the delay after the frames that follow have been seen.
4. Audio that arrives faster than real time runs ahead of the clock and is kept whole.
5. What was taken from the front is never changed afterwards.

Pure: no I/O, and time comes in as a value. Positions are samples on the timeline; an *index* counts
the samples that a track received, whatever silence was laid between them. A speaker's edge is noted
as an index, because its position is known only after the verdict on the pause before it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import soxr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Samples = NDArray[np.int16]

Speaker = Literal["user", "assistant"]

PAUSE_SECS = 0.010
"""A frame that arrives this much later than its length explains begins a segment of its own."""
GAP_SECS = 0.015
"""What must remain of a segment's delay for it to be a gap rather than jitter."""
SETTLE_SECS = 0.5
"""How long after a pause a burst may still catch up."""
HOLD_SECS = 2.0
"""The longest stall that is mended; after it, a track without frames counts as silent."""
AHEAD_SECS = 0.1
"""A burst that overtakes the clock by this much caught up with nothing: its sender isn't paced."""
_JITTER_RELEASE = 0.01
"""Seconds per second by which the memory of the least delay fades."""


class _Stretch:
    """Audio of one input rate without a gap, on its way to the track's rate."""

    def __init__(self, source_rate: int, rate: int) -> None:
        self.source_rate = source_rate
        self._ratio = rate / source_rate
        self._received = 0
        self._laid = 0
        self._stream = (
            None
            if source_rate == rate
            else soxr.ResampleStream(source_rate, rate, 1, dtype="int16", quality="HQ")
        )

    def push(self, samples: Samples, *, last: bool = False) -> bytes:
        """Convert the next samples; with `last`, also those that the filter held back."""
        self._received += len(samples)
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples, last=last)
        self._laid += len(samples)
        return samples.astype("<i2", copy=False).tobytes()

    @property
    def held_back(self) -> float:
        """Samples, at the track's rate, that were received but not yet laid."""
        return self._received * self._ratio - self._laid


@dataclass(slots=True)
class _Segment:
    """Frames that followed a pause whose length is not known yet."""

    index: int
    since: float
    first_lag: float
    anchored: bool
    """Whether its first frame came on time, whatever the later ones seem to say."""
    least_lag: float
    frames: list[tuple[Samples, int]] = field(default_factory=list)

    @property
    def lag(self) -> float:
        return self.first_lag if self.anchored else self.least_lag


class Track:
    """One speaker's audio on the timeline.

    Args:
        rate: Sample rate of the track in Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.taken = 0
        """Position up to which the track was taken."""
        self._pcm = bytearray()
        self._stretch: _Stretch | None = None
        self._end = 0.0
        self._received = 0.0
        self._arrival: float | None = None
        self._baseline = 0.0
        self._segments: deque[_Segment] = deque()
        self._gap_index = array("q")
        self._gap_total = array("q")

    @property
    def received(self) -> int:
        """Index of the next sample: how many were received so far, at the track's rate."""
        return round(self._received)

    @property
    def laid(self) -> int:
        """Position up to which the track is laid."""
        return self.taken + len(self._pcm) // 2

    @property
    def waiting(self) -> bool:
        """Whether audio was added that was not taken."""
        return bool(self._pcm or self._segments or self._stretch)

    def peek(self) -> Samples:
        """Return what is laid and not taken."""
        return np.frombuffer(bytes(self._pcm), "<i2").astype(np.int16, copy=False)

    def add(self, samples: Samples, rate: int, now: float, *, begins: bool = False) -> None:
        """Take the next frame.

        Args:
            samples: Mono samples.
            rate: Their sample rate in Hz.
            now: Position of the clock at the frame's arrival, which is where its audio ends.
            begins: Whether an utterance is known to begin here, so that what comes before is a gap.
        """
        length = len(samples) * self._rate / rate
        lag = now - length - self._end
        late = self._arrival is None or (
            now - self._arrival - length > PAUSE_SECS * self._rate
            and lag - self._baseline > GAP_SECS * self._rate
        )
        if late:
            self._segments.append(_Segment(self.received, now, lag, begins, lag))
        if self._segments:
            segment = self._segments[-1]
            segment.frames.append((samples, rate))
            segment.least_lag = min(segment.least_lag, lag)
            segment.anchored |= lag < self._baseline - AHEAD_SECS * self._rate
        else:
            self._baseline = min(lag, self._baseline + _JITTER_RELEASE * length)
            self._lay(samples, rate)
        self._end += length
        self._received += length
        self._arrival = now
        self._settle(now)

    def settled(self, now: float) -> int:
        """Return the position up to which nothing will change any more."""
        self._settle(now)
        if self._segments:
            return self.laid
        return max(self.laid, int(now - HOLD_SECS * self._rate))

    def take(self, count: int) -> Samples:
        """Remove `count` samples from the front, with silence where there are none."""
        if count > len(self._pcm) // 2:
            self._finish_stretch()
        self._lay_silence(count - len(self._pcm) // 2)
        front = np.frombuffer(bytes(self._pcm[: 2 * count]), "<i2").astype(np.int16, copy=False)
        del self._pcm[: 2 * count]
        self.taken += count
        return front

    def finish(self) -> None:
        """Give the verdict on every pause and lay what the resampler holds back."""
        while self._segments:
            self._judge()
        self._finish_stretch()

    def onset(self, back: int) -> int:
        """Return the index at which speech began, heard through the last `back` samples.

        A detector that sees frames only cannot see a pause between them: where a pause that is
        longer than `back` lies inside, the speech began after it.
        """
        index = self.received - back
        total = self._gap_total[-1] if self._gap_total else 0
        previous = self._gap_total[-2] if len(self._gap_total) > 1 else 0
        pauses = [(self._gap_index[-1], total - previous)] if self._gap_index else []
        pauses += [(segment.index, silence) for segment, silence in self._verdicts()]
        for start, silence in pauses:
            if index < start and silence > back:
                index = start
        return index

    def position(self, index: int, *, end: bool = False) -> int:
        """Return where on the timeline a sample lies.

        Args:
            index: Index of the sample among those received.
            end: Whether it is the end of speech, which lies before a gap rather than after it.
        """
        find = bisect_left if end else bisect_right
        gap = find(self._gap_index, index)
        silence = self._gap_total[gap - 1] if gap else 0
        for segment, pending in self._verdicts():
            if segment.index < index or (segment.index == index and not end):
                silence += pending
        return max(0, index + silence)

    def _settle(self, now: float) -> None:
        while self._segments and now - self._segments[0].since >= SETTLE_SECS * self._rate:
            self._judge()

    def _delays(self) -> list[float]:
        """Return by how much each waiting segment came late, from what is known now.

        A sample cannot lie later than it arrived, so the delay of a segment is the least of its
        own and of those that followed.
        """
        delays: list[float] = []
        for segment in reversed(self._segments):
            later = [] if segment.anchored else delays[-1:]
            delays.append(min([segment.lag, *later]))
        return delays[::-1]

    def _verdicts(self) -> Iterator[tuple[_Segment, int]]:
        """Yield the silence before each waiting segment, from what is known now."""
        laid, baseline = 0, self._baseline
        for segment, delay in zip(self._segments, self._delays(), strict=True):
            silence = 0
            if delay - baseline > GAP_SECS * self._rate:
                silence = max(0, round(delay) - laid)
            yield segment, silence
            laid, baseline = laid + silence, delay

    def _judge(self) -> None:
        """Lay the first waiting segment, behind the silence that it turned out to follow."""
        segment, silence = next(self._verdicts())
        self._baseline = self._delays()[0] - silence
        self._segments.popleft()
        if silence:
            self._finish_stretch()
            self._lay_silence(silence, index=segment.index)
            for other in self._segments:
                other.first_lag -= silence
                other.least_lag -= silence
        for samples, rate in segment.frames:
            self._lay(samples, rate)

    def _lay(self, samples: Samples, rate: int) -> None:
        if self._stretch is None or self._stretch.source_rate != rate:
            self._finish_stretch()
            self._stretch = _Stretch(rate, self._rate)
        self._pcm += self._stretch.push(samples)

    def _lay_silence(self, count: int, index: int | None = None) -> None:
        if count <= 0:
            return
        self._pcm += bytes(2 * count)
        self._end += count
        total = self._gap_total[-1] if self._gap_total else 0
        self._gap_index.append(self.received if index is None else index)
        self._gap_total.append(total + count)

    def _finish_stretch(self) -> None:
        if self._stretch is None:
            return
        self._pcm += self._stretch.push(np.empty(0, np.int16), last=True)
        # The filter rounds the length of a stretch to whole samples; the track follows it.
        self._end -= self._stretch.held_back
        self._received -= self._stretch.held_back
        self._stretch = None


class Timeline:
    """The two tracks of a call and the clock's position at sample 0.

    Args:
        rate: Sample rate of the recording in Hz.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.tracks: dict[Speaker, Track] = {"user": Track(rate), "assistant": Track(rate)}
        self.origin_ns: int | None = None
        """Clock time of sample 0 in nanoseconds, or None before the first frame."""

    def add(
        self, speaker: Speaker, samples: Samples, rate: int, now_ns: int, *, begins: bool = False
    ) -> None:
        """Lay a frame of `speaker` that arrived at `now_ns`; see `Track.add`."""
        if self.origin_ns is None:
            self.origin_ns = now_ns - len(samples) * 1_000_000_000 // rate
        now = self._since(self.origin_ns, now_ns)
        self.tracks[speaker].add(samples, rate, now, begins=begins)

    def take_settled(self, count: int, now_ns: int) -> tuple[Samples, Samples] | None:
        """Remove `count` samples of both tracks from the front, or nothing if they may change."""
        if self.origin_ns is None:
            return None
        now = self._since(self.origin_ns, now_ns)
        tracks = self.tracks.values()
        if min(track.settled(now) - track.taken for track in tracks) < count:
            return None
        return self._take(count)

    @property
    def waiting(self) -> bool:
        """Whether audio was added that was not taken."""
        return any(track.waiting for track in self.tracks.values())

    def peek(self) -> tuple[Samples, Samples]:
        """Return what is laid and not taken, with silence behind the shorter track."""
        user, bot = (track.peek() for track in self.tracks.values())
        length = max(len(user), len(bot))
        return np.pad(user, (0, length - len(user))), np.pad(bot, (0, length - len(bot)))

    def take_rest(self) -> tuple[Samples, Samples]:
        """Settle everything and remove it; the shorter track is filled up with silence."""
        for track in self.tracks.values():
            track.finish()
        end = max(track.laid for track in self.tracks.values())
        return self._take(end - self.tracks["user"].taken)

    def offset_ms(self, speaker: Speaker, index: int, end: bool = False) -> int:  # noqa: FBT001, FBT002
        """Return the place of a sample of `speaker` in the recording, in milliseconds."""
        position = self.tracks[speaker].position(index, end=end)
        return round(1000 * position / self.rate)

    def _take(self, count: int) -> tuple[Samples, Samples]:
        return self.tracks["user"].take(count), self.tracks["assistant"].take(count)

    def _since(self, origin_ns: int, now_ns: int) -> float:
        return (now_ns - origin_ns) * self.rate / 1_000_000_000
