"""What a pipeline shows of a call, from two points of view.

The observer is shown every frame that is pushed from one processor to the next, but its own queue
lags behind, and Pipecat drops that queue when the pipeline ends. The recorder sees the frames that
pass it inline, so the last words and samples are safe there. Both views feed one call; a frame that
both see counts once. If the recorder is in the pipeline, and Pipecat can do that, the observer is
shown each frame only where it is pushed first, and `outputs.py` reads at the output transports.

Several pipelines may share an observer. The call ends with the one that holds the recorder, else
with the last of them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from loguru import logger
from pipecat.frames.frames import (
    InputAudioRawFrame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    StartFrame,
    StopFrame,
    TranscriptionFrame,
    TTSTextFrame,
)
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_output import BaseOutputTransport

from pipecat_roark import compat, findings
from pipecat_roark.call import Call
from pipecat_roark.clocks import Clocks
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.findings import Evidence, Marker
from pipecat_roark.frames import (
    AUDIO_FRAMES,
    END_FRAMES,
    FINISHING_FRAMES,
    RELEVANT_FRAMES,
    SPEAKING_FRAMES,
    SPEAKING_OF_USER,
    FrameReader,
)
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.outputs import Outputs
from pipecat_roark.recording.recorder import StereoRecorder
from pipecat_roark.sighting import Sighting, forget_oldest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat.frames.frames import Frame
    from pipecat.observers.base_observer import BaseObserver, FramePushed
    from pipecat.processors.frame_processor import FrameProcessor, FrameProcessorSetup

    from pipecat_roark.moments import Edge
    from pipecat_roark.recording.external import ExternalRecorder
    from pipecat_roark.recording.listener import Recorder, UserTrack
    from pipecat_roark.report import CallReport, Turn
    from pipecat_roark.settings import Settings


class Watcher:
    """Shows a call what happens in its pipeline; it listens to the recorder.

    Args:
        observer: Attaches itself to the pipeline if nobody did.
        settings: What the observer was given.
        pipecat_call_id: The call's identity.
        processor: The application's own recorder, if it has one.
        on_ended: Takes the report after delivery.

    Raises:
        TypeError, ValueError: If `processor` can't be used with these settings.
    """

    def __init__(
        self,
        observer: BaseObserver,
        settings: Settings,
        pipecat_call_id: str,
        *,
        processor: AudioBufferProcessor | None,
        on_ended: Callable[[CallReport], Awaitable[None]],
    ) -> None:
        self._observer = observer
        self._capture = settings.capture
        self._on_ended = on_ended
        self._api_key = settings.api_key
        self.boundary = ErrorBoundary("call")
        self._clocks = Clocks()
        self._external: ExternalRecorder | None = None
        self.recorder: Recorder
        if processor is None:
            self.recorder = StereoRecorder(self, chunk_bytes=CHUNK_BYTES, staggered=True)
        else:
            self.recorder = self._external = _external(processor, settings, self, self._clocks.now)
        self.call = Call(
            settings,
            pipecat_call_id,
            recorder=self.recorder,
            boundary=self.boundary,
            on_ended=self._ended,
        )
        self._reader = FrameReader(self.call.state)
        self._outputs = Outputs(self.boundary, self._clocks.now, self._read, self._reader.has_seen)
        self.needs_each_hop = True
        """Whether a frame must be shown at each hop, and not only where it is pushed first."""
        self.ignored: set[type[Frame]] = set()
        """Types of frame that nothing is read of."""
        self.seen: dict[int, None] = {}  # a plain one: it is asked at every hop
        """Ids of the frames of which only their way through output and recorder matters now."""
        self.quiet: set[FrameProcessor] = set()
        """The processors to which such a frame may go unread: no output, none that is fed by one,
        not the recorder if nothing else shows what it gets, and none that can't be hashed."""
        self._starts: set[int] = set()
        self._cleanups = 0
        self._has_output = False
        self._behind_output = False
        self._user_recorded = False
        self._bot_heard = False

    async def see(self, data: FramePushed) -> None:
        """Read a frame that was pushed from one processor to the next."""
        frame = data.frame
        kind: type = type(frame)
        traits = _traits(kind)
        released, handed = _is_output(type(data.source)), _is_output(type(data.destination))
        downstream = data.direction is FrameDirection.DOWNSTREAM
        self._note_sighting(data, traits, fed=handed or (released and downstream))
        self._has_output |= released
        recorded = data.destination is self.recorder.processor
        if traits.starts:
            self._note_start(data, released=released, recorded=recorded)
        shift = self._clocks.shift(data.source.get_clock())
        if shift:
            data = replace(data, timestamp=data.timestamp + shift)
        self.call.begin(self._clocks.now, data.timestamp)
        if self._external:
            await self._external.observe(data)
        self._user_recorded |= recorded and traits.user_audio
        if traits.speaking and self.recorder.reads_inline:
            return  # the recorder shows it with its place in the recording
        if traits.ends:
            if recorded or len(self._starts) <= 1:
                self.call.note_reason(_reason(frame))
            if recorded if len(self._starts) > 1 else released:
                self.call.end()
        elif traits.relevant:
            played = released or not self._has_output
            self._read(frame, Sighting(data.timestamp, played, handed, data.source))

    def _note_start(self, data: FramePushed, *, released: bool, recorded: bool) -> None:
        """Note that a pipeline's start passes; it passes processors in their order."""
        if recorded:
            self._behind_output = self._has_output
        if released:
            self._outputs.add(data.source)
        self._starts.add(data.frame.id)
        # What is shown by one pipeline's recorder and outputs isn't all of two pipelines.
        self.needs_each_hop |= len(self._starts) > 1
        self.call.tracing.note(compat.tracing_context(data.frame))
        self._reader.latency.started(data.source, is_output=released)

    def _note_sighting(self, data: FramePushed, traits: _Traits, *, fed: bool) -> None:
        """Note what need not be shown again; `fed` is a hop into an output or out of one."""
        frame, to = data.frame, data.destination
        if not traits.relevant and not (traits.audio and self.recorder.awaits_audio):
            self.ignored.add(type(frame))
        elif not (traits.starts or traits.ends):
            self.seen[frame.id] = None
            forget_oldest(self.seen)
        if type(to).__hash__ is None:
            return
        if fed or (to is self.recorder.processor and not self.recorder.reads_inline):
            self.quiet.discard(to)
        else:
            self.quiet.add(to)

    def on_pipeline_started(self) -> None:
        """See each frame once from now on, if the outputs and the recorder show the rest."""
        if compat.SHOWS_FRAMES_ONCE and self.recorder.reads_inline and len(self._starts) == 1:
            self._outputs.listen()
            self.needs_each_hop = False

    def pause(self) -> None:
        """Capture nothing from now on, until `resume`."""
        self.recorder.pauses.begin(self._clocks.now())
        self.call.gate.note_change()

    def resume(self) -> None:
        """Capture again what happens."""
        self.recorder.pauses.end(self._clocks.now())
        self.call.gate.note_change()

    async def on_observer_cleanup(self) -> None:
        """Finish the call if this was the last of the pipelines that share the observer."""
        self._cleanups += 1
        if self._cleanups >= len(self._starts):
            await self.call.finished()

    # The recorder's listener

    def on_audio(self, pcm: bytes) -> bytes:
        """Let the next audio of the recording pass the gate; return what passed."""
        return self.call.gate.audio(pcm)

    def on_frame(self, frame: Frame, at: int, track: UserTrack) -> None:
        """Read a frame that passes the recorder, where nothing is dropped."""
        self._user_recorded |= track.has_user_audio
        kind: type = type(frame)
        traits = _traits(kind)
        if not traits.relevant:
            return
        with self.boundary:
            if traits.starts:
                self.call.begin(self._clocks.now, at)
            elif traits.ends:
                self.call.note_reason(_reason(frame))
                self.call.end()
            elif isinstance(frame, (InterruptionFrame, LLMMessagesAppendFrame)):
                pass  # The observer knows when the output got the one, and who sent the other.
            elif self.recorder.after_output or not isinstance(frame, TTSTextFrame):
                self._read(frame, Sighting(at, played=True, track=track))

    def on_bot_onset(self, at: int, edge: Edge) -> None:
        """Note at `at` where the bot can be heard first."""
        self._bot_heard = True
        self.call.state.note("start of speech", at, Conversation.bot_onset, edge)

    def on_bot_offset(self, at: int, edge: Edge) -> None:
        """Note at `at` where the bot can be heard last."""
        self.call.state.note("end of speech", at, Conversation.bot_offset, edge)

    def on_setup(self, setup: FrameProcessorSetup) -> Callable[[], int]:
        """Attach the observer to the pipeline if nobody did; return the clock to record by."""
        if compat.attach(self._observer, setup.observer):
            logger.warning(findings.OBSERVER_MISSING)
        return self._clocks.reader(setup.clock)

    async def on_cleanup(self) -> None:
        """Finish the call: the pipeline that holds the recorder is over."""
        await self.call.finished()

    def _read(self, frame: Frame, seen: Sighting) -> None:
        with self.boundary.reading(type(frame).__name__):
            self._reader.read(frame, seen)
        kind: type = type(frame)
        self.call.gate.note_change(growing=not _traits(kind).finishes)

    async def _ended(self, report: CallReport) -> None:
        if report.started_at is not None:  # else the report failed, which was logged
            for finding in findings.examine(self._evidence(report)):
                logger.warning(f"Call {self.call.pipecat_call_id}: {finding}")
        await self._on_ended(report)

    def _evidence(self, report: CallReport) -> Evidence:
        """Gather what is known of the wiring when the call is over.

        What nobody wanted to be captured, or to leave, is not missing.
        """
        gate, recorder, seen = self.call.gate, self.recorder, self._reader.kinds
        texts = [kind.__name__ for kind in (TranscriptionFrame, TTSTextFrame) if kind in seen]
        recorded = gate.recorded and not gate.withheld
        knows_bot = recorded and recorder.reads_inline and recorder.after_output
        wants_audio = "audio" in self._capture
        behind = self._behind_output or recorder.after_output
        return Evidence(
            turns=[*map(_marker, report.turns)],
            started_at=report.started_at,
            wants_transcript="words" in self._capture and not gate.withheld,
            has_recorder=recorder.in_pipeline if wants_audio else None,
            before_output=wants_audio and self._has_output and not behind,
            user_spoke=not seen.isdisjoint(SPEAKING_OF_USER),
            user_heard=self._user_recorded if recorded else None,
            assistant_heard=self._bot_heard if knows_bot else None,
            texts=tuple(texts),
            has_odd_key=findings.is_odd_key(self._api_key),
        )


def _marker(turn: Turn) -> Marker:
    return Marker(turn.role, turn.started_at, turn.start_ms, turn.end_ms, turn.response_ms)


def _external(
    processor: AudioBufferProcessor, settings: Settings, listener: Watcher, now: Callable[[], int]
) -> ExternalRecorder:
    """Return the application's own recorder, if it can be used."""
    if not isinstance(processor, AudioBufferProcessor):
        raise TypeError(
            "audio_buffer_processor must be an AudioBufferProcessor, "
            f"not {type(processor).__name__}"
        )
    if settings.redact is not None and "audio" in settings.capture:
        raise ValueError(
            "redact can't silence the audio of your own audio_buffer_processor: leave it out, or "
            'capture={"words", "tools"}'
        )
    # Loaded only if it is needed, as most calls use our own.
    from pipecat_roark.recording.external import ExternalRecorder  # noqa: PLC0415

    return ExternalRecorder(processor, listener, now)


class _Traits(NamedTuple):
    """What is asked of a type of frame."""

    relevant: bool
    audio: bool
    user_audio: bool
    starts: bool
    ends: bool
    speaking: bool
    finishes: bool


@cache
def _traits(kind: type) -> _Traits:
    return _Traits(
        relevant=issubclass(kind, RELEVANT_FRAMES),
        audio=issubclass(kind, AUDIO_FRAMES),
        user_audio=issubclass(kind, InputAudioRawFrame),
        starts=issubclass(kind, StartFrame),
        ends=issubclass(kind, END_FRAMES),
        speaking=issubclass(kind, SPEAKING_FRAMES),
        finishes=issubclass(kind, FINISHING_FRAMES),
    )


@cache
def _is_output(kind: type) -> bool:
    return issubclass(kind, BaseOutputTransport)


def _reason(frame: Frame) -> str | None:
    """Return why a frame ends the call; a StopFrame gives no reason."""
    if isinstance(frame, StopFrame):
        return None
    return compat.end_reason(frame) or "agent-ended"
