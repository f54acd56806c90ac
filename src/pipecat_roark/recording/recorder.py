"""The stereo recorder: an `AudioBufferProcessor` that records a call on its real timeline.

It stands after `transport.output()`, where every audio and speaking frame of a call passes. It sees
each of them inline, while the queue of an observer lags behind and is dropped at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport

from pipecat_roark import compat
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.recording.events import CHANNELS, WholeCallEvents
from pipecat_roark.recording.intake import Inbox, Intake
from pipecat_roark.recording.phases import next_phase
from pipecat_roark.recording.recording import Recording, Stereo
from pipecat_roark.recording.ticker import Ticker
from pipecat_roark.recording.utterance import LateEnd
from pipecat_roark.silence import shared_if_silent
from pipecat_roark.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
    from pipecat.processors.frame_processor import FrameProcessorSetup

    from pipecat_roark.channel import ChannelEnd
    from pipecat_roark.moments import OffsetMs, Places, Speaker
    from pipecat_roark.recording.listener import Listener

TICK_SECS = 0.5
"""How often audio is handed out while no frame comes; a chunk is longer than this."""
_AUDIO = (InputAudioRawFrame, OutputAudioRawFrame)
ENDS = (EndFrame, CancelFrame, StopFrame)
_PLACED = (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
"""These have a place among the samples, so the audio before them must be laid. Others may wait."""


class StereoRecorder(WholeCallEvents):
    """Records a call in stereo, every sample at its time.

    Unlike Pipecat's own it records from the first frame on. Between `stop_recording` and
    `start_recording`, and while it is paused, time passes as silence.

    Args:
        listener: Receives the audio, the frames and the edges of the bot's speech.
        chunk_bytes: How much audio the listener receives at once.
        staggered: Whether the first time is earlier, in each recorder by another share.
    """

    def __init__(self, listener: Listener, *, chunk_bytes: int, staggered: bool = False) -> None:
        # Direct mode: frames are handled as they pass, without a queue that an interruption drops.
        super().__init__(num_channels=CHANNELS, buffer_size=chunk_bytes, enable_direct_mode=True)
        self.processor: AudioBufferProcessor = self
        """The processor that stands in the pipeline."""
        self.in_pipeline = False
        """Whether the pipeline's start passed here."""
        self.reads_inline = False
        """Whether the listener receives each frame as it passes: it does, in a pipeline."""
        self.after_output = False
        """Whether an output transport stands before it; known when the bot first speaks."""
        self.awaits_audio = False
        """Whether an observer must look at audio frames: they all pass here."""
        self.places: Places | None = None
        """None, because the recording runs with the pipeline's clock."""
        self.pauses = Spans()
        self._listener = listener
        self._chunk_frames = chunk_bytes // (2 * CHANNELS)
        self._next_frames = int(self._chunk_frames * (0.5 + next_phase() / 2 if staggered else 1))
        self._guard = ErrorBoundary("recorder")
        self._now: Callable[[], int] = int
        self._tape = Recording(0, paced=False, pauses=self.pauses)
        self._finished = False
        self._intake = Intake()
        self._inboxes: dict[type, Inbox] = {}
        self._ticker = Ticker(self._tick, TICK_SECS)

    @property
    def origin_ns(self) -> int | None:
        """Pipeline time of sample 0; None while nothing is recorded."""
        return self._tape.origin_ns

    @property
    def offset_ms(self) -> OffsetMs | None:
        """Returns the place of a sample in the recording; None while nothing is recorded."""
        return self._tape.offset_ms

    def has_audio(self) -> bool:
        """Return whether there is audio that no event has handed out yet."""
        self._lay(self._intake)
        return self._tape.waiting

    def merge_audio_buffers(self) -> bytes:
        """Return the audio that is laid and not handed out yet, interleaved."""
        self._lay(self._intake)
        return self._tape.peek()

    def tail(self, speaker: Speaker, start: int) -> ChannelEnd:
        """Return what was not handed out yet of a channel, as it looks now; see `Recorder.tail`."""
        inbox = self._intake.of(speaker)
        self._lay([inbox])
        inbox.rest(now := self._now())
        return self._tape.preview(speaker, start, self._intake.laid(now))

    async def start_recording(self) -> None:
        """Record again what is said after `stop_recording`; what was recorded stays."""
        if self.pauses.open:
            self.pauses.end(self._now())
            await self._call_event_handler("on_recording_started")

    async def stop_recording(self) -> None:
        """Hand out the audio up to now, and record silence until `start_recording`."""
        if not (self.pauses.open or self._finished):
            self.pauses.begin(self._now())
            await self._hand_out_rest()
            await self._call_event_handler("on_recording_stopped")

    async def finish(self) -> None:
        """Hand out the rest of the audio; nothing is recorded any more."""
        if self._finished:
            return
        self._lay(self._intake)
        self._ticker.stop()
        for edge in self._tape.bot_silenced():
            self._listener.on_bot_offset(self._now(), edge)
        await self._hand_out_rest()
        self._finished = True
        if not self.pauses.open:
            await self._call_event_handler("on_recording_stopped")

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]  # as Pipecat's own
        """Prepare for a pipeline."""
        await super().setup(setup)
        self._now = setup.clock.get_time
        with self._guard:
            self._now = self._listener.on_setup(setup)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Record a frame and pass it on."""
        # Pipecat's own recorder is skipped: this one replaces its layout.
        await FrameProcessor.process_frame(self, frame, direction)
        now = self._now()
        inbox = self._inboxes.get(type(frame))
        if inbox is not None and now < inbox.lay_by:
            inbox.arrivals.append((frame, now))  # type: ignore[arg-type]  # an inbox holds audio
        else:
            with self._guard:
                if isinstance(frame, _AUDIO):
                    await self._record(frame, now)
                else:
                    await self._handle(frame, direction, now)
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Finish the call: no frame comes any more."""
        self._ticker.stop()
        await super().cleanup()  # type: ignore[no-untyped-call]  # Pipecat annotates nothing here
        with self._guard:
            await self._listener.on_cleanup()

    async def _handle(self, frame: Frame, direction: FrameDirection, now: int) -> None:
        if isinstance(frame, _PLACED):
            self._lay(self._intake)
        if not self.after_output and comes_from_output(frame, direction):
            self.after_output = True
            self._tape.pace()
        if isinstance(frame, StartFrame):
            await self._start(frame)
        elif isinstance(frame, BotStartedSpeakingFrame):
            self._tape.bot_started(frame.transport_destination, now)
        elif isinstance(frame, BotStoppedSpeakingFrame):
            if edge := self._tape.bot_stopped(frame.transport_destination, now):
                self._listener.on_bot_offset(now, edge)
        elif isinstance(frame, compat.RECORDING_STARTS):
            await self.start_recording()
        elif isinstance(frame, compat.RECORDING_STOPS):
            await self.stop_recording()
        elif isinstance(frame, ENDS):
            await self.finish()
        self._listener.on_frame(frame, now, self._tape)

    async def _start(self, frame: StartFrame) -> None:
        if not self.in_pipeline:
            self.in_pipeline = self.reads_inline = True
            self.after_output = follows_output(self)
            # From 1.8.0 on, the rate came with the setup.
            self._sample_rate = self._sample_rate or frame.audio_out_sample_rate
            self._tape = Recording(self._sample_rate, paced=self.after_output, pauses=self.pauses)
        self._ticker.start()
        if not self.pauses.open:
            await self._call_event_handler("on_recording_started")

    async def _record(self, frame: InputAudioRawFrame | OutputAudioRawFrame, now: int) -> None:
        """Keep a frame, and then do one piece of work, so that none holds up the event loop."""
        inbox = self._intake.of("user" if isinstance(frame, InputAudioRawFrame) else "bot")
        self._inboxes[type(frame)] = inbox
        inbox.arrivals.append((frame, now))
        if await self._hand_out_decided(now):
            return
        if self._tape.origin_ns is not None:
            inbox.wait(now)
        self._lay([inbox])

    async def _tick(self) -> None:
        """Do the piece of work that would be due if a frame came."""
        with self._guard:
            now = self._now()
            if not await self._hand_out_decided(now):
                self._lay(self._intake.overdue(now))

    async def _hand_out_decided(self, now: int) -> bool:
        """Hand out the next chunk if nothing in it can change any more."""
        chunk = self._tape.pop_decided(self._next_frames, self._intake.oldest(now))
        if chunk is not None:
            self._next_frames = self._chunk_frames
            await self._hand_out(chunk)
        return chunk is not None

    def _lay(self, inboxes: Iterable[Inbox]) -> None:
        # A recording that is paused from the start begins behind the pause.
        waits = self.pauses.open and self._tape.origin_ns is None
        for sound in self._intake.lay(inboxes, None if waits or self._finished else self._tape):
            is_late, to = isinstance(sound, LateEnd), self._listener
            (to.on_bot_offset if is_late else to.on_bot_onset)(sound.arrival, sound.edge)

    async def _hand_out_rest(self) -> None:
        self._lay(self._intake)
        for audio in self._tape.pop_rest(self._chunk_frames):
            with self._guard:
                await self._hand_out(audio)

    async def _hand_out(self, audio: Stereo) -> None:
        mixed = shared_if_silent(audio.interleaved())
        if released := self._listener.on_audio(mixed):
            await self.publish(released, audio if released is mixed else None)


def comes_from_output(frame: Frame, direction: FrameDirection) -> bool:
    """Return whether a frame shows, where it passes, that an output transport stands before.

    An output sends the announcements of the bot's speech both ways, so they come downstream behind
    it only, whatever pipelines are between.
    """
    announces = isinstance(frame, (BotStartedSpeakingFrame, BotStoppedSpeakingFrame))
    return announces and direction is FrameDirection.DOWNSTREAM


def follows_output(processor: FrameProcessor) -> bool:
    """Return whether an output transport stands before a processor in the same pipeline."""
    before = processor.previous
    while before is not None and not isinstance(before, BaseOutputTransport):
        before = before.previous
    return before is not None
