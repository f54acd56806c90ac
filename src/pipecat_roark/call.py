"""The life of one call, from the first frame to the end of its delivery. It does not know Pipecat.

A call owns its state, its gate and its clock. It begins with the first frame that anybody saw, and
begins once. It ends once, however many ask for the end: with an end frame, `aflush()`, or the
cleanup of the observer or the recorder. They all wait for the same task, whose time is bounded by
the deadline.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pipecat_roark.conversation.state import CallState
from pipecat_roark.gate import Gate
from pipecat_roark.moments import SECOND
from pipecat_roark.report import CallReport
from pipecat_roark.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat_roark.guard import ErrorBoundary
    from pipecat_roark.recording.listener import Recorder
    from pipecat_roark.settings import Settings

_RELEASE_SECS = 1.0
"""How long it may take to let go of other calls in the spool."""
_DRAIN_ROUNDS = 3
"""Turns of the event loop in which callbacks that already wait are run."""


class Call:
    """Owns the state, the gate and the ending of one call.

    It guarantees that `call-started` goes out once, that the ending runs once and is over within
    the deadline, and that an error in the report costs the transcript alone: the call's end and
    its recording still arrive.

    Args:
        settings: What the observer was given.
        pipecat_call_id: The call's identity.
        recorder: What records the call.
        boundary: Keeps errors away from the pipeline.
        on_ended: Takes the report after delivery.
    """

    def __init__(
        self,
        settings: Settings,
        pipecat_call_id: str,
        *,
        recorder: Recorder,
        boundary: ErrorBoundary,
        on_ended: Callable[[CallReport], Awaitable[None]],
    ) -> None:
        self.pipecat_call_id = pipecat_call_id
        self.state = CallState(pipecat_call_id, boundary)
        self.gate = Gate(settings, pipecat_call_id, recorder.publish)
        self.tracing = Tracing()
        self._recorder = recorder
        self._capture = settings.capture
        self._boundary = boundary
        self._on_ended = on_ended
        self._begun = False
        self._now: Callable[[], int] = int  # zero, until the pipeline has a clock
        self._wall_offset_ns = 0
        self._end_reason: str | None = None
        self._ending: asyncio.Task[None] | None = None
        self._spooling: set[asyncio.Task[None]] = set()

    def begin(self, now: Callable[[], int], at: int) -> None:
        """Begin, at the first frame that anybody saw; later calls change nothing.

        Args:
            now: The pipeline's clock, in nanoseconds.
            at: Pipeline time at which the pipeline started, in nanoseconds.
        """
        if self._begun:
            return
        self._begun = True
        self._now = now
        # One reading of both clocks for the whole call: a step of the wall clock moves nothing.
        self._wall_offset_ns = time.time_ns() - now()
        self.state.started(at)
        self.gate.start(self._wall(at))
        self._spooling = {
            asyncio.create_task(self.gate.follow(self._draft, self._recorder.tail)),
            asyncio.create_task(self._deliver_left()),
        }

    def report(self) -> CallReport:
        """Return the call as it is known now."""
        recorded = self.gate.recorded
        placed = recorded or (self._ending is None and "audio" in self._capture)
        return self.gate.report(self._report(recorded=recorded, placed=placed, words=True))

    def note_reason(self, reason: str | None) -> None:
        """Note why the call ends; the first reason counts."""
        self._end_reason = self._end_reason or reason

    def end(self) -> asyncio.Task[None]:
        """Start the one ending of this call, or return it."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._finish())
        return self._ending

    async def finished(self, reason: str | None = None) -> None:
        """Wait for the ending, even while being cancelled: it is bounded, and nothing is lost."""
        if self._begun:
            self.note_reason(reason)
            await _outlast(self.end())

    async def _finish(self) -> None:
        began, at = time.monotonic(), self._now()
        conversation = self.tracing.conversation()  # Pipecat forgets it when this is over
        for _ in range(_DRAIN_ROUNDS):
            await asyncio.sleep(0)
        with self._boundary:
            await self._recorder.finish()
        for task in self._spooling:
            task.cancel()
        reason = self._end_reason or "unknown"
        # What is known in any case: an error in the full report must not cost the whole call.
        report = CallReport(
            pipecat_call_id=self.pipecat_call_id, ended_at=self._wall(at), ended_reason=reason
        )
        if self.gate.recorded:
            report = self._with_format(report)
        event = self.gate.call_ended(report)
        with self._boundary:
            self.state.ended(at, reason)
            await self.gate.settle(self._draft)
            report = self.report()
            event = self.gate.call_ended(report)
        with self._boundary:
            if conversation is not None:
                self.tracing.send(report, map(self._wall, self.state.closings()), conversation)
        with self._boundary:
            await self.gate.end(event, spent_secs=time.monotonic() - began)
        await self.tracing.wait()
        await asyncio.wait(self._spooling, timeout=_RELEASE_SECS)
        await self._on_ended(report)

    async def _deliver_left(self) -> None:
        with self._boundary:
            await self.gate.deliver_left()

    def _report(self, *, recorded: bool, placed: bool, words: bool = False) -> CallReport:
        if not self._begun:
            return CallReport(pipecat_call_id=self.pipecat_call_id)
        report = self.state.report(
            self._now(),
            wall=self._wall,
            origin=self._recorder.origin_ns if placed else None,
            offset_ms=self._recorder.offset_ms,
            places=self._recorder.places if placed else None,
            pauses=self._recorder.pauses,
            words=words,
        )
        return self._with_format(report) if recorded else report

    def _with_format(self, report: CallReport) -> CallReport:
        rate, channels = self._recorder.sample_rate, self._recorder.num_channels
        return replace(report, sample_rate=rate, num_channels=channels)

    def _draft(self, recorded: bool) -> CallReport:  # noqa: FBT001
        """Return the report as the spool keeps it, with the audio that is in no chunk yet."""
        return self._report(recorded=recorded, placed=recorded)

    def _wall(self, at: int) -> datetime:
        return datetime.fromtimestamp((at + self._wall_offset_ns) / SECOND, timezone.utc)


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
