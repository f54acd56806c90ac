"""The stereo recorder: an `AudioBufferProcessor` that lays audio out on the call's real timeline.

It stands after `transport.output()`, where every audio and speaking frame of a call passes inline.
So it is also the second eye of the observer, whose own queue lags behind and is dropped when the
pipeline ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
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
)
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.transports.base_output import BaseOutputTransport

from pipecat_roark.conversation import Edge
from pipecat_roark.delivery import CHUNK_BYTES
from pipecat_roark.guard import Guard
from pipecat_roark.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat.processors.frame_processor import (
        FrameDirection,
        FrameProcessor,
        FrameProcessorSetup,
    )

    from pipecat_roark.timeline import Samples, Speaker

CHANNELS = 2
"""Left is the user, right is the assistant."""
AUDIBLE = 100
"""Amplitude from which a 16-bit sample counts as heard: -50 dB of full scale."""
_CHUNK_FRAMES = CHUNK_BYTES // (2 * CHANNELS)
_SECOND_NS = 1_000_000_000


class StereoRecorder(AudioBufferProcessor):
    """Records a call in stereo, every sample at its time.

    It is an `AudioBufferProcessor` by type, placement, properties and the events `on_audio_data`,
    `on_track_audio_data`, `on_recording_started` and `on_recording_stopped` (the latter two where
    Pipecat has them). Unlike the stock one it records from the first frame on.

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
        self._guard = Guard("recorder")
        self._timeline: Timeline | None = None
        self._armed = True
        self._bot_speaks = False
        self._bot_heard: Edge | None = None

    @property
    def origin_ns(self) -> int | None:
        """Pipeline time of sample 0, or None while nothing was recorded."""
        return self._timeline.origin_ns if self._timeline else None

    @property
    def offset_ms(self) -> Callable[[Speaker, int, bool], int] | None:
        """Places a received sample in the recording; None before the start."""
        return self._timeline.offset_ms if self._timeline else None

    def user_onset(self, secs: float) -> int | None:
        """Return the sample at which the user's speech began that was heard for `secs` by now."""
        if self._timeline is None:
            return None
        return self._timeline.tracks["user"].onset(round(secs * self._timeline.rate))

    def user_offset(self, secs: float) -> int | None:
        """Return the sample at which the user's speech ended, `secs` of silence ago."""
        if self._timeline is None:
            return None
        return self._timeline.tracks["user"].received - round(secs * self._timeline.rate)

    def has_audio(self) -> bool:
        """Return whether there is audio that no event has handed out yet."""
        return self._timeline is not None and self._timeline.waiting

    def merge_audio_buffers(self) -> bytes:
        """Return the audio that is laid and not handed out yet, interleaved."""
        return b"" if self._timeline is None else _interleave(*self._timeline.peek())

    async def start_recording(self) -> None:
        """Record again after `stop_recording`; what was recorded stays."""
        if not self._armed:
            self._armed = True
            await self._call_event_handler("on_recording_started")

    async def stop_recording(self) -> None:
        """Hand out what is left, and ignore audio until `start_recording`."""
        if not self._armed:
            return
        self._armed = False
        if self._timeline is not None:
            self._hush(self.get_clock().get_time())
            if self._timeline.waiting:
                await self._hand_out(*self._timeline.take_rest())
        await self._call_event_handler("on_recording_stopped")

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]  # as Pipecat's own
        """Prepare for a pipeline."""
        await super().setup(setup)
        with self._guard:
            self._on_setup(setup)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Record a frame and pass it on."""
        # Past the stock recorder, whose own layout is what this one replaces.
        await super(AudioBufferProcessor, self).process_frame(frame, direction)
        with self._guard:
            await self._see(frame)
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Finish the call: no frame comes any more."""
        await super().cleanup()  # type: ignore[no-untyped-call]  # Pipecat annotates nothing here
        with self._guard:
            await self._on_cleanup()

    async def _see(self, frame: Frame) -> None:
        now = self.get_clock().get_time()
        if isinstance(frame, InputAudioRawFrame):
            await self._record("user", frame, now)
        elif isinstance(frame, OutputAudioRawFrame):
            await self._record("assistant", frame, now)
        else:
            if isinstance(frame, StartFrame):
                self._start(frame)
            elif isinstance(frame, BotStartedSpeakingFrame):
                self._bot_speaks, self._bot_heard = True, None
            elif isinstance(frame, BotStoppedSpeakingFrame):
                self._hush(now)
            elif isinstance(frame, (EndFrame, CancelFrame, StopFrame)):
                await self.stop_recording()
            self._on_frame(frame, now)

    def _start(self, frame: StartFrame) -> None:
        self.in_pipeline = True
        self.after_output = _follows_output(self)
        if not self._sample_rate:  # set with the processor from 1.8.0 on
            self._sample_rate = frame.audio_out_sample_rate
        self._timeline = Timeline(self._sample_rate)

    async def _record(
        self, speaker: Speaker, frame: InputAudioRawFrame | OutputAudioRawFrame, now: int
    ) -> None:
        timeline = self._timeline
        if timeline is None or not self._armed:
            return
        samples = _mono(frame.audio, frame.num_channels)
        if not len(samples):
            return
        speaks = speaker == "assistant" and self._bot_speaks
        begins = speaks and self._bot_heard is None
        if speaks:
            self._note_audible(timeline, samples, frame.sample_rate, now)
        timeline.add(speaker, samples, frame.sample_rate, now, begins=begins)
        while chunk := timeline.take_settled(_CHUNK_FRAMES, now):
            await self._hand_out(*chunk)

    def _note_audible(self, timeline: Timeline, samples: Samples, rate: int, now: int) -> None:
        """Note where the assistant can be heard in a frame that is about to be laid."""
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= AUDIBLE)
        if not len(loud):
            return
        received = timeline.tracks["assistant"].received
        first, last = (
            Edge(
                at=now - (len(samples) - place) * _SECOND_NS // rate,
                index=received + round(place * timeline.rate / rate),
            )
            for place in (int(loud[0]), int(loud[-1]) + 1)
        )
        if self._bot_heard is None:
            self._on_bot_audible(now, first, "from")
        self._bot_heard = last

    def _hush(self, now: int) -> None:
        if self._bot_heard is not None:
            self._on_bot_audible(now, self._bot_heard, "until")
        self._bot_speaks, self._bot_heard = False, None

    async def _hand_out(self, user: Samples, bot: Samples) -> None:
        stereo = _interleave(user, bot)
        self._on_chunk(stereo)
        await self._call_event_handler("on_audio_data", stereo, self._sample_rate, CHANNELS)
        tracks = (track.astype("<i2", copy=False).tobytes() for track in (user, bot))
        await self._call_event_handler("on_track_audio_data", *tracks, self._sample_rate, CHANNELS)


def _mono(audio: bytes, channels: int) -> Samples:
    """Return whole sample frames as mono; a torn one at the end can't be used."""
    whole = len(audio) - len(audio) % (2 * channels)
    samples = np.frombuffer(audio[:whole], "<i2").astype(np.int16, copy=False)
    if channels == 1:
        return samples
    mono: Samples = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
    return mono


def _interleave(left: Samples, right: Samples) -> bytes:
    return np.column_stack((left, right)).astype("<i2", copy=False).tobytes()


def _follows_output(processor: FrameProcessor) -> bool:
    before = processor.previous
    while before is not None and not isinstance(before, BaseOutputTransport):
        before = before.previous
    return before is not None
