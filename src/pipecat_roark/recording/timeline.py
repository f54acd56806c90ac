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
6. Lines of a speaker that may sound at once, such as two destinations of a transport, are tracks of
   their own until they are taken, and mixed then.

Pure: no I/O, and time comes in as a value. Positions are samples on the timeline; an *index* counts
the samples that a track received, whatever silence was laid between them. A speaker's edge is noted
as an index, because its position is known only after the verdict on the pause before it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import soxr

from pipecat_roark.moments import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from pipecat_roark.moments import Frames, Speaker

GAP_SECS = 0.015
"""A frame that comes later than its length explains by more than this may follow a gap.

Less is jitter. So a sender that is a little slow doesn't tear speech: what it is late by is made up
for at the next pause.
"""
SETTLE_SECS = 0.5
"""How long after a pause a burst may still catch up."""
HOLD_SECS = 2.0
"""The longest stall that is mended; after it, a track without frames counts as silent."""
NEAR_SECS = 0.03
"""How far off the place may be at which a detector hears speech begin or end."""
_JITTER_RELEASE = 0.01
"""Seconds per second by which the memory of the least delay fades."""


class _Resampler:
    """Audio of one input rate without a gap, on its way to the track's rate."""

    def __init__(self, source_rate: int, rate: int) -> None:
        self.source_rate = source_rate
        self._ratio = rate / source_rate
        self._received = 0
        self._laid = 0
        self._stream = (
            None
            if source_rate == rate
            else soxr.ResampleStream(source_rate, rate, 1, dtype="int16", quality="VHQ")
        )

    def push(self, pcm: bytes, *, last: bool = False) -> bytes:
        """Convert what comes next; with `last`, also what the filter held back."""
        self._received += len(pcm) // 2
        if self._stream is not None:
            samples = np.frombuffer(pcm, "<i2").astype(np.int16, copy=False)
            samples = self._stream.resample_chunk(samples, last=last)
            pcm = samples.astype("<i2", copy=False).tobytes()
        self._laid += len(pcm) // 2
        return pcm

    @property
    def held_back(self) -> float:
        """Samples, at the track's rate, that were received but not yet laid."""
        return self._received * self._ratio - self._laid


@dataclass(slots=True)
class _Segment:
    """Frames that followed a pause whose length is not known yet."""

    index: int
    since: float
    begins: bool
    """Whether its first frame came on time, whatever the later ones seem to say."""
    lag: float
    audio: list[tuple[bytes, int]] = field(default_factory=list)


class Track:
    """One line of audio on the timeline.

    Args:
        rate: Sample rate of the track in Hz.
        origin_ns: Clock time of position 0 in nanoseconds.
        paced: Whether frames are sent in real time; otherwise none of them can come late.
        taken: Position up to which the tracks beside it were taken.
    """

    def __init__(self, rate: int, origin_ns: int, *, paced: bool = True, taken: int = 0) -> None:
        self._rate = rate
        self._paced = paced
        self._near = round(NEAR_SECS * rate)
        self._origin_ns = origin_ns
        self.taken = taken
        """Position up to which the track was taken."""
        self.laid = taken
        """Position up to which the track is laid."""
        self._pcm: deque[bytes] = deque()
        self._resampler: _Resampler | None = None
        self._end = float(taken)
        self._received = 0.0
        self._arrival = float("-inf")
        self._baseline = 0.0
        self._segments: deque[_Segment] = deque()
        self._gap_index = array("q")
        self._gap_total = array("q")

    @property
    def received(self) -> int:
        """Index of the next sample: how many were received so far, at the track's rate."""
        return round(self._received)

    @property
    def waiting(self) -> bool:
        """Whether audio was added that was not taken."""
        held_back = self._resampler.held_back if self._resampler else 0.0
        return self.laid > self.taken or bool(self._segments) or held_back >= 1

    def peek(self) -> bytes:
        """Return what is laid and not taken."""
        return b"".join(self._pcm)

    def preview(self) -> bytes:
        """Return what was added and not taken: what is laid, and the rest as it looks now."""
        audio = list(self._pcm)
        for segment, silence in self._verdicts():
            audio.append(bytes(2 * silence))
            audio += [
                _Resampler(rate, self._rate).push(pcm, last=True) for pcm, rate in segment.audio
            ]
        return b"".join(audio)

    def add(self, frames: Frames, rate: int, *, begins: bool = False) -> None:
        """Take the next frames.

        Args:
            frames: Their samples and arrivals; a frame's audio ends when it arrives.
            rate: Their sample rate in Hz.
            begins: Whether an utterance is known to begin here, so that what comes before is a gap.
        """
        if self._paced and not (begins or self._segments):
            # Frames that are on time at their end are one long frame: no gap is left between them.
            pcm, at = b"".join([pcm for pcm, _ in frames]), frames[-1][1]
            lag = self._since(at) - self._length(pcm, rate) - self._end
            if lag - self._baseline <= GAP_SECS * self._rate:
                self._add(pcm, at, rate)
                return
        for pcm, at in frames:
            self._add(pcm, at, rate, begins=begins or not self._paced)
            begins = False

    def settled(self, now_ns: int) -> int:
        """Return the position up to which nothing will change any more."""
        now = self._since(now_ns)
        self._settle(now)
        if self._segments:
            return self.laid
        return max(self.laid, int(now - HOLD_SECS * self._rate))

    def take(self, count: int) -> bytes:
        """Remove `count` samples from the front, with silence where there are none."""
        if self.laid < self.taken + count:
            self._finish_resampling()
            self._lay_silence(self.taken + count - self.laid)
        self.taken += count
        front, missing = [], 2 * count
        while missing:
            pcm = self._pcm.popleft()
            if len(pcm) > missing:
                self._pcm.appendleft(pcm[missing:])
                pcm = pcm[:missing]
            front.append(pcm)
            missing -= len(pcm)
        return b"".join(front)

    def finish(self) -> None:
        """Give the verdict on every pause and lay what the resampler holds back."""
        while self._segments:
            self._judge()
        self._finish_resampling()

    def onset(self, back: int) -> int:
        """Return the index at which speech began, `back` samples ago.

        A detector can be a frame early, so a place just before a pause means the one behind it.
        """
        index = self.received - back
        return next((start for start in self._pauses() if 0 <= start - index <= self._near), index)

    def offset(self, back: int) -> int:
        """Return the index at which speech ended, `back` samples ago: not just after a pause."""
        index = self.received - back
        return next((start for start in self._pauses() if 0 <= index - start <= self._near), index)

    def pause_before(self, index: int) -> int:
        """Return the index at which the latest pause up to another was; 0 if there was none."""
        return max((start for start in self._pauses() if start <= index), default=0)

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

    def _pauses(self) -> list[int]:
        """Return where the latest pauses are, whatever the verdict on them."""
        return [*self._gap_index[-4:], *(segment.index for segment in self._segments)]

    def _since(self, at: int) -> float:
        return (at - self._origin_ns) * self._rate / SECOND

    def _length(self, pcm: bytes, rate: int) -> float:
        return len(pcm) // 2 * self._rate / rate

    def _add(self, pcm: bytes, at: int, rate: int, *, begins: bool = False) -> None:
        now, length = self._since(at), self._length(pcm, rate)
        lag = now - length - self._end
        pause = min(now - length - self._arrival, lag - self._baseline)
        if pause > GAP_SECS * self._rate:
            self._segments.append(_Segment(self.received, now, begins, lag))
        if self._segments:
            segment = self._segments[-1]
            segment.audio.append((pcm, rate))
            segment.lag = segment.lag if segment.begins else min(segment.lag, lag)
        else:
            self._baseline = min(lag, self._baseline + _JITTER_RELEASE * length)
            self._lay(pcm, rate)
        self._end += length
        self._received += length
        self._arrival = now
        self._settle(now)

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
            later = [] if segment.begins else delays[-1:]
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
            self._finish_resampling()
            self._lay_silence(silence, index=segment.index)
            for other in self._segments:
                other.lag -= silence
        for pcm, rate in segment.audio:
            self._lay(pcm, rate)

    def _lay(self, pcm: bytes, rate: int) -> None:
        if self._resampler is None or self._resampler.source_rate != rate:
            self._finish_resampling()
            self._resampler = _Resampler(rate, self._rate)
        self._keep(self._resampler.push(pcm))

    def _keep(self, pcm: bytes) -> None:
        self._pcm.append(pcm)
        self.laid += len(pcm) // 2

    def _lay_silence(self, count: int, index: int | None = None) -> None:
        if count <= 0:
            return
        self._keep(bytes(2 * count))
        self._end += count
        total = self._gap_total[-1] if self._gap_total else 0
        self._gap_index.append(self.received if index is None else index)
        self._gap_total.append(total + count)

    def _finish_resampling(self) -> None:
        if self._resampler is None:
            return
        self._keep(self._resampler.push(b"", last=True))
        # The filter rounds the length of a stretch to whole samples; the track follows it.
        self._end -= self._resampler.held_back
        self._received -= self._resampler.held_back
        self._resampler = None


class Timeline:
    """The two tracks of a call.

    Args:
        rate: Sample rate of the recording in Hz.
        origin_ns: Clock time of sample 0 in nanoseconds.
        paced: Whether the assistant's audio comes as it is played, rather than as it is made.
    """

    def __init__(self, rate: int, origin_ns: int, *, paced: bool = True) -> None:
        self.rate = rate
        self.origin_ns = origin_ns
        self._paced = paced
        self._tracks: dict[Speaker, list[Track]] = {
            "user": [self._new_track("user")],
            "bot": [self._new_track("bot")],
        }
        self._lines: dict[tuple[Speaker, Hashable], Track] = {}

    def track(self, speaker: Speaker) -> Track:
        """Return the track of the speaker's first line, the one in which places are known."""
        return self._tracks[speaker][0]

    def add(
        self,
        speaker: Speaker,
        frames: Frames,
        rate: int,
        *,
        line: Hashable = None,
        begins: bool = False,
    ) -> int | None:
        """Lay frames of `speaker`; see `Track.add`.

        Returns:
            The index of the first sample, or None if the speaker had another `line` before.
        """
        track = self._lines.get((speaker, line)) or self._open(speaker, line)
        index = track.received if track is self.track(speaker) else None
        track.add(frames, rate, begins=begins)
        return index

    def take_settled(self, count: int, now_ns: int) -> tuple[bytes, bytes] | None:
        """Remove `count` samples of both tracks from the front, or nothing if they may change."""
        if any(track.settled(now_ns) - track.taken < count for track in self._all()):
            return None
        return self._take(count)

    @property
    def waiting(self) -> bool:
        """Whether audio was added that was not taken."""
        return any(track.waiting for track in self._all())

    def peek(self) -> tuple[bytes, bytes]:
        """Return what is laid and not taken, with silence behind the shorter track."""
        return self._level(Track.peek)

    def preview(self) -> tuple[bytes, bytes]:
        """Return what was added and not taken, as it looks now; nothing is settled by it."""
        return self._level(Track.preview)

    def take_rest(self) -> tuple[bytes, bytes]:
        """Settle everything and remove it; the shorter track is filled up with silence."""
        for track in self._all():
            track.finish()
        return self._take(max(track.laid - track.taken for track in self._all()))

    def offset_ms(self, speaker: Speaker, index: int, end: bool = False) -> int:  # noqa: FBT001, FBT002
        """Return the place of a sample of `speaker` in the recording, in milliseconds."""
        return round(1000 * self.track(speaker).position(index, end=end) / self.rate)

    def _open(self, speaker: Speaker, line: Hashable) -> Track:
        tracks = self._tracks[speaker]
        if tracks[0].received:
            tracks.append(self._new_track(speaker, taken=tracks[0].taken))
        self._lines[speaker, line] = tracks[-1]
        return tracks[-1]

    def _new_track(self, speaker: Speaker, *, taken: int = 0) -> Track:
        paced = self._paced or speaker == "user"
        return Track(self.rate, self.origin_ns, paced=paced, taken=taken)

    def _level(self, read: Callable[[Track], bytes]) -> tuple[bytes, bytes]:
        user, bot = (_mix([read(track) for track in lines]) for lines in self._tracks.values())
        length = max(len(user), len(bot))
        return user.ljust(length, b"\0"), bot.ljust(length, b"\0")

    def _all(self) -> Iterator[Track]:
        return chain.from_iterable(self._tracks.values())

    def _take(self, count: int) -> tuple[bytes, bytes]:
        user, bot = (
            _mix([track.take(count) for track in lines]) for lines in self._tracks.values()
        )
        return user, bot


def _mix(lines: list[bytes]) -> bytes:
    """Return the sum of what sounds at once; what is too loud for 16 bits is clipped."""
    if len(lines) == 1:
        return lines[0]
    total = np.zeros(max(map(len, lines)) // 2, np.int32)
    for line in lines:
        total[: len(line) // 2] += np.frombuffer(line, "<i2")
    mixed: bytes = total.clip(-(2**15), 2**15 - 1).astype("<i2").tobytes()
    return mixed
