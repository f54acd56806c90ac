"""The recording of one call: its two tracks, the utterances on them, and the edges of speech.

Pure: no Pipecat, no I/O, and time comes in as a value. Frames enter as plain values.
"""

from __future__ import annotations

from collections import defaultdict
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipecat_roark.channel import ChannelEnd
from pipecat_roark.moments import SECOND
from pipecat_roark.recording.audibility import PAUSE_SECS, RecentAudio
from pipecat_roark.recording.timeline import Timeline
from pipecat_roark.recording.utterance import Background, LateEnd, Sound, Utterance
from pipecat_roark.silence import silence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipecat_roark.moments import Edge, Frames, OffsetMs, Speaker
    from pipecat_roark.spans import Spans


class Source(NamedTuple):
    """Where frames come from, and their format; those that have it in common are laid together."""

    transport_source: str | None
    transport_destination: str | None
    user_id: str | None
    rate: int
    channels: int

    @property
    def line(self) -> tuple[str | None, str | None, str | None]:
        """Its line: several lines of one speaker may sound at the same time."""
        return self[:3]


class Stereo(NamedTuple):
    """Audio of both channels, of the same length."""

    user: bytes
    bot: bytes

    def interleaved(self) -> bytes:
        """Return 32-bit words, little-endian, with the sample of the user in the lower half."""
        # A `BytesIO` gives its memory away, while an array would be copied: new memory costs more
        # than the work.
        memory = BytesIO()
        memory.writelines(self)
        words = np.frombuffer(memory.getbuffer(), "<u4")
        words[:] = np.frombuffer(self.bot, "<u2")
        words <<= 16
        words |= np.frombuffer(self.user, "<u2")
        del words  # as long as it is there, the memory isn't given away
        return memory.getvalue()

    @classmethod
    def split(cls, pcm: bytes) -> Stereo:
        """Return both channels of interleaved audio."""
        samples = np.frombuffer(pcm, "<i2").reshape(-1, 2)
        return cls(samples[:, 0].tobytes(), samples[:, 1].tobytes())


class Recording:
    """The recording of one call, from its first audio on.

    Args:
        rate: Its sample rate in Hz.
        paced: Whether the bot's audio comes as it is played, rather than as it is made.
        pauses: When the recording is paused. Audio of these times goes out as silence, whenever
            it arrived; where speech begins and ends in it is still found.
    """

    def __init__(self, rate: int, *, paced: bool, pauses: Spans) -> None:
        self.rate = rate
        """Its sample rate in Hz."""
        self._paced = paced
        self._pauses = pauses
        self._timeline: Timeline | None = None
        self._user_audio = RecentAudio(rate)
        self._user_spoke_until = 0
        """Sample at which the user's latest speech ended, as its detector found."""
        self._utterances: dict[str | None, Utterance] = {}
        self._ended: dict[str | None, tuple[Utterance, int]] = {}
        """The latest utterance at each destination that is over, and when that was announced."""
        self._backgrounds: defaultdict[str | None, Background] = defaultdict(Background)

    @property
    def origin_ns(self) -> int | None:
        """Pipeline time of sample 0; None while nothing is recorded."""
        return self._timeline.origin_ns if self._timeline else None

    @property
    def offset_ms(self) -> OffsetMs | None:
        """Returns the place of a sample in the recording; None while nothing is recorded."""
        return self._timeline.offset_ms if self._timeline else None

    @property
    def has_user_audio(self) -> bool:
        """Whether any audio of the user was recorded."""
        return self._timeline is not None and self._timeline.track("user").received > 0

    @property
    def waiting(self) -> bool:
        """Whether it holds audio that was not removed."""
        return self._timeline is not None and self._timeline.waiting

    def pace(self) -> None:
        """Expect the bot's audio as it is played from now on."""
        self._paced = True
        if self._timeline is not None:
            self._timeline.pace()

    # Audio comes in

    def lay(self, speaker: Speaker, source: Source, frames: Frames) -> Sound | LateEnd | None:
        """Lay consecutive frames of one source.

        Returns:
            The first sound of an utterance of the bot, or the last one of an utterance that was
            announced over, if it is in these frames.
        """
        rate, channels = source.rate, source.channels
        if channels > 1 or any(size % 2 or not size for size in {len(pcm) for pcm, _ in frames}):
            frames = [(mono, at) for pcm, at in frames if (mono := _mono(pcm, channels))]
        if not frames:
            return None
        utterance = self._utterances.get(source.transport_destination) if speaker == "bot" else None
        played = utterance.as_played(frames, rate) if utterance and self._paced else frames
        if self._timeline is None:
            pcm, at = played[0]
            origin = at - len(pcm) // 2 * SECOND // rate
            self._timeline = Timeline(self.rate, origin, paced=self._paced)
        if speaker == "user":
            index = self._timeline.add(speaker, frames, rate, line=source.line)
            if index is not None:
                self._user_audio.add(frames, rate, index)
            return None
        begins = utterance is not None and not utterance.begun
        index = self._timeline.add(speaker, played, rate, line=source.line, begins=begins)
        if utterance is not None:
            return utterance.add(frames, rate, index)
        late = self._late(source.transport_destination, frames, rate)
        if len(late) < len(frames):
            self._backgrounds[source.transport_destination].add(frames[len(late) :], rate)
        return self._late_end(source.transport_destination, late, rate, index) if late else None

    # Speech begins and ends

    def bot_started(self, destination: str | None, at: int) -> None:
        """Expect an utterance of the bot, announced at `at`, at a destination of the output."""
        noise = self._backgrounds[destination].interrupt()
        # In background sound its frames follow those before without a gap, as they are.
        begins = at if noise is None else 0
        self._utterances[destination] = Utterance(self.rate, noise, announced_ns=begins)

    def bot_stopped(self, destination: str | None, at: int) -> Edge | None:
        """End an utterance of the bot at `at`; return where it was heard last, if it was heard."""
        utterance = self._utterances.pop(destination, None)
        if utterance is None:
            return None
        self._ended[destination] = utterance, at
        return utterance.end()

    def bot_silenced(self) -> list[Edge]:
        """End all utterances of the bot; return where each was heard last."""
        edges = [self.bot_stopped(destination, 0) for destination in [*self._utterances]]
        return [edge for edge in edges if edge]

    def user_onset(self, secs: float) -> int | None:
        """Return the sample at which the speech began that was detected after `secs` seconds."""
        if self._timeline is None:
            return None
        track = self._timeline.track("user")
        announced = track.onset(round(secs * self.rate))
        # A detector may find an end in the middle of a sound, and a beginning soon after.
        spoken_after = max(track.pause_before(announced, PAUSE_SECS), self._user_spoke_until)
        heard = self._user_audio.onset(announced, after=spoken_after)
        return track.onset(track.received - heard)

    def user_offset(self, secs: float) -> int | None:
        """Return the sample at which the speech ended that was followed by `secs` of silence."""
        if self._timeline is None:
            return None
        track = self._timeline.track("user")
        announced = track.offset(round(secs * self.rate))
        self._user_spoke_until = self._user_audio.offset(announced)
        return track.offset(track.received - self._user_spoke_until)

    def _late(self, destination: str | None, frames: Frames, rate: int) -> Frames:
        """Return the frames of which most was played when the utterance before was announced over.

        Until 1.3.0, an output announces the end before it passes the last frame on.
        """
        if destination not in self._ended:
            return []
        _, until = self._ended[destination]
        half = [len(pcm) // 4 * SECOND // rate for pcm, _ in frames]
        played = [at - secs < until for (_, at), secs in zip(frames, half, strict=True)]
        return frames[: sum(played)]

    def _late_end(
        self, destination: str | None, frames: Frames, rate: int, index: int | None
    ) -> LateEnd | None:
        """Add the last frames of an utterance that is over; return where it ends then."""
        utterance, _ = self._ended[destination]
        before = utterance.end()
        utterance.add(frames, rate, index)
        edge = utterance.end()
        return LateEnd(frames[-1][1], edge) if edge and edge != before else None

    # Audio goes out

    def pop_decided(self, count: int, now_ns: int) -> Stereo | None:
        """Remove `count` samples of both channels; None if they may still change."""
        place = self._popped
        chunk = self._timeline.pop_decided(count, now_ns) if self._timeline else None
        return self._paused(Stereo(*chunk), place) if chunk else None

    def pop_rest(self, count: int) -> Iterator[Stereo]:
        """Decide everything, and remove it in pieces of `count` samples and a last one."""
        left = self._timeline.decide_all() if self._timeline else 0
        while self._timeline and left > 0:
            place = self._popped
            yield self._paused(Stereo(*self._timeline.pop_front(min(count, left))), place)
            left -= count

    def peek(self) -> bytes:
        """Return the audio that is laid and not removed, interleaved."""
        if self._timeline is None:
            return b""
        return self._paused(Stereo(*self._timeline.peek()), self._popped).interleaved()

    def preview(self, speaker: Speaker, start: int, laid_ns: Mapping[Speaker, int]) -> ChannelEnd:
        """Return the end of a speaker's channel that was not removed, as it looks now.

        Args:
            speaker: The speaker.
            start: How many bytes at its front to leave out, as far as they are settled.
            laid_ns: Time up to which all frames of each speaker were laid.
        """
        if self._timeline is None:
            return ChannelEnd()
        settled = self._timeline.settled(speaker, laid_ns)
        first = min(start // 2, settled)
        pcm = self._timeline.preview(speaker, first)
        return ChannelEnd(2 * first, self._hushed(pcm, self._popped + first), 2 * settled)

    @property
    def _popped(self) -> int:
        """How many samples were removed."""
        return self._timeline.track("user").popped if self._timeline else 0

    def _paused(self, audio: Stereo, place: int) -> Stereo:
        """Return audio that lies at a sample of the recording, with silence in the pauses."""
        return Stereo(*(self._hushed(side, place) for side in audio))

    def _hushed(self, side: bytes, place: int) -> bytes:
        """Return one channel that lies at a sample of the recording, with silence in the pauses."""
        origin, count = self.origin_ns or 0, len(side) // 2
        # A sample of which a part lies in a pause is silent, so the last one counts as a whole.
        start, until = place * SECOND // self.rate, -((place + count) * -SECOND // self.rate)
        parts = self._pauses.within(origin + start, origin + until)
        for begin, end in parts:
            first = max(0, (begin - origin) * self.rate // SECOND - place)
            last = min(count, -((origin - end) * self.rate // SECOND) - place)
            if (first, last) == (0, count):
                return silence(2 * count)
            side = side[: 2 * first] + bytes(2 * (last - first)) + side[2 * last :]
        return side


def _mono(audio: bytes, channels: int) -> bytes:
    """Return whole sample frames as mono; an incomplete one at the end is dropped."""
    whole = audio[: len(audio) - len(audio) % (2 * channels)]
    if channels == 1:
        return whole
    mixed = np.frombuffer(whole, "<i2").reshape(-1, channels).mean(axis=1)
    mono: bytes = mixed.astype("<i2").tobytes()
    return mono
