"""The observer that a user puts into a pipeline: it shows a call what Pipecat does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
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
from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.frames import RELEVANT_FRAMES, SPEAKING, Translator
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.recording.external import ExternalRecorder
from pipecat_roark.recording.recorder import StereoRecorder

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from pipecat.processors.frame_processor import FrameProcessorSetup

    from pipecat_roark.moments import Edge
    from pipecat_roark.receipt import Receipt
    from pipecat_roark.recording.listener import Recorder, UserTrack
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
        self._inline = _InlineFrames(self._call, self._see_inline, self._attach)
        self._recorder: Recorder
        if audio_buffer_processor is None:
            self._recorder = StereoRecorder(self._inline, chunk_bytes=CHUNK_BYTES)
        elif isinstance(audio_buffer_processor, AudioBufferProcessor):
            self._recorder = ExternalRecorder(audio_buffer_processor, self._inline)
        else:
            raise TypeError(
                "audio_buffer_processor must be an AudioBufferProcessor, "
                f"not {type(audio_buffer_processor).__name__}"
            )
        self._call.recorder = self._recorder
        own = audio_buffer_processor is None
        self._translator = Translator(self._call.state, recorder=self._inline if own else None)
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
        return self._recorder.processor

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
        if isinstance(frame, StartFrame) and data.destination is self._recorder.processor:
            self._behind_output = self._has_output  # the start passes processors in their order
        self._call.begin(data.source.get_clock().get_time, data.timestamp)
        await self._recorder.observe(data)
        if isinstance(frame, _AUDIO) and self._recorder.awaits_audio:
            self._concerns[type(frame)] = True
        if isinstance(frame, SPEAKING) and self._recorder.reads_inline:
            return  # read inline, where the place in the recording is known
        if isinstance(frame, _ENDS):
            self._call.note_reason(_reason(frame))
            if released:
                self._call.end()
        elif isinstance(frame, RELEVANT_FRAMES):
            played = released or not self._has_output
            self._translator.read(frame, data.timestamp, played=played)
            self._call.changed()

    def _see_inline(self, frame: Frame, at: int) -> None:
        """Read a frame that passes the recorder, where nothing is dropped."""
        if not isinstance(frame, RELEVANT_FRAMES):
            return
        with self._guard:
            if isinstance(frame, StartFrame):
                self._call.begin(self._recorder.processor.get_clock().get_time, at)
            elif isinstance(frame, _ENDS):
                self._call.note_reason(_reason(frame))
                self._call.end()
            elif self._recorder.after_output or not isinstance(frame, TTSTextFrame):
                self._translator.read(frame, at, played=True)
                self._call.changed()

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


class _InlineFrames:
    """Receives what the recorder records and sees; gives the user's track by the latest frame."""

    def __init__(
        self,
        call: Call,
        on_frame: Callable[[Frame, int], None],
        on_setup: Callable[[FrameProcessorSetup], None],
    ) -> None:
        self._call = call
        self._on_frame = on_frame
        self.on_setup = on_setup
        self._track: UserTrack | None = None

    def on_audio(self, pcm: bytes) -> bytes:
        self._call.delivery.add_audio(pcm)
        return pcm

    def on_frame(self, frame: Frame, at: int, track: UserTrack) -> None:
        self._track = track
        self._on_frame(frame, at)

    def on_bot_onset(self, at: int, edge: Edge) -> None:
        self._call.state.bot_audible_from(at, edge)

    def on_bot_offset(self, at: int, edge: Edge) -> None:
        self._call.state.bot_audible_until(at, edge)

    async def on_cleanup(self) -> None:
        await self._call.finished()

    def user_onset(self, secs: float) -> int | None:
        return self._track.user_onset(secs) if self._track else None

    def user_offset(self, secs: float) -> int | None:
        return self._track.user_offset(secs) if self._track else None


def _reason(frame: Frame) -> str | None:
    """Return why a frame ends the call; the reason is on the frames from 0.0.93 on."""
    if isinstance(frame, StopFrame):
        return None
    return str(getattr(frame, "reason", None) or "agent-ended")
