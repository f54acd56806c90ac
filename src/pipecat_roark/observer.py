"""The observer that a user puts into a pipeline: it shows a call what Pipecat does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
    StopFrame,
    TTSTextFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.transports.base_output import BaseOutputTransport

from pipecat_roark import compat, settings
from pipecat_roark.call import Call
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.frames import RELEVANT_FRAMES, SPEAKING, Translator
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.recording.external import ExternalRecorder
from pipecat_roark.recording.recorder import StereoRecorder

if TYPE_CHECKING:
    import os

    from pipecat.processors.frame_processor import FrameProcessorSetup

    from pipecat_roark.moments import Edge
    from pipecat_roark.receipt import Receipt
    from pipecat_roark.report import CallReport

_ENDS = (EndFrame, CancelFrame, StopFrame)
_AUDIO = (InputAudioRawFrame, OutputAudioRawFrame)


class RoarkObserver(BaseObserver):
    """Delivers one call of a Pipecat pipeline to Roark.

    Add it as an observer, and its `audio_processor` after `transport.output()`:

        roark = RoarkObserver(agent_id="front-desk")
        pipeline = Pipeline([..., transport.output(), roark.audio_processor, ...])
        task = PipelineTask(pipeline, observers=[roark])

    The call begins when the pipeline starts, and is delivered whole before the runner returns.
    Whatever goes wrong in here, the pipeline never notices. Each call needs its own observer.

    Event handlers:

    - on_call_ended: Called as `(observer, report)` with the `CallReport`, after delivery.

    Args:
        agent_id: The agent's id at Roark, which registers it the first time it sees it.
        api_key: The API key; by default that of the environment's `ROARK_API_KEY`.
        agent_name: The agent's name, shown by Roark.
        agent_prompt: The agent's system prompt.
        audio_buffer_processor: Your own processor, already placed in the pipeline, to use instead
            of the stereo recorder. It is started if it doesn't record yet, and never wiped.
        pipecat_call_id: The call's identity. By default it is taken from `runner_args`, or random.
        runner_args: What Pipecat's runner hands to the bot, as an object or a mapping: its
            `webrtc_connection.pc_id` or its `session_id` becomes the call's identity.
        deadline_secs: How long the delivery may go on when the call has ended, in seconds.
        max_waiting_bytes: How much audio may wait in memory while Roark is away, in bytes.
        spool_dir: Folder where calls are kept on disk until they are delivered; by default that of
            the environment's `ROARK_SPOOL_DIR`, else none. It holds speech and transcripts.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If the key is missing, the agent id empty, `ROARK_BASE_URL` unusable, or
            a bound out of range.
    """

    def __init__(  # noqa: PLR0913  # the drop-in's whole configuration
        self,
        *,
        agent_id: str,
        api_key: str | None = None,
        agent_name: str | None = None,
        agent_prompt: str | None = None,
        audio_buffer_processor: AudioBufferProcessor | None = None,
        pipecat_call_id: str | None = None,
        runner_args: object = None,
        deadline_secs: float = settings.DEADLINE_SECS,
        max_waiting_bytes: int = settings.MAX_WAITING_BYTES,
        spool_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self._register_event_handler("on_call_ended")
        self._settings = settings.Settings.check(
            agent_id=agent_id,
            api_key=api_key,
            agent_name=agent_name,
            agent_prompt=agent_prompt,
            deadline_secs=deadline_secs,
            max_waiting_bytes=max_waiting_bytes,
            spool_dir=spool_dir,
        )
        self._guard = ErrorBoundary("call")
        self._call = Call(
            self._settings,
            settings.call_id(pipecat_call_id, runner_args),
            guard=self._guard,
            on_ended=self._ended,
        )
        self._recorder: StereoRecorder | ExternalRecorder
        self._audio_processor: AudioBufferProcessor
        if audio_buffer_processor is None:
            self._recorder = self._audio_processor = self._record()
        elif isinstance(audio_buffer_processor, AudioBufferProcessor):
            on_chunk = self._call.delivery.add_audio
            self._recorder = ExternalRecorder(audio_buffer_processor, on_chunk)
            self._audio_processor = audio_buffer_processor
        else:
            raise TypeError(
                "audio_buffer_processor must be an AudioBufferProcessor, "
                f"not {type(audio_buffer_processor).__name__}"
            )
        self._call.recorder = self._recorder
        own = self._recorder if isinstance(self._recorder, StereoRecorder) else None
        self._translator = Translator(self._call.state, recorder=own)
        self._own = own
        self._concerns: dict[type, bool] = {}
        self._has_output = False
        self._behind_output = False

    def __repr__(self) -> str:
        return (
            f"RoarkObserver(agent_id={self._settings.agent_id!r}, "
            f"pipecat_call_id={self.pipecat_call_id!r})"
        )

    @property
    def audio_processor(self) -> AudioBufferProcessor:
        """The recorder, to be placed after `transport.output()`."""
        return self._audio_processor

    @property
    def pipecat_call_id(self) -> str:
        """The call's identity at Roark."""
        return self._call.pipecat_call_id

    @property
    def receipt(self) -> Receipt:
        """What of the call has arrived at Roark, and what is lost; it can be asked at any time."""
        return self._call.delivery.receipt

    def report(self) -> CallReport:
        """Return the call as it is known now; it can be asked at any time."""
        return self._call.report()

    async def aflush(self, reason: str = "client-disconnected") -> None:
        """End the call now and wait until it is delivered, for as long as the deadline allows.

        A WebRTC client that goes away ends no pipeline: call this when your transport tells you,
        before you cancel the task. Later frames, and later calls of this, change nothing.

        Args:
            reason: Why the call ended, unless an end frame came before.
        """
        with self._guard:
            await self._call.finished(reason)

    async def on_push_frame(self, data: FramePushed) -> None:
        """Take note of a frame; returns at once, whatever the frame."""
        if self._concerns.get(type(data.frame), True):
            with self._guard:
                await self._see(data)

    async def cleanup(self) -> None:
        """Finish the call: the pipeline is over."""
        with self._guard:
            await self._call.finished()
        await super().cleanup()  # type: ignore[no-untyped-call]  # Pipecat annotates nothing here

    def _record(self) -> StereoRecorder:
        return StereoRecorder(
            on_chunk=self._call.delivery.add_audio,
            on_frame=self._see_inline,
            on_bot_audible=self._hear_bot,
            on_setup=self._attach,
            on_cleanup=self._call.finished,
        )

    def _attach(self, setup: FrameProcessorSetup) -> None:
        if compat.attach(self, setup.observer):
            logger.warning(
                "RoarkObserver was not among the observers of its pipeline and attached itself. "
                "The right line: PipelineTask(pipeline, observers=[roark])"
            )

    async def _see(self, data: FramePushed) -> None:
        """Read a frame that was pushed from one processor to the next."""
        frame = data.frame
        self._concerns[type(frame)] = isinstance(frame, RELEVANT_FRAMES)
        released = isinstance(data.source, BaseOutputTransport)
        self._has_output |= released
        if isinstance(frame, StartFrame) and data.destination is self._audio_processor:
            self._behind_output = self._has_output  # the start passes processors in their order
        self._call.begin(data.source.get_clock().get_time, data.timestamp)
        if isinstance(self._recorder, ExternalRecorder):
            await self._recorder.see(data)
            if isinstance(frame, _AUDIO) and self._recorder.origin_ns is None:
                self._concerns[type(frame)] = True
        if isinstance(frame, SPEAKING) and self._own and self._own.in_pipeline:
            return  # read inline, where the place in the recording is known
        if isinstance(frame, _ENDS):
            self._call.note_reason(_reason(frame))
            if released:
                self._call.end()
        elif isinstance(frame, RELEVANT_FRAMES):
            played = released or not self._has_output
            handed = isinstance(data.destination, BaseOutputTransport)
            self._translator.read(
                frame, data.timestamp, played=played, handed=handed, source=data.source
            )
            self._call.changed()

    def _see_inline(self, frame: Frame, at: int) -> None:
        """Read a frame that passes the recorder, where nothing is dropped."""
        if self._own is None or not isinstance(frame, RELEVANT_FRAMES):
            return
        with self._guard:
            if isinstance(frame, StartFrame):
                self._call.begin(self._own.get_clock().get_time, at)
            elif isinstance(frame, _ENDS):
                self._call.note_reason(_reason(frame))
                self._call.end()
            elif isinstance(frame, InterruptionFrame):
                pass  # The observer knows when the output got it; here it has already passed it.
            elif self._own.after_output or not isinstance(frame, TTSTextFrame):
                self._translator.read(frame, at, played=True)
                self._call.changed()

    def _hear_bot(self, at: int, edge: Edge, which: Literal["from", "until"]) -> None:
        if which == "until":
            self._call.state.note("end of speech", at, Conversation.bot_offset, edge)
        else:
            self._call.state.note("start of speech", at, Conversation.bot_onset, edge)

    async def _ended(self, report: CallReport) -> None:
        self._warn_of_placement()
        await self._call_event_handler("on_call_ended", report)

    def _warn_of_placement(self) -> None:
        mend = "Put it right after transport.output() in the pipeline."
        if not self._recorder.in_pipeline:
            logger.warning(
                f"Call {self.pipecat_call_id} has no recording: its audio processor is not in the "
                f"pipeline. {mend}"
            )
        elif self._has_output and not (self._behind_output or self._recorder.after_output):
            logger.warning(
                f"Call {self.pipecat_call_id} was recorded before transport.output(): the "
                f"assistant is there as it was made, not as it was heard. {mend}"
            )


def _reason(frame: Frame) -> str | None:
    """Return why a frame ends the call; the reason is on the frames from 0.0.93 on."""
    if isinstance(frame, StopFrame):
        return None
    return str(getattr(frame, "reason", None) or "agent-ended")
