"""A recorder that the caller brought: an `AudioBufferProcessor` that is used as it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame

from pipecat_roark import compat
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.moments import SECOND
from pipecat_roark.recording.layout import Layout
from pipecat_roark.recording.recorder import comes_from_output, follows_output

if TYPE_CHECKING:
    from pipecat.observers.base_observer import FramePushed
    from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

    from pipecat_roark.moments import OffsetMs, Speaker
    from pipecat_roark.recording.listener import Listener

_HANDLER_ROUNDS = 3
"""Turns of the event loop in which the handlers of the last audio run."""


class ExternalRecorder:
    """Starts the caller's processor, receives its audio and keeps the time of sample 0.

    Args:
        processor: The caller's processor.
        listener: Receives its audio.
    """

    def __init__(self, processor: AudioBufferProcessor, listener: Listener) -> None:
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
        self._started = False
        self._guard = ErrorBoundary("recorder")
        self._in_order = asyncio.Lock()
        self._measuring: set[asyncio.Task[None]] = set()
        self._listener = listener
        processor.add_event_handler("on_audio_data", self._on_audio_data)

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
        if not compat.is_recording(self.processor, otherwise=True):
            self.places.pause(data.timestamp)
        elif isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame)) and frame.sample_rate > 0:
            speaker: Speaker = "user" if isinstance(frame, InputAudioRawFrame) else "bot"
            length = frame.num_frames * SECOND // frame.sample_rate
            self.places.add_frame(speaker, data.timestamp, length)

    def tail(self) -> bytes:
        """Return nothing: the processor's audio is known only when it is handed out."""
        return b""

    async def stop_recording(self) -> None:
        """Hand out the rest of the audio, and measure it.

        The processor's handlers are tasks, so they run meanwhile.
        """
        await self.processor.stop_recording()
        for _ in range(_HANDLER_ROUNDS):
            await asyncio.sleep(0)
        while self._measuring:
            await asyncio.wait(self._measuring)
        self.places.finish()

    async def _on_audio_data(
        self, _: AudioBufferProcessor, audio: bytes, sample_rate: int, num_channels: int
    ) -> None:
        self.sample_rate, self.num_channels = sample_rate, num_channels
        self._listener.on_audio(audio)
        task = asyncio.create_task(self._measure(audio, sample_rate, num_channels))
        self._measuring.add(task)
        task.add_done_callback(self._measuring.discard)

    async def _measure(self, audio: bytes, sample_rate: int, num_channels: int) -> None:
        """Measure audio in the order in which it came, and let others work between the pieces."""
        async with self._in_order:
            with self._guard:
                for _ in self.places.add_audio(audio, sample_rate, num_channels):
                    await asyncio.sleep(0)
