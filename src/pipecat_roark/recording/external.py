"""A recorder that the caller brought: its own `AudioBufferProcessor`, used as it is.

It lays its audio out in its own way and tells nobody where, so places in its recording are read
off the pipeline's clock: sample 0 is the first audio frame that reached it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame

from pipecat_roark.moments import SECOND
from pipecat_roark.recording.recorder import follows_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.observers.base_observer import FramePushed
    from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

    from pipecat_roark.moments import OffsetMs

_HANDLER_ROUNDS = 3
"""Turns of the event loop that the handlers of the last audio may take to run."""


class ExternalRecorder:
    """Arms the caller's processor, takes its audio and keeps the time of sample 0.

    Args:
        processor: The caller's processor.
        on_chunk: Takes its audio, interleaved.
    """

    def __init__(self, processor: AudioBufferProcessor, on_chunk: Callable[[bytes], None]) -> None:
        self.in_pipeline = False
        """Whether a frame was seen on its way to the processor."""
        self.after_output = False
        """Whether an output transport stands before it."""
        self.origin_ns: int | None = None
        """Pipeline time of sample 0, or None while nothing was recorded."""
        self.sample_rate = 0
        self.num_channels = 0
        self.offset_ms: OffsetMs | None = None
        """Nothing: where a sample lies is not known."""
        self._armed = False
        self._processor = processor
        self._on_chunk = on_chunk
        processor.add_event_handler("on_audio_data", self._on_audio_data)

    async def see(self, data: FramePushed) -> None:
        """Arm the processor at the first frame; sample 0 is the first audio that reaches it."""
        if not self._armed:
            self._armed = True
            # A second start would wipe what it already has.
            if not getattr(self._processor, "_recording", False):
                await self._processor.start_recording()
        if data.destination is not self._processor:
            return
        if not self.in_pipeline:
            self.in_pipeline = True
            self.after_output = follows_output(self._processor)
        frame = data.frame
        if self.origin_ns is None and isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame)):
            length = frame.num_frames * SECOND // frame.sample_rate
            self.origin_ns = data.timestamp - length

    def tail(self) -> bytes:
        """Return nothing: its audio is known only once it is handed out."""
        return b""

    async def stop_recording(self) -> None:
        """Hand out what is left. Its handlers are tasks, so they get their turn here."""
        await self._processor.stop_recording()
        for _ in range(_HANDLER_ROUNDS):
            await asyncio.sleep(0)

    async def _on_audio_data(
        self, _: AudioBufferProcessor, audio: bytes, sample_rate: int, num_channels: int
    ) -> None:
        self.sample_rate, self.num_channels = sample_rate, num_channels
        self._on_chunk(audio)
