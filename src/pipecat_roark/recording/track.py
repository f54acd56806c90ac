"""One line of audio on the timeline: each sample that it received, and silence where none came.

Pure: no I/O, and time comes in as a value. A *position* counts the samples of the timeline; an
*index* counts the samples that the track received, without the silence between them. The rules
stand in `timeline.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.moments import SECOND
from pipecat_roark.recording.converter import Converter, converted
from pipecat_roark.recording.opening import Opening
from pipecat_roark.recording.pauses import Pauses, Segment
from pipecat_roark.recording.samples import SampleQueue

if TYPE_CHECKING:
    from pipecat_roark.moments import Frames

GAP_SECS = 0.015
"""A frame may follow a gap if it comes later than its length explains by more than this.

A smaller delay is jitter, so the speech of a slightly slow sender isn't torn. What it is late by is
made up for at the next pause.
"""
SETTLE_SECS = 0.5
"""A pause is decided after this time, in which a burst of frames may still catch up."""
HOLD_SECS = 2.0
"""The longest stall that is mended; after it, a track without frames counts as silent."""
NEAR_SECS = 0.03
"""How far a detector may miss the place at which speech begins or ends beside a pause.

It hears whole frames, of 10 to 30 ms.
"""
_OPENING_JITTER_SECS = 0.001
"""How much less a frame must be delayed than the first ones to show that they waited.

It is small: a delay that counted as jitter here would move the user against the bot for the whole
call.
"""
_JITTER_RELEASE = 0.01
"""Seconds per second by which the memory of the smallest delay fades."""


class Track:
    """One line of audio on the timeline.

    Args:
        rate: Sample rate of the track in Hz.
        origin_ns: Clock time of position 0 in nanoseconds.
        paced: Whether frames are sent in real time; otherwise no frame can come late.
        opens: Whether its first frames may have waited before anybody read them.
        popped: Position up to which the tracks beside it were removed.
    """

    def __init__(
        self,
        rate: int,
        origin_ns: int,
        *,
        paced: bool = True,
        opens: bool = False,
        popped: int = 0,
    ) -> None:
        self._rate = rate
        self.paced = paced
        """Whether frames are sent in real time."""
        self._origin_ns = origin_ns
        self.popped = popped
        """Position up to which the track was removed."""
        self.laid = popped
        """Position up to which the track is laid."""
        self._queue = SampleQueue()
        self._converter = Converter(rate)
        self._unlaid: list[tuple[bytes, int]] = []
        self._end, self._received = float(popped), 0.0
        self._arrival = float("-inf")
        self._pauses = Pauses(GAP_SECS * rate, round(NEAR_SECS * rate))
        self._opening = Opening(int(HOLD_SECS * SECOND), _OPENING_JITTER_SECS * rate)
        if popped or not opens:
            self._opening.close()

    @property
    def received(self) -> int:
        """Index of the next sample: how many were received so far, at the track's rate."""
        return round(self._received)

    @property
    def waiting(self) -> bool:
        """Whether the track holds audio that was not removed."""
        return self.laid > self.popped or bool(self._pauses) or self._converter.held_back >= 1

    def peek(self) -> bytes:
        """Return the audio that is laid and not removed."""
        return self._queue.peek()

    def preview(self, start: int) -> bytes:
        """Return the audio that is laid and not removed, and behind it the undecided audio.

        Args:
            start: How many samples at the front to leave out; all of them are laid.
        """
        audio = [self._queue.peek(start)]
        for segment, silence in self._pauses.decisions():
            audio += [bytes(2 * silence), converted(segment.audio, self._rate)]
        return b"".join(audio)

    def add(self, frames: Frames, rate: int, *, begins: bool = False) -> None:
        """Add the next frames.

        Args:
            frames: Their samples and arrivals; a frame's audio ends when it arrives.
            rate: Their sample rate in Hz.
            begins: Whether an utterance is known to begin here, so that what comes before is a gap.
        """
        if self.paced and not (begins or self._pauses or self._opening.includes(frames[0][1])):
            # Frames of which the last is on time are one long frame: no gap is between them.
            pcm, at = b"".join([pcm for pcm, _ in frames]), frames[-1][1]
            lag = self._since(at) - self._length(pcm, rate) - self._end
            if lag - self._pauses.baseline <= GAP_SECS * self._rate:
                frames = [(pcm, at)]
        for pcm, arrival in frames:
            self._add(pcm, arrival, rate, begins=begins or not self.paced)
            begins = False
        self._lay()

    def may_move(self, now_ns: int) -> bool:
        """Return whether its first frames may have waited, or may still come."""
        return self._opening.may_include(now_ns)

    def settled(self, now_ns: int) -> int:
        """Return the position up to which all that was added is laid, if nothing moves it."""
        self._decide_due(self._since(now_ns))
        return self.laid

    def decided(self, now_ns: int) -> int:
        """Return the position up to which nothing changes any more."""
        if self._opening.includes(now_ns):
            return self.popped
        self._decide_due(self._since(now_ns))
        if self._pauses:
            return self.laid
        return max(self.laid, int(self._since(now_ns) - HOLD_SECS * self._rate))

    def decide_all(self) -> None:
        """Decide every pause, and lay the audio that the converter holds back."""
        while self._pauses:
            self._decide_first()
        self._append(self._converter.finish())

    def pop_front(self, count: int) -> bytes:
        """Remove `count` samples from the front, with silence where there are none."""
        if self.laid < self.popped + count:
            self._append(self._converter.finish())
            self._lay_silence(self.popped + count - self.laid)
        if count:
            self._opening.close()
        self.popped += count
        return self._queue.pop_front(count)

    @property
    def early(self) -> int:
        """By how many samples the audio began before sample 0, as far as it is known."""
        return self._opening.early()

    def move_origin(self, count: int, *, spoken: bool) -> None:
        """Adapt to an origin that is `count` samples earlier, while nothing was removed.

        Audio that was `spoken` earlier than it arrived goes there; any other stays at its time.
        """
        self._origin_ns -= count * SECOND // self._rate
        self._arrival += count
        if spoken or self._pauses.is_first:
            self._opening.move(count)
            self._pauses.move(count, delay=count)
            self._pauses.baseline += 0 if self._pauses.is_first else count
        elif self._received:
            self._pauses.move(count)
            self._queue.prepend_silence(count)
            self._pauses.gaps.add_in_front(count)
            self._end += count
            self.laid += count

    def onset(self, back: int) -> int:
        """Return the index at which speech began, `back` samples ago: not just before a pause."""
        return self._pauses.onset(self.received - back)

    def offset(self, back: int) -> int:
        """Return the index at which speech ended, `back` samples ago: not just after a pause."""
        return self._pauses.offset(self.received - back)

    def pause_before(self, index: int, secs: float) -> int:
        """Return the index behind the latest pause of `secs` or longer up to another; else 0."""
        return self._pauses.latest(index, secs * self._rate)

    def position(self, index: int, *, end: bool = False) -> int:
        """Return where on the timeline a sample lies; the end of speech lies before a gap."""
        return self._pauses.position(index, end=end)

    def _since(self, at: int) -> float:
        return (at - self._origin_ns) * self._rate / SECOND

    def _length(self, pcm: bytes, rate: int) -> float:
        return len(pcm) // 2 * self._rate / rate

    def _add(self, pcm: bytes, at: int, rate: int, *, begins: bool = False) -> None:
        now, length = self._since(at), self._length(pcm, rate)
        lag = now - length - self._end
        opening = self._opening.note(at, lag)
        pauses = self._pauses
        pause = min(now - length - self._arrival, lag - pauses.baseline)
        if pause > GAP_SECS * self._rate:
            pauses.open(Segment(self.received, now, begins, lag))
        if pauses:
            pauses.add(pcm, rate, lag)
        else:
            pauses.baseline = min(lag, pauses.baseline + _JITTER_RELEASE * length)
            self._unlaid.append((pcm, rate))
        self._end += length
        self._received += length
        self._arrival = now
        if not opening:
            self._decide_due(now)

    def _decide_due(self, now: float) -> None:
        while self._pauses.is_due(now - SETTLE_SECS * self._rate):
            self._decide_first()

    def _decide_first(self) -> None:
        """Lay the first segment that waits, behind the silence that it turned out to follow."""
        self._lay()
        segment, silence = self._pauses.decide()
        if silence:
            self._append(self._converter.finish())
            self._lay_silence(silence, index=segment.index)
        self._unlaid += segment.audio
        self._lay()

    def _lay(self) -> None:
        """Lay the frames that no pause precedes, together."""
        self._append(self._converter.push(self._unlaid))
        self._unlaid.clear()

    def _append(self, pcm: bytes) -> None:
        self._queue.append(pcm)
        self.laid += len(pcm) // 2
        error = self._converter.pop_error()
        self._end -= error
        self._received -= error

    def _lay_silence(self, count: int, index: int | None = None) -> None:
        if count > 0:
            self._queue.append_silence(count)
            self.laid += count
            self._end += count
            self._pauses.gaps.add(self.received if index is None else index, count)
