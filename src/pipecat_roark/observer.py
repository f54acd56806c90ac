"""The observer that a user puts into a pipeline. It translates, and owns everything of one call."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

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

from pipecat_roark import compat, recovery, settings, wire
from pipecat_roark.borrowed import BorrowedRecorder
from pipecat_roark.call_state import CallState
from pipecat_roark.client import RoarkClient
from pipecat_roark.delivery import DEADLINE_SECS, MAX_WAITING_BYTES, Delivery
from pipecat_roark.guard import Guard
from pipecat_roark.recorder import StereoRecorder
from pipecat_roark.report import CallReport
from pipecat_roark.spool_writer import SpoolWriter
from pipecat_roark.translator import CONCERNS, SPEAKING, Translator

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from pipecat.clocks.base_clock import BaseClock
    from pipecat.processors.frame_processor import FrameProcessorSetup

    from pipecat_roark.conversation import Edge
    from pipecat_roark.receipt import Receipt

_ENDS = (EndFrame, CancelFrame, StopFrame)
_AUDIO = (InputAudioRawFrame, OutputAudioRawFrame)
_RELEASE_SECS = 1.0
"""How long it may take to let go of other calls in the spool."""
_DRAIN_ROUNDS = 3
"""Turns of the event loop in which callbacks that already wait are run."""


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
        deadline_secs: float = DEADLINE_SECS,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
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
        self._pipecat_call_id = settings.call_id(pipecat_call_id, runner_args)
        spool_dir = self._settings.spool_dir
        self._spool = SpoolWriter(spool_dir, self._pipecat_call_id) if spool_dir else None
        self._delivery = Delivery(
            RoarkClient(self._settings.base_url, self._settings.api_key, self._pipecat_call_id),
            label=self._pipecat_call_id,
            deadline_secs=self._settings.deadline_secs,
            max_waiting_bytes=self._settings.max_waiting_bytes,
            spool=self._spool,
        )
        self._state = CallState(self._pipecat_call_id)
        self._own: StereoRecorder | None = None
        self._recorder: StereoRecorder | BorrowedRecorder
        if audio_buffer_processor is None:
            self._audio_processor: AudioBufferProcessor = self._record()
        elif isinstance(audio_buffer_processor, AudioBufferProcessor):
            self._audio_processor = audio_buffer_processor
            self._recorder = BorrowedRecorder(audio_buffer_processor, self._delivery.add_audio)
        else:
            raise TypeError(
                "audio_buffer_processor must be an AudioBufferProcessor, "
                f"not {type(audio_buffer_processor).__name__}"
            )
        self._translator = Translator(self._state, recorder=self._own)
        self._guard = Guard("call")
        self._concerns: dict[type, bool] = {}
        self._has_output = False
        self._behind_output = False
        self._begun = False
        self._now: Callable[[], int] = int  # zero, until the pipeline has a clock
        self._wall_offset_ns = 0
        self._end_reason: str | None = None
        self._ending: asyncio.Task[None] | None = None
        self._spooling: asyncio.Future[Any] | None = None

    def __repr__(self) -> str:
        return (
            f"RoarkObserver(agent_id={self._settings.agent_id!r}, "
            f"pipecat_call_id={self._pipecat_call_id!r})"
        )

    @property
    def audio_processor(self) -> AudioBufferProcessor:
        """The recorder, to be placed after `transport.output()`."""
        return self._audio_processor

    @property
    def pipecat_call_id(self) -> str:
        """The call's identity at Roark."""
        return self._pipecat_call_id

    @property
    def receipt(self) -> Receipt:
        """What of the call has arrived at Roark, and what is lost; it can be asked at any time."""
        return self._delivery.receipt

    def report(self) -> CallReport:
        """Return the call as it is known now; it can be asked at any time."""
        recorded = bool(self._delivery.chunks)
        return self._report(recorded=recorded, placed=recorded or self._ending is None)

    async def aflush(self, reason: str = "client-disconnected") -> None:
        """End the call now and wait until it is delivered, for as long as the deadline allows.

        A WebRTC client that goes away ends no pipeline: call this when your transport tells you,
        before you cancel the task. Later frames, and later calls of this, change nothing.

        Args:
            reason: Why the call ended, unless an end frame came before.
        """
        with self._guard:
            await self._finished(reason)

    async def on_push_frame(self, data: FramePushed) -> None:
        """Take note of a frame; returns at once, whatever the frame."""
        if self._concerns.get(type(data.frame), True):
            with self._guard:
                await self._see(data)

    async def cleanup(self) -> None:
        """Finish the call: the pipeline is over."""
        with self._guard:
            await self._finished()
        await super().cleanup()  # type: ignore[no-untyped-call]  # Pipecat annotates nothing here

    def _record(self) -> StereoRecorder:
        self._own = self._recorder = StereoRecorder(
            on_chunk=self._delivery.add_audio,
            on_frame=self._see_inline,
            on_bot_audible=self._hear_bot,
            on_setup=self._attach,
            on_cleanup=self._finished,
        )
        return self._own

    def _report(self, *, recorded: bool, placed: bool) -> CallReport:
        if not self._begun:
            return CallReport(pipecat_call_id=self._pipecat_call_id)
        report = self._state.report(
            self._now(),
            wall=self._wall,
            origin=self._recorder.origin_ns if placed else None,
            offset_ms=self._own.offset_ms if self._own else None,
        )
        if not recorded:
            return report
        rate, channels = self._recorder.sample_rate, self._recorder.num_channels
        return replace(report, sample_rate=rate, num_channels=channels)

    def _attach(self, setup: FrameProcessorSetup) -> None:
        if compat.attach(self, setup.observer):
            logger.warning(
                "RoarkObserver was not among the observers of its pipeline and attached itself. "
                "The right line: PipelineTask(pipeline, observers=[roark])"
            )

    async def _see(self, data: FramePushed) -> None:
        """Read a frame that was pushed from one processor to the next."""
        frame = data.frame
        self._concerns[type(frame)] = isinstance(frame, CONCERNS)
        released = isinstance(data.source, BaseOutputTransport)
        self._has_output |= released
        if isinstance(frame, StartFrame) and data.destination is self._audio_processor:
            self._behind_output = self._has_output  # the start passes processors in their order
        self._begin(data.source.get_clock(), data.timestamp)
        if isinstance(self._recorder, BorrowedRecorder):
            await self._recorder.see(data)
            if isinstance(frame, _AUDIO) and self._recorder.origin_ns is None:
                self._concerns[type(frame)] = True
        if isinstance(frame, SPEAKING) and self._own and self._own.in_pipeline:
            return  # read inline, where the place in the recording is known
        if isinstance(frame, _ENDS):
            self._note_end(frame)
            if released:
                self._end()
        elif isinstance(frame, CONCERNS):
            played = released or not self._has_output
            self._translator.read(frame, data.timestamp, played=played)
            self._note_change()

    def _see_inline(self, frame: Frame, at: int) -> None:
        """Read a frame that passes the recorder, where nothing is dropped."""
        if self._own is None or not isinstance(frame, CONCERNS):
            return
        with self._guard:
            if isinstance(frame, StartFrame):
                self._begin(self._own.get_clock(), at)
            elif isinstance(frame, _ENDS):
                self._note_end(frame)
                self._end()
            elif self._own.after_output or not isinstance(frame, TTSTextFrame):
                self._translator.read(frame, at, played=True)
                self._note_change()

    def _hear_bot(self, at: int, edge: Edge, which: Literal["from", "until"]) -> None:
        if which == "until":
            self._state.bot_audible_until(at, edge)
        else:
            self._state.bot_audible_from(at, edge)

    def _begin(self, clock: BaseClock, at: int) -> None:
        """Begin the call at the first frame that either eye sees."""
        if self._begun:
            return
        self._begun = True
        self._now = clock.get_time
        # One reading of both clocks for the whole call: a step of the wall clock moves nothing.
        self._wall_offset_ns = time.time_ns() - self._now()
        self._state.started(at)
        self._delivery.begin(
            wire.call_started(
                self._pipecat_call_id,
                self._wall(at),
                self._settings.agent_id,
                self._settings.agent_name,
                self._settings.agent_prompt,
            )
        )

        if self._spool is not None:
            self._spooling = asyncio.gather(
                self._spool.follow(self._draft, self._tail),
                recovery.deliver_left(
                    self._spool.spool_dir, self._settings.base_url, self._settings.api_key
                ),
                return_exceptions=True,
            )

    def _note_change(self) -> None:
        if self._spool is not None:
            self._spool.changed.set()

    def _draft(self) -> wire.CallEnded:
        """Return `call-ended` as it would be now, with the audio that is in no chunk yet."""
        recorded = bool(self._tail()[1] or self._delivery.chunks)
        report = self._report(recorded=recorded, placed=recorded)
        return wire.call_ended_event(report, datetime.now(timezone.utc))

    def _tail(self) -> tuple[int, bytes]:
        """Return the audio that is in no chunk yet, and which chunk it will be part of."""
        tail = self._own.tail() if self._own else b""
        return self._delivery.chunks, tail

    def _wall(self, at: int) -> datetime:
        return datetime.fromtimestamp((at + self._wall_offset_ns) / 1_000_000_000, timezone.utc)

    def _note_end(self, frame: Frame) -> None:
        if self._end_reason is None and not isinstance(frame, StopFrame):
            # The reason is on the frames from 0.0.93 on.
            self._end_reason = str(getattr(frame, "reason", None) or "agent-ended")

    def _end(self) -> asyncio.Task[None]:
        """Start the one ending of this call, or return it."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._finish())
        return self._ending

    async def _finished(self, reason: str | None = None) -> None:
        """Wait for the ending, even while being cancelled: it is bounded, and nothing is lost."""
        if not self._begun:
            return
        self._end_reason = self._end_reason or reason
        await _outlast(self._end())

    async def _finish(self) -> None:
        at = self._now()
        for _ in range(_DRAIN_ROUNDS):
            await asyncio.sleep(0)
        with self._guard:
            await self._recorder.stop_recording()
        if self._spooling is not None:
            self._spooling.cancel()
        self._warn_of_placement()
        self._state.ended(at, self._end_reason or "unknown")
        report = self.report()
        await self._delivery.finish(wire.call_ended(report, datetime.now(timezone.utc)))
        if self._spooling is not None:
            await asyncio.wait([self._spooling], timeout=_RELEASE_SECS)
        if not report.turns:
            logger.warning(
                f"Call {self._pipecat_call_id} has an empty transcript: no TranscriptionFrame and "
                "no TTSTextFrame was seen. Usual causes: the observer is not in "
                "PipelineTask(observers=[...]), nobody spoke, or the services push no text."
            )
        await self._call_event_handler("on_call_ended", report)

    def _warn_of_placement(self) -> None:
        mend = "Put it right after transport.output() in the pipeline."
        if not self._recorder.in_pipeline:
            logger.warning(
                f"Call {self._pipecat_call_id} has no recording: its audio processor is not in the "
                f"pipeline. {mend}"
            )
        elif self._has_output and not (self._behind_output or self._recorder.after_output):
            logger.warning(
                f"Call {self._pipecat_call_id} was recorded before transport.output(): the "
                f"assistant is there as it was made, not as it was heard. {mend}"
            )


async def _outlast(task: asyncio.Task[None]) -> None:
    """Wait for a task to its end; a cancellation meanwhile is raised after it."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:  # noqa: PERF203
            cancelled = error
    if cancelled is not None:
        raise cancelled
    await task
