"""A recorder that the caller brought: an `AudioBufferProcessor` that is used as it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame

from pipecat_roark import compat
from pipecat_roark.channel import ChannelEnd
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.moments import SECOND
from pipecat_roark.recording.layout import Layout
from pipecat_roark.recording.recorder import ENDS, comes_from_output, follows_output
from pipecat_roark.silence import silence
from pipecat_roark.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.observers.base_observer import FramePushed
    from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
    from pipecat.processors.frame_processor import FrameProcessorSetup

    from pipecat_roark.moments import OffsetMs, Speaker
    from pipecat_roark.recording.listener import Listener

_NEAR_NS = SECOND // 10
"""Two looks at the processor that are no further apart leave no room for a word."""
_HANDLER_ROUNDS = 3
"""Turns of the event loop in which the handlers of the last audio run."""


class ExternalRecorder:
    """Starts the caller's processor, receives its audio and keeps the time of sample 0.

    The processor cannot be paused without a loss of what it has, and nobody but itself knows where
    it lays a sample. So audio that it hands out is silence if any of it may be of a pause.

    Args:
        processor: The caller's processor.
        listener: Receives its audio.
        now: Returns the pipeline's time in nanoseconds.
    """

    def __init__(
        self, processor: AudioBufferProcessor, listener: Listener, now: Callable[[], int]
    ) -> None:
        self.processor = processor
        """The processor that stands in the pipeline."""
        self.in_pipeline = False
        """Whether a frame was seen on its way to the processor."""
        self.after_output = False
        """Whether an output transport stands before the processor."""
        self.reads_inline = False
        """Whether the listener receives frames: it doesn't, nothing but an observer sees them."""
        self.awaits_audio = True
        """Whether `observe` needs audio frames: they show when the processor records."""
        self.places = Layout()
        """Gives moments their place in the recording."""
        self.sample_rate = 0
        self.num_channels = 0
        self.offset_ms: OffsetMs | None = None
        """None, because the processor doesn't say where it lays a sample."""
        self.pauses = Spans()
        """When nothing of what is said may leave; so it is while the caller stops the processor."""
        self._started = False
        self._guard = ErrorBoundary("recorder")
        self._in_order = asyncio.Lock()
        self._measuring: set[asyncio.Task[None]] = set()
        self._listener = listener
        self._now = now
        self._stopped = self._ended = False
        self._stops = Spans()
        self._looked = 0
        self._since = 0  # when the audio began that is handed out next
        processor.add_event_handler("on_audio_data", self._on_audio_data)
        compat.before_setup(processor, self._note_setup)

    @property
    def origin_ns(self) -> int | None:
        """Pipeline time of sample 0; None while nothing is recorded."""
        return self.places.origin_ns

    async def observe(self, data: FramePushed) -> None:
        """Start the processor at the first frame, and note when it records."""
        if not self._started:
            self._started = True
            # A second start would wipe what it already has.
            if not compat.is_recording(self.processor, otherwise=False):
                await self.processor.start_recording()
        if data.destination is not self.processor:
            return
        if not self.in_pipeline:
            self.in_pipeline = True
            self.after_output = follows_output(self.processor)
        frame = data.frame
        self.after_output |= comes_from_output(frame, data.direction)
        records = compat.is_recording(self.processor, otherwise=True)
        self._note_stop(data.timestamp, stopped=not records)
        self._ended |= isinstance(frame, ENDS)
        if not records:
            self.places.pause(data.timestamp)
        elif isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame)) and frame.sample_rate > 0:
            speaker: Speaker = "user" if isinstance(frame, InputAudioRawFrame) else "bot"
            length = frame.num_frames * SECOND // frame.sample_rate
            self.places.add_frame(speaker, data.timestamp, length)

    def tail(self, speaker: Speaker, start: int) -> ChannelEnd:  # noqa: ARG002
        """Return nothing: the processor's audio is known only when it is handed out."""
        return ChannelEnd()

    async def finish(self) -> None:
        """Hand out the rest of the audio, and measure it.

        The processor's handlers are tasks, so they run meanwhile.
        """
        self._ended = True
        await self.processor.stop_recording()
        for _ in range(_HANDLER_ROUNDS):
            await asyncio.sleep(0)
        while self._measuring:
            await asyncio.wait(self._measuring)
        self.places.finish()

    def _note_setup(self, setup: FrameProcessorSetup) -> None:
        with self._guard:
            self._listener.on_setup(setup)

    async def _on_audio_data(
        self, _: AudioBufferProcessor, audio: bytes, sample_rate: int, num_channels: int
    ) -> None:
        self.sample_rate, self.num_channels = sample_rate, num_channels
        since, self._since = self._since, self._now()
        self._listener.on_audio(
            silence(len(audio)) if self._may_be_paused(since, self._since) else audio
        )
        task = asyncio.create_task(self._measure(audio, sample_rate, num_channels))
        self._measuring.add(task)
        task.add_done_callback(self._measuring.discard)

    async def publish(self, pcm: bytes) -> None:
        """Do nothing: the processor has handed out its audio by itself."""

    def _note_stop(self, at: int, *, stopped: bool) -> None:
        """Note whether the caller has stopped the processor; its stop at the end is no pause.

        A frame is seen late, so the processor stopped no earlier than the frame passed it. It
        started between the look before and now; if both are near, no word fits in between.
        """
        now, before = self._now(), self._looked
        self._looked = now
        if stopped and not (self._stopped or self._ended):
            for spans in (self.pauses, self._stops):
                spans.begin(at)
        elif self._stopped and not stopped:
            self._since = now
            for spans in (self.pauses, self._stops):
                spans.end(before if now - before <= _NEAR_NS else now)
        self._stopped = stopped

    def _may_be_paused(self, since: int, until: int) -> bool:
        """Return whether audio of a time may be of a pause; a stopped processor records none."""
        stops = [*self._stops]
        return any(
            not any(first <= begin and (last is None or end <= last) for first, last in stops)
            for begin, end in self.pauses.within(since, until)
        )

    async def _measure(self, audio: bytes, sample_rate: int, num_channels: int) -> None:
        """Measure audio in the order in which it came, and let others work between the pieces."""
        async with self._in_order:
            with self._guard:
                for _ in self.places.add_audio(audio, sample_rate, num_channels):
                    await asyncio.sleep(0)
