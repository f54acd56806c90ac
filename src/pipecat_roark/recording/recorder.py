"""The stereo recorder: an `AudioBufferProcessor` that records a call on its real timeline.

It stands after `transport.output()`, where every audio and speaking frame of a call passes. It sees
each of them inline, while the queue of an observer lags behind and is dropped at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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

from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.moments import SECOND
from pipecat_roark.recording.recording import Recording, Source, Stereo
from pipecat_roark.recording.samples import silence
from pipecat_roark.recording.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipecat.observers.base_observer import FramePushed
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup

    from pipecat_roark.moments import Frames, OffsetMs, Speaker
    from pipecat_roark.recording.listener import Listener

    _Arrival = tuple[InputAudioRawFrame | OutputAudioRawFrame, int]

CHANNELS = 2
"""Left is the user, right is the bot."""
LAY_NS = SECOND // 2
"""How long frames wait to be laid together: most of what a short frame costs is the handling."""
TICK_SECS = 0.5
"""How often audio is handed out while no frame comes; a chunk is longer than this."""
_AUDIO = (InputAudioRawFrame, OutputAudioRawFrame)
# Newer Pipecats have frames that start and stop recorders.
_STARTS = getattr(pipecat_frames, "AudioBufferStartRecordingFrame", ())
_STOPS = getattr(pipecat_frames, "AudioBufferStopRecordingFrame", ())
_ENDS = (EndFrame, CancelFrame, StopFrame)


@dataclass(slots=True)
class _Inbox:
    """Frames of one speaker that wait to be laid."""

    speaker: Speaker
    arrivals: list[_Arrival] = field(default_factory=list)
    lay_by: int = 0
    """Pipeline time until which frames only wait."""


class StereoRecorder(AudioBufferProcessor):
    """Records a call in stereo, every sample at its time.

    It is an `AudioBufferProcessor` by type, placement, properties and the events `on_audio_data`,
    `on_track_audio_data`, `on_recording_started` and `on_recording_stopped` (the latter two where
    Pipecat has them). Unlike Pipecat's own it records from the first frame on; a pause between
    `stop_recording` and `start_recording` is silence.

    Args:
        listener: Receives the audio, the frames and the edges of the bot's speech.
        chunk_bytes: How much audio the listener receives at once.
    """

    def __init__(self, listener: Listener, *, chunk_bytes: int) -> None:
        # Direct mode: frames are handled as they pass, without a queue that an interruption drops.
        super().__init__(num_channels=CHANNELS, buffer_size=chunk_bytes, enable_direct_mode=True)
        self.in_pipeline = False
        """Whether the pipeline's start passed here."""
        self.after_output = False
        """Whether an output transport stands before it."""
        self.awaits_audio = False
        """Whether `observe` needs audio frames: they all pass here."""
        self._listener = listener
        self._chunk_frames = chunk_bytes // (2 * CHANNELS)
        self._guard = ErrorBoundary("recorder")
        self._now: Callable[[], int] = int
        self._tape = Recording(0, paced=False)
        self._armed = True
        self._user = _Inbox("user")
        self._bot = _Inbox("bot")
        self._inboxes: dict[type, _Inbox] = {}
        self._warned_of_format = False
        self._ticker = Ticker(self._tick, TICK_SECS)

    @property
    def processor(self) -> AudioBufferProcessor:
        """The processor that stands in the pipeline."""
        return self

    @property
    def reads_inline(self) -> bool:
        """Whether the listener receives each frame as it passes."""
        return self.in_pipeline

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
        self._lay_all()
        return self._tape.waiting

    def merge_audio_buffers(self) -> bytes:
        """Return the audio that is laid and not handed out yet, interleaved."""
        self._lay_all()
        return self._tape.peek()

    def tail(self) -> bytes:
        """Return all audio that was not handed out yet, interleaved, as it looks now."""
        self._lay_all()
        return self._tape.preview()

    async def observe(self, data: FramePushed) -> None:
        """Ignore what an observer sees: the frames that count pass here."""

    async def start_recording(self) -> None:
        """Record again after `stop_recording`; what was recorded stays."""
        if not self._armed:
            self._lay_all()
            self._armed = True
            await self._started_recording()

    async def stop_recording(self) -> None:
        """Hand out what is left, and ignore audio until `start_recording`."""
        if not self._armed:
            return
        self._lay_all()
        self._armed = False
        self._ticker.stop()
        now = self._now()
        for edge in self._tape.bot_silenced():
            self._listener.on_bot_offset(now, edge)
        for audio in self._tape.pop_rest(self._chunk_frames):
            with self._guard:
                await self._hand_out(audio)
        await self._call_event_handler("on_recording_stopped")

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]  # as Pipecat's own
        """Prepare for a pipeline."""
        await super().setup(setup)
        self._now = setup.clock.get_time
        with self._guard:
            self._listener.on_setup(setup)

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
                await self._handle(frame, now)
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Finish the call: no frame comes any more."""
        self._ticker.stop()
        await super().cleanup()  # type: ignore[no-untyped-call]  # Pipecat annotates nothing here
        with self._guard:
            await self._listener.on_cleanup()

    async def _handle(self, frame: Frame, now: int) -> None:
        if isinstance(frame, _AUDIO):
            await self._record(frame, now)
            return
        self._lay_all()
        if isinstance(frame, StartFrame):
            await self._start(frame)
        elif isinstance(frame, BotStartedSpeakingFrame):
            self._tape.bot_started(frame.transport_destination, now)
        elif isinstance(frame, BotStoppedSpeakingFrame):
            edge = self._tape.bot_stopped(frame.transport_destination)
            if edge is not None:
                self._listener.on_bot_offset(now, edge)
        elif isinstance(frame, _STARTS):
            await self.start_recording()
        elif isinstance(frame, (_STOPS, *_ENDS)):
            await self.stop_recording()
        self._listener.on_frame(frame, now, self._tape)

    async def _start(self, frame: StartFrame) -> None:
        if not self.in_pipeline:
            self.in_pipeline = True
            self.after_output = follows_output(self)
            # From 1.8.0 on, the rate came with the setup.
            self._sample_rate = self._sample_rate or frame.audio_out_sample_rate
            self._tape = Recording(self._sample_rate, paced=self.after_output)
        if self._armed:
            await self._started_recording()

    async def _started_recording(self) -> None:
        if self.in_pipeline:
            self._ticker.start()
        await self._call_event_handler("on_recording_started")

    async def _record(self, frame: InputAudioRawFrame | OutputAudioRawFrame, now: int) -> None:
        """Keep a frame, and then do one piece of work, so that none holds up the event loop."""
        inbox = self._user if isinstance(frame, InputAudioRawFrame) else self._bot
        self._inboxes[type(frame)] = inbox
        inbox.arrivals.append((frame, now))
        if await self._hand_out_decided(now):
            return
        if self._armed and self._tape.origin_ns is not None:
            inbox.lay_by = now + LAY_NS
        self._lay(inbox)

    async def _tick(self) -> None:
        """Do the piece of work that would be due if a frame came."""
        with self._guard:
            now = self._now()
            if not await self._hand_out_decided(now):
                for inbox in (self._user, self._bot):
                    if inbox.lay_by <= now:
                        self._lay(inbox)

    async def _hand_out_decided(self, now: int) -> bool:
        """Hand out the next chunk if nothing in it can change any more."""
        waiting = [box.arrivals[0][1] for box in (self._user, self._bot) if box.arrivals]
        oldest = min(waiting, default=now)
        chunk = self._tape.pop_decided(self._chunk_frames, oldest) if self._armed else None
        if chunk is not None:
            await self._hand_out(chunk)
        return chunk is not None

    def _lay_all(self) -> None:
        self._lay(self._user)
        self._lay(self._bot)

    def _lay(self, inbox: _Inbox) -> None:
        arrivals, inbox.arrivals = inbox.arrivals, []
        if not self._armed:
            return
        for source, kind, frames in _runs(arrivals):
            if source.rate <= 0 or source.channels <= 0 or not issubclass(kind, (bytes, bytearray)):
                self._warn_of_format(source, kind)
                continue
            sound = self._tape.lay(inbox.speaker, source, frames)
            if sound is not None:
                self._listener.on_bot_onset(sound.arrival, sound.edge)

    def _warn_of_format(self, source: Source, kind: type) -> None:
        if not self._warned_of_format:
            self._warned_of_format = True
            logger.warning(
                f"Roark: audio of {source.rate} Hz and {source.channels} channels in "
                f"{kind.__name__} can't be recorded; such frames are left out."
            )

    async def _hand_out(self, audio: Stereo) -> None:
        mixed = audio.interleaved()
        # Silence is one and the same object, so that any number of such chunks may wait somewhere.
        if mixed == silence(len(mixed)):
            mixed = silence(len(mixed))
        released = self._listener.on_audio(mixed)
        if released is not mixed:
            audio = Stereo.split(released)
        form = self._sample_rate, CHANNELS
        await self._call_event_handler("on_audio_data", released, *form)
        await self._call_event_handler("on_track_audio_data", *audio, *form)


def follows_output(processor: FrameProcessor) -> bool:
    """Return whether an output transport stands before a processor in its pipeline."""
    before = processor.previous
    while before is not None and not isinstance(before, BaseOutputTransport):
        before = before.previous
    return before is not None


def _runs(arrivals: list[_Arrival]) -> Iterator[tuple[Source, type, Frames]]:
    """Yield consecutive frames of one source, with the type of their audio.

    It calls no function for a frame, because frames come fifty times a second and more.
    """
    common: tuple[object, ...] = ()
    kind: type = bytes
    frames: list[tuple[bytes, int]] = []
    for frame, at in arrivals:
        own = (
            frame.transport_source,
            frame.transport_destination,
            frame.user_id if isinstance(frame, UserAudioRawFrame) else None,
            frame.sample_rate,
            frame.num_channels,
        )
        if own != common or type(frame.audio) is not kind:
            if frames:
                yield Source._make(common), kind, frames
            common, kind, frames = own, type(frame.audio), []
        frames.append((frame.audio, at))
    if frames:
        yield Source._make(common), kind, frames
