"""A recorder that the caller brought: an `AudioBufferProcessor` that is used as it is.

It doesn't say where it lays its audio. So places in its recording are read off the pipeline's
clock: sample 0 is the first audio frame that reached it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame

from pipecat_roark.moments import SECOND
from pipecat_roark.recording.recorder import follows_output

if TYPE_CHECKING:
    from pipecat.observers.base_observer import FramePushed
    from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

    from pipecat_roark.moments import OffsetMs
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
        self.origin_ns: int | None = None
        """Pipeline time of sample 0; None while nothing is recorded."""
        self.sample_rate = 0
        self.num_channels = 0
        self.offset_ms: OffsetMs | None = None
        """None, because nobody knows where the processor lays a sample."""
        self._started = False
        self._listener = listener
        processor.add_event_handler("on_audio_data", self._on_audio_data)

    @property
    def awaits_audio(self) -> bool:
        """Whether the time of sample 0 is still unknown."""
        return self.origin_ns is None

    async def observe(self, data: FramePushed) -> None:
        """Start the processor at the first frame; its first audio frame gives the origin."""
        if not self._started:
            self._started = True
            # A second start would wipe what it already has.
            if not getattr(self.processor, "_recording", False):
                await self.processor.start_recording()
        if data.destination is not self.processor:
            return
        if not self.in_pipeline:
            self.in_pipeline = True
            self.after_output = follows_output(self.processor)
        frame = data.frame
        if self.origin_ns is None and isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame)):
            length = frame.num_frames * SECOND // frame.sample_rate
            self.origin_ns = data.timestamp - length

    def tail(self) -> bytes:
        """Return nothing: the processor's audio is known only when it is handed out."""
        return b""

    async def stop_recording(self) -> None:
        """Hand out what is left. The processor's handlers are tasks, so they run meanwhile."""
        await self.processor.stop_recording()
        for _ in range(_HANDLER_ROUNDS):
            await asyncio.sleep(0)

    async def _on_audio_data(
        self, _: AudioBufferProcessor, audio: bytes, sample_rate: int, num_channels: int
    ) -> None:
        self.sample_rate, self.num_channels = sample_rate, num_channels
        self._listener.on_audio(audio)
