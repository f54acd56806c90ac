"""The stereo recorder: an `AudioBufferProcessor` that lays audio out on the call's real timeline.

It stands after `transport.output()`, where every audio and speaking frame of a call passes inline.
So it is also the second eye of the observer, whose own queue lags behind and is dropped when the
pipeline ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from loguru import logger
from pipecat.frames import frames as pipecat_frames
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    StartFrame,
    StopFrame,
    UserAudioRawFrame,
)
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport

from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.moments import SECOND
from pipecat_roark.recording.audibility import RecentAudio
from pipecat_roark.recording.timeline import Timeline
from pipecat_roark.recording.utterance import Utterance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup

    from pipecat_roark.moments import Edge, Frames, Speaker

    _Arrival = tuple[InputAudioRawFrame | OutputAudioRawFrame, int]

CHANNELS = 2
"""Left is the user, right is the assistant."""
LAY_NS = SECOND // 2
"""How long frames wait to be laid together: most of what a short frame costs is the handling."""
_CHUNK_FRAMES = CHUNK_BYTES // (2 * CHANNELS)
_AUDIO = (InputAudioRawFrame, OutputAudioRawFrame)
# Pipelines can start and stop their recorders by frames on the newer Pipecats.
_STARTS = getattr(pipecat_frames, "AudioBufferStartRecordingFrame", ())
_STOPS = getattr(pipecat_frames, "AudioBufferStopRecordingFrame", ())
_ENDS = (EndFrame, CancelFrame, StopFrame)


@dataclass(slots=True)
class _Inbox:
    """Frames of one speaker that wait to be laid."""

    speaker: Speaker
    arrivals: list[_Arrival] = field(default_factory=list)
    lay_by: int = 0


class _Source(NamedTuple):
    """What frames have in common that can be laid together."""

    transport_source: str | None
    transport_destination: str | None
    user_id: str | None
    rate: int
    channels: int
    kind: type

    @property
    def line(self) -> tuple[str | None, str | None, str | None]:
        """What may sound at the same time as others of its kind."""
        return self.transport_source, self.transport_destination, self.user_id

    @property
    def usable(self) -> bool:
        """Whether its frames hold audio."""
        return self.rate > 0 and self.channels > 0 and issubclass(self.kind, (bytes, bytearray))


class StereoRecorder(AudioBufferProcessor):
    """Records a call in stereo, every sample at its time.

    It is an `AudioBufferProcessor` by type, placement, properties and the events `on_audio_data`,
    `on_track_audio_data`, `on_recording_started` and `on_recording_stopped` (the latter two where
    Pipecat has them). Unlike the stock one it records from the first frame on; a pause between
    `stop_recording` and `start_recording` is silence.

    Args:
        on_chunk: Takes the next stretch of the recording, interleaved.
        on_frame: Takes a frame that isn't audio, with its pipeline time.
        on_bot_audible: Takes the pipeline time, a place where the assistant can be heard, and
            whether it is the last of its speech rather than the first.
        on_setup: Takes what the pipeline sets its processors up with.
        on_cleanup: Finishes the call when the pipeline is over.
    """

    def __init__(
        self,
        *,
        on_chunk: Callable[[bytes], None],
        on_frame: Callable[[Frame, int], None],
        on_bot_audible: Callable[[int, Edge, Literal["from", "until"]], None],
        on_setup: Callable[[FrameProcessorSetup], None],
        on_cleanup: Callable[[], Awaitable[None]],
    ) -> None:
        # Direct mode: frames are handled as they pass, without a queue that an interruption drops.
        super().__init__(num_channels=CHANNELS, buffer_size=CHUNK_BYTES, enable_direct_mode=True)
        self.in_pipeline = False
        """Whether the pipeline's start passed here."""
        self.after_output = False
        """Whether an output transport stands before it."""
        self._on_chunk = on_chunk
        self._on_frame = on_frame
        self._on_bot_audible = on_bot_audible
        self._on_setup = on_setup
        self._on_cleanup = on_cleanup
        self._guard = ErrorBoundary("recorder")
        self._now: Callable[[], int] = int
        self._timeline: Timeline | None = None
        self._hearing: RecentAudio  # as long as the timeline
        self._armed = True
        self._user = _Inbox("user")
        self._assistant = _Inbox("bot")
        self._inboxes: dict[type, _Inbox] = {}
        self._utterances: dict[str | None, Utterance] = {}
        self._told_unusable = False

    @property
    def origin_ns(self) -> int | None:
        """Pipeline time of sample 0, or None while nothing was recorded."""
        return self._timeline.origin_ns if self._timeline else None

    @property
    def offset_ms(self) -> Callable[[Speaker, int, bool], int] | None:
        """Places a received sample in the recording; None while nothing was recorded."""
        return self._timeline.offset_ms if self._timeline else None

    def user_onset(self, secs: float) -> int | None:
        """Return the sample at which the user's speech began that was heard for `secs` by now."""
        if self._timeline is None:
            return None
        track = self._timeline.track("user")
        announced = track.onset(round(secs * self._timeline.rate))
        heard = self._hearing.onset(announced, after=track.pause_before(announced))
        return track.onset(track.received - heard)

    def user_offset(self, secs: float) -> int | None:
        """Return the sample at which the user's speech ended, `secs` of silence ago."""
        if self._timeline is None:
            return None
        track = self._timeline.track("user")
        announced = track.offset(round(secs * self._timeline.rate))
        return track.offset(track.received - self._hearing.offset(announced))

    def has_audio(self) -> bool:
        """Return whether there is audio that no event has handed out yet."""
        self._lay_all()
        return self._timeline is not None and self._timeline.waiting

    def merge_audio_buffers(self) -> bytes:
        """Return the audio that is laid and not handed out yet, interleaved."""
        self._lay_all()
        return b"" if self._timeline is None else _interleave(*self._timeline.peek())

    def tail(self) -> bytes:
        """Return all audio that no event has handed out yet, interleaved, as it looks now."""
        self._lay_all()
        return b"" if self._timeline is None else _interleave(*self._timeline.preview())

    async def start_recording(self) -> None:
        """Record again after `stop_recording`; what was recorded stays."""
        if not self._armed:
            self._lay_all()
            self._armed = True
            await self._call_event_handler("on_recording_started")

    async def stop_recording(self) -> None:
        """Hand out what is left, and ignore audio until `start_recording`."""
        if not self._armed:
            return
        self._lay_all()
        self._armed = False
        for destination in [*self._utterances]:
            self._hush(destination, self._now())
        if self._timeline is not None and self._timeline.waiting:
            await self._hand_out(*self._timeline.take_rest())
        await self._call_event_handler("on_recording_stopped")

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]  # as Pipecat's own
        """Prepare for a pipeline."""
        await super().setup(setup)
        self._now = setup.clock.get_time
        with self._guard:
            self._on_setup(setup)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Record a frame and pass it on."""
        # Past the stock recorder, whose own layout is what this one replaces.
        await FrameProcessor.process_frame(self, frame, direction)
        now = self._now()
        inbox = self._inboxes.get(type(frame))
        if inbox is not None and now < inbox.lay_by:
            inbox.arrivals.append((frame, now))  # type: ignore[arg-type]  # an inbox takes audio
        else:
            with self._guard:
                await self._see(frame, now)
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Finish the call: no frame comes any more."""
        await super().cleanup()  # type: ignore[no-untyped-call]  # Pipecat annotates nothing here
        with self._guard:
            await self._on_cleanup()

    async def _see(self, frame: Frame, now: int) -> None:
        if isinstance(frame, _AUDIO):
            await self._record(frame, now)
            return
        self._lay_all()
        if isinstance(frame, StartFrame):
            await self._start(frame)
        elif isinstance(frame, BotStartedSpeakingFrame):
            self._utterances[frame.transport_destination] = Utterance(self._sample_rate)
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self._hush(frame.transport_destination, now)
        elif isinstance(frame, _STARTS):
            await self.start_recording()
        elif isinstance(frame, (_STOPS, *_ENDS)):
            await self.stop_recording()
        self._on_frame(frame, now)

    async def _start(self, frame: StartFrame) -> None:
        self.in_pipeline = True
        self.after_output = follows_output(self)
        # From 1.8.0 on it came with the setup.
        self._sample_rate = self._sample_rate or frame.audio_out_sample_rate
        if self._armed:
            await self._call_event_handler("on_recording_started")

    async def _record(self, frame: InputAudioRawFrame | OutputAudioRawFrame, now: int) -> None:
        """Take a frame, and then do one piece of work, so that none holds up the event loop."""
        inbox = self._user if isinstance(frame, InputAudioRawFrame) else self._assistant
        self._inboxes[type(frame)] = inbox
        inbox.arrivals.append((frame, now))
        if self._armed and self._timeline is not None:
            waiting = (box.arrivals[0] for box in (self._user, self._assistant) if box.arrivals)
            oldest = min(arrival for _, arrival in waiting)
            chunk = self._timeline.take_settled(_CHUNK_FRAMES, oldest)
            if chunk is not None:
                await self._hand_out(*chunk)
                return
            inbox.lay_by = now + LAY_NS
        self._lay(inbox)

    def _lay_all(self) -> None:
        self._lay(self._user)
        self._lay(self._assistant)

    def _lay(self, inbox: _Inbox) -> None:
        arrivals, inbox.arrivals = inbox.arrivals, []
        if self._armed:
            for source, frames in _runs(arrivals):
                if source.usable:
                    self._lay_run(inbox.speaker, source, frames)
                else:
                    self._skip(source)

    def _lay_run(self, speaker: Speaker, source: _Source, frames: Frames) -> None:
        """Lay consecutive frames of one source."""
        rate, channels = source.rate, source.channels
        if channels > 1 or any(size % 2 or not size for size in {len(pcm) for pcm, _ in frames}):
            frames = [(mono, at) for pcm, at in frames if (mono := _mono(pcm, channels))]
        if not frames:
            return
        if self._timeline is None:
            pcm, at = frames[0]
            origin = at - len(pcm) // 2 * SECOND // rate
            self._timeline = Timeline(self._sample_rate, origin, paced=self.after_output)
            self._hearing = RecentAudio(self._sample_rate)
        if speaker == "user":
            index = self._timeline.add(speaker, frames, rate, line=source.line)
            if index is not None:
                self._hearing.add(frames, rate, index)
            return
        utterance = self._utterances.get(source.transport_destination)
        begins = utterance is not None and not utterance.begun
        index = self._timeline.add(speaker, frames, rate, line=source.line, begins=begins)
        sound = utterance.add(frames, rate, index) if utterance is not None else None
        if sound is not None:
            self._on_bot_audible(sound.arrival, sound.edge, "from")

    def _skip(self, source: _Source) -> None:
        if not self._told_unusable:
            self._told_unusable = True
            logger.warning(
                f"Roark: audio of {source.rate} Hz and {source.channels} channels in "
                f"{source.kind.__name__} can't be recorded; such frames are left out."
            )

    def _hush(self, destination: str | None, now: int) -> None:
        utterance = self._utterances.pop(destination, None)
        end = utterance.end() if utterance is not None else None
        if end is not None:
            self._on_bot_audible(now, end, "until")

    async def _hand_out(self, user: bytes, assistant: bytes) -> None:
        stereo = _interleave(user, assistant)
        self._on_chunk(stereo)
        form = self._sample_rate, CHANNELS
        await self._call_event_handler("on_audio_data", stereo, *form)
        await self._call_event_handler("on_track_audio_data", user, assistant, *form)


def follows_output(processor: FrameProcessor) -> bool:
    """Return whether an output transport stands before a processor in its pipeline."""
    before = processor.previous
    while before is not None and not isinstance(before, BaseOutputTransport):
        before = before.previous
    return before is not None


def _runs(arrivals: list[_Arrival]) -> Iterator[tuple[_Source, Frames]]:
    """Yield consecutive frames that can be laid together; per frame it calls nothing."""
    common: tuple[object, ...] = ()
    frames: list[tuple[bytes, int]] = []
    for frame, at in arrivals:
        own = (
            frame.transport_source,
            frame.transport_destination,
            frame.user_id if isinstance(frame, UserAudioRawFrame) else None,
            frame.sample_rate,
            frame.num_channels,
            type(frame.audio),
        )
        if own != common:
            if frames:
                yield _Source._make(common), frames
            common, frames = own, []
        frames.append((frame.audio, at))
    if frames:
        yield _Source._make(common), frames


def _mono(audio: bytes, channels: int) -> bytes:
    """Return whole sample frames as mono; a torn one at the end can't be used."""
    whole = audio[: len(audio) - len(audio) % (2 * channels)]
    if channels == 1:
        return whole
    mixed = np.frombuffer(whole, "<i2").reshape(-1, channels).mean(axis=1)
    mono: bytes = mixed.astype("<i2").tobytes()
    return mono


def _interleave(left: bytes, right: bytes) -> bytes:
    """Return stereo: words of 32 bits, little-endian, with the left sample in the lower half."""
    words = np.frombuffer(right, "<u2").astype("<u4")
    words <<= 16
    words |= np.frombuffer(left, "<u2")
    return words.tobytes()
