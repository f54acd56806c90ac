"""The two tracks of a call on one real timeline: where every sample belongs.

The rules:

1. Sample 0 is the first sample of the call's first audio frame, at the time when it was spoken.
   Frames of the user that waited before anybody read them catch up with the clock in the first
   `HOLD_SECS`. The smallest delay among them gives the time of the first one, and if that is before
   sample 0, the origin moves there.
2. A track holds every sample that it received, once, in order.
3. Silence stands where there was no audio, and only there. A frame's audio ends when the frame
   arrives, so a frame that arrives late by more than its own length *may* follow a gap. It may also
   follow a stall, after which a burst of frames catches up with the clock. So a pause is decided
   after `SETTLE_SECS`: the gap is the smallest delay among the frames seen since. An utterance of
   the bot never begins before its announcement, even if its frames arrive as they begin to play.
4. Audio that arrives faster than real time runs ahead of the clock and is kept whole.
5. What was removed from the front never changes afterwards.
6. Lines of a speaker that may sound at once, such as two destinations of a transport, are tracks of
   their own until they are removed, and mixed then.

Pure: no I/O, and time comes in as a value. A *position* counts the samples of the timeline; an
*index* counts the samples that a track received, without the silence between them. An edge of
speech is noted as an index, because its position is known only when the pause before it is decided.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from pipecat_roark.moments import SECOND
from pipecat_roark.recording.track import Track

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from pipecat_roark.moments import Frames, Speaker


class Timeline:
    """The two tracks of a call.

    Args:
        rate: Sample rate of the recording in Hz.
        origin_ns: Clock time of sample 0 in nanoseconds, as far as it is known at the first frame.
        paced: Whether the bot's audio comes as it is played, rather than as it is made.
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
        """Return the track of the speaker's first line, the only one that gives places."""
        return self._tracks[speaker][0]

    def pace(self) -> None:
        """Expect the bot's audio as it is played from now on."""
        self._paced = True
        for track in self._tracks["bot"]:
            track.paced = True

    def add(
        self,
        speaker: Speaker,
        frames: Frames,
        rate: int,
        *,
        line: Hashable = None,
        begins: bool = False,
    ) -> int | None:
        """Add frames of `speaker`; see `Track.add`.

        Returns:
            The index of the first sample, or None if the frames are not of the first `line`.
        """
        track = self._lines.get((speaker, line)) or self._open(speaker, line)
        index = track.received if track is self.track(speaker) else None
        track.add(frames, rate, begins=begins)
        if track.early:
            self._move_origin(track.early, track)
        return index

    def pop_decided(self, count: int, now_ns: int) -> tuple[bytes, bytes] | None:
        """Remove `count` samples of both tracks from the front; None if they may still change."""
        if any(track.decided(now_ns) - track.popped < count for track in self._all()):
            return None
        return self.pop_front(count)

    @property
    def waiting(self) -> bool:
        """Whether a track holds audio that was not removed."""
        return any(track.waiting for track in self._all())

    def peek(self) -> tuple[bytes, bytes]:
        """Return the audio that is laid and not removed, with silence behind the shorter track."""
        user, bot = (_mix([track.peek() for track in lines]) for lines in self._tracks.values())
        length = max(len(user), len(bot))
        return user.ljust(length, b"\0"), bot.ljust(length, b"\0")

    def settled(self, speaker: Speaker, laid_ns: Mapping[Speaker, int]) -> int:
        """Return how many samples of a speaker, of those not removed, do not change any more.

        Args:
            speaker: The speaker.
            laid_ns: Time up to which all frames of each speaker were laid.
        """
        # What opens a track may still move both of them; later, what is laid stays.
        for side, lines in self._tracks.items():
            if any(track.may_move(laid_ns[side]) for track in lines):
                return 0
        now_ns = laid_ns[speaker]
        return min(track.settled(now_ns) - track.popped for track in self._tracks[speaker])

    def preview(self, speaker: Speaker, start: int) -> bytes:
        """Return the audio of a speaker that was not removed, as it looks now.

        Args:
            speaker: The speaker.
            start: How many samples at the front to leave out; all of them are settled.
        """
        return _mix([track.preview(start) for track in self._tracks[speaker]])

    def decide_all(self) -> int:
        """Decide everything; return how many samples are left of the longer track."""
        for track in self._all():
            track.decide_all()
        return max(track.laid - track.popped for track in self._all())

    def pop_rest(self) -> tuple[bytes, bytes]:
        """Decide everything and remove it; silence fills up the shorter track."""
        return self.pop_front(self.decide_all())

    def pop_front(self, count: int) -> tuple[bytes, bytes]:
        """Remove `count` samples of both tracks from the front, with silence where none are."""
        user, bot = (
            _mix([track.pop_front(count) for track in lines]) for lines in self._tracks.values()
        )
        return user, bot

    def offset_ms(self, speaker: Speaker, index: int, end: bool = False) -> int:  # noqa: FBT001, FBT002
        """Return the place of a sample of `speaker` in the recording, in milliseconds."""
        return round(1000 * self.track(speaker).position(index, end=end) / self.rate)

    def _move_origin(self, count: int, spoken: Track) -> None:
        self.origin_ns -= count * SECOND // self.rate
        for track in self._all():
            track.move_origin(count, spoken=track is spoken)

    def _open(self, speaker: Speaker, line: Hashable) -> Track:
        tracks = self._tracks[speaker]
        if tracks[0].received:
            tracks.append(self._new_track(speaker, popped=tracks[0].popped))
        self._lines[speaker, line] = tracks[-1]
        return tracks[-1]

    def _new_track(self, speaker: Speaker, *, popped: int = 0) -> Track:
        paced = self._paced or speaker == "user"
        opens = speaker == "user"
        return Track(self.rate, self.origin_ns, paced=paced, opens=opens, popped=popped)

    def _all(self) -> Iterator[Track]:
        return chain.from_iterable(self._tracks.values())


def _mix(lines: list[bytes]) -> bytes:
    """Return the sum of lines that sound at once; a sum beyond 16 bits is clipped."""
    if len(lines) == 1:
        return lines[0]
    total = np.zeros(max(map(len, lines)) // 2, np.int32)
    for line in lines:
        total[: len(line) // 2] += np.frombuffer(line, "<i2")
    mixed: bytes = total.clip(-(2**15), 2**15 - 1).astype("<i2").tobytes()
    return mixed
