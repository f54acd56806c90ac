"""One call, from its first frame to its delivery: it begins once, ends once, and is bounded.

The observer shows it what Pipecat does; in here, nobody knows Pipecat.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from pipecat_roark import wire
from pipecat_roark.conversation.state import CallState
from pipecat_roark.delivery import recovery
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.moments import SECOND
from pipecat_roark.report import CallReport
from pipecat_roark.spool.owner import fingerprint
from pipecat_roark.spool.spool import NoSpool
from pipecat_roark.spool.writer import SpoolWriter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from pipecat_roark.guard import ErrorBoundary
    from pipecat_roark.moments import OffsetMs
    from pipecat_roark.settings import Settings
    from pipecat_roark.spool.spool import Spool

_RELEASE_SECS = 1.0
"""How long it may take to let go of other calls in the spool."""
_DRAIN_ROUNDS = 3
"""Turns of the event loop in which callbacks that already wait are run."""


class Recorder(Protocol):
    """What records a call."""

    @property
    def origin_ns(self) -> int | None:
        """Pipeline time of sample 0, or None while nothing was recorded."""

    @property
    def offset_ms(self) -> OffsetMs | None:
        """Places a sample in the recording; None if nobody knows."""

    @property
    def sample_rate(self) -> int:
        """Of the recording, in Hz."""

    @property
    def num_channels(self) -> int:
        """Of the recording."""

    def tail(self) -> bytes:
        """Return all audio that wasn't handed out yet, interleaved."""

    async def stop_recording(self) -> None:
        """Hand out what is left."""


class Call:
    """One call.

    Args:
        settings: What the observer was told.
        pipecat_call_id: The call's identity.
        guard: Keeps errors away from the pipeline.
        on_ended: Takes the report after delivery.
    """

    recorder: Recorder
    """To be set before the call begins."""

    def __init__(
        self,
        settings: Settings,
        pipecat_call_id: str,
        *,
        guard: ErrorBoundary,
        on_ended: Callable[[CallReport], Awaitable[None]],
    ) -> None:
        self.pipecat_call_id = pipecat_call_id
        self.state = CallState(pipecat_call_id)
        self._settings = settings
        spool_dir = settings.spool_dir
        self._spool: Spool = NoSpool()
        if spool_dir is not None:
            owner = fingerprint(settings.api_key, settings.base_url)
            self._spool = SpoolWriter(spool_dir, pipecat_call_id, owner=owner)
        self.delivery = Delivery(
            RoarkClient(settings.base_url, settings.api_key, pipecat_call_id),
            label=pipecat_call_id,
            deadline_secs=settings.deadline_secs,
            max_waiting_bytes=settings.max_waiting_bytes,
            spool=self._spool,
        )
        self._guard = guard
        self._on_ended = on_ended
        self._begun = False
        self._now: Callable[[], int] = int  # zero, until the pipeline has a clock
        self._wall_offset_ns = 0
        self._end_reason: str | None = None
        self._ending: asyncio.Task[None] | None = None
        self._spooling: set[asyncio.Task[None]] = set()

    def begin(self, now: Callable[[], int], at: int) -> None:
        """Begin, at the first frame that anybody saw.

        Args:
            now: The pipeline's clock, in nanoseconds.
            at: When the pipeline started.
        """
        if self._begun:
            return
        self._begun = True
        self._now = now
        # One reading of both clocks for the whole call: a step of the wall clock moves nothing.
        self._wall_offset_ns = time.time_ns() - now()
        self.state.started(at)
        agent = self._settings
        self.delivery.begin(
            wire.call_started(
                self.pipecat_call_id,
                self._wall(at),
                agent.agent_id,
                agent.agent_name,
                agent.agent_prompt,
            )
        )
        if agent.spool_dir is not None:
            self._spooling = {
                asyncio.create_task(self._spool.follow(self._draft, self._tail)),
                asyncio.create_task(self._deliver_left(agent.spool_dir)),
            }

    def changed(self) -> None:
        """Note that the state has changed."""
        self._spool.changed.set()

    def report(self) -> CallReport:
        """Return the call as it is known now."""
        recorded = bool(self.delivery.chunks)
        return self._report(recorded=recorded, placed=recorded or self._ending is None)

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
        at = self._now()
        for _ in range(_DRAIN_ROUNDS):
            await asyncio.sleep(0)
        with self._guard:
            await self.recorder.stop_recording()
        for task in self._spooling:
            task.cancel()
        # What is known whatever happens, so that an error of ours doesn't cost the whole call.
        reason, now = self._end_reason or "unknown", datetime.now(timezone.utc)
        bare = CallReport(
            pipecat_call_id=self.pipecat_call_id, ended_at=self._wall(at), ended_reason=reason
        )
        report = self._with_format(bare) if self.delivery.chunks else bare
        event = wire.call_ended(report, now)
        with self._guard:
            self.state.ended(at, reason)
            report = self.report()
            event = wire.call_ended(report, now)
            self._warn_if_empty(report)
        with self._guard:
            await self.delivery.finish(event)
        if self._spooling:
            await asyncio.wait(self._spooling, timeout=_RELEASE_SECS)
        await self._on_ended(report)

    def _warn_if_empty(self, report: CallReport) -> None:
        if not report.turns:
            logger.warning(
                f"Call {self.pipecat_call_id} has an empty transcript: no TranscriptionFrame and "
                "no TTSTextFrame was seen. Usual causes: the observer is not in "
                "PipelineTask(observers=[...]), nobody spoke, or the services push no text."
            )

    async def _deliver_left(self, spool_dir: Path) -> None:
        agent = self._settings
        with self._guard:
            await recovery.deliver_left(spool_dir, agent.base_url, agent.api_key)

    def _report(self, *, recorded: bool, placed: bool) -> CallReport:
        if not self._begun:
            return CallReport(pipecat_call_id=self.pipecat_call_id)
        report = self.state.report(
            self._now(),
            wall=self._wall,
            origin=self.recorder.origin_ns if placed else None,
            offset_ms=self.recorder.offset_ms,
        )
        return self._with_format(report) if recorded else report

    def _with_format(self, report: CallReport) -> CallReport:
        rate, channels = self.recorder.sample_rate, self.recorder.num_channels
        return replace(report, sample_rate=rate, num_channels=channels)

    def _draft(self, recorded: bool) -> wire.CallEnded:  # noqa: FBT001
        """Return `call-ended` as it would be now, with the audio that is in no chunk yet."""
        report = self._report(recorded=recorded, placed=recorded)
        return wire.call_ended_event(report, datetime.now(timezone.utc))

    def _tail(self) -> tuple[int, bytes]:
        """Return the audio that is in no chunk yet, and which chunk it will be part of."""
        return self.delivery.chunks, self.recorder.tail()

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
