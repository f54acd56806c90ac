"""The public API as users use it: type-checked, never run.

A change that would break a user's type check breaks the type check of this file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineTask
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from typing_extensions import assert_type

import pipecat_roark
from pipecat_roark import (
    CallReport,
    CallSummary,
    LatencyStage,
    Loss,
    Pause,
    Receipt,
    RoarkObserver,
    Tally,
    ToolCall,
    ToolResult,
    Turn,
    Word,
    __version__,
)
from pipecat_roark.local import (
    FinishedCall,
    LocalRoark,
    StoredCall,
    StoredStage,
    StoredTool,
    StoredTurn,
    StoredWord,
    ThreadedRoark,
    Waveform,
    draw_call,
)

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler
    from pipecat.transports.base_transport import BaseTransport


async def observe(transport: BaseTransport) -> None:
    """Observe a call with every argument, attribute and event of the observer."""
    processor = AudioBufferProcessor(num_channels=2, buffer_size=131072)
    roark = RoarkObserver(
        agent_id="front-desk",
        api_key="key",
        agent_name="Front desk",
        agent_prompt="Be kind.",
        audio_buffer_processor=processor,
        pipecat_call_id="call-1",
        runner_args={"session_id": "session-7"},
        deadline_secs=5,
        max_waiting_bytes=1024 * 1024,
        max_process_waiting_bytes=16 * 1024 * 1024,
        spool_dir=Path("spool"),
        consent_required=True,
        capture={"words", "tools"},
        redact=redacted,
    )
    RoarkObserver(agent_id="front-desk", redact=redacted_later)
    assert_type(
        pipecat_roark.RoarkObserver(agent_id="front-desk", spool_dir="spool"), RoarkObserver
    )
    pipeline = Pipeline([transport.input(), transport.output(), roark.audio_processor])
    PipelineTask(pipeline, observers=[roark])

    @roark.event_handler("on_call_ended")  # type: ignore[untyped-decorator]
    async def on_call_ended(roark: RoarkObserver, report: CallReport) -> None:
        read(report, roark.receipt)

    assert_type(roark.audio_processor, AudioBufferProcessor)
    assert_type(roark.pipecat_call_id, str)
    assert_type(roark.report(), CallReport)
    assert_type(roark.receipt, Receipt)
    assert_type(__version__, str)
    roark.consent_given()
    roark.consent_refused()
    roark.pause()
    roark.resume()
    with roark.paused():
        await roark.aflush()
    await roark.aflush(reason="transferred")


def redacted(item: Turn | ToolCall) -> Turn | ToolCall | None:
    """Return what may be seen of an item."""
    if isinstance(item, ToolCall):
        return None
    return replace(item, content="", silenced=True)


async def redacted_later(item: Turn | ToolCall) -> Turn | ToolCall | None:
    """Return what may be seen of an item, some time later."""
    return redacted(item)


def read(report: CallReport, receipt: Receipt) -> None:
    """Read every field of a report and of a receipt."""
    assert_type(report.pipecat_call_id, str)
    assert_type(report.started_at, datetime | None)
    assert_type(report.ended_at, datetime | None)
    assert_type(report.ended_reason, str | None)
    assert_type(report.agent_spoke_first, bool | None)
    assert_type(report.sample_rate, int | None)
    assert_type(report.num_channels, int | None)
    assert_type(report.turns, tuple[Turn, ...])
    assert_type(report.tool_calls, tuple[ToolCall, ...])
    assert_type(report.pauses, tuple[Pause, ...])
    assert_type(report.settled_ms, int | None)
    read_summary(report.summary)
    for pause in report.pauses:
        assert_type(pause.started_at, datetime)
        assert_type(pause.ended_at, datetime | None)
        assert_type(pause.start_ms, int | None)
        assert_type(pause.end_ms, int | None)
    for turn in report.turns:
        read_turn(turn)
    for call in report.tool_calls:
        read_tool_call(call)
    assert_type(receipt.whole, bool)
    assert_type(receipt.events, Tally)
    assert_type(receipt.chunks, Tally)
    assert_type(receipt.chunks.captured, int)
    assert_type(receipt.chunks.delivered, int)
    assert_type(receipt.chunks.retried, int)
    assert_type(receipt.captured_bytes, int)
    assert_type(receipt.delivered_bytes, int)
    assert_type(receipt.ending_secs, float | None)
    assert_type(receipt.lost, tuple[Loss, ...])
    for loss in (*receipt.lost, *receipt.spooled):
        assert_type(loss.what, str)
        assert_type(loss.count, int)
        assert_type(loss.why, str)
        assert_type(loss.reason == "unavailable", bool)


def read_turn(turn: Turn) -> None:
    """Read every field of a turn."""
    assert_type(turn.role, Literal["user", "assistant"])
    assert_type(turn.content, str)
    assert_type(turn.started_at, datetime)
    assert_type(turn.ended_at, datetime)
    assert_type(turn.start_ms, int | None)
    assert_type(turn.end_ms, int | None)
    assert_type(turn.interrupted, bool)
    assert_type(turn.unheard, str)
    assert_type(turn.user_id, str | None)
    assert_type(turn.language, str | None)
    assert_type(turn.response_ms, int | None)
    assert_type(turn.latency, tuple[LatencyStage, ...])
    for stage in turn.latency:
        assert_type(stage.key, str)
        assert_type(stage.owner, str)
        assert_type(stage.kind, Literal["service", "setting", "bot", "pipeline"])
        assert_type(stage.start_ms, int)
        assert_type(stage.end_ms, int)
        assert_type(stage.duration_ms, int)
    assert_type(turn.detected, bool)
    assert_type(turn.open, bool)
    assert_type(turn.silenced, bool)
    assert_type(turn.words, tuple[Word, ...])
    for word in turn.words:
        assert_type(word.text, str)
        assert_type(word.start_ms, int)
        assert_type(word.end_ms, int)
        assert_type(word.error_ms, int)


def read_summary(summary: CallSummary) -> None:
    """Read every field of a summary."""
    assert_type(summary.median_response_ms, int | None)
    assert_type(summary.p95_response_ms, int | None)
    assert_type(summary.worst_response_ms, int | None)
    assert_type(summary.worst_stage, LatencyStage | None)
    assert_type(summary.interruptions, int)
    assert_type(summary.user_talk, float | None)
    assert_type(summary.assistant_talk, float | None)
    assert_type(summary.silence, float | None)


def read_tool_call(call: ToolCall) -> None:
    """Read every field of a tool call and of its results."""
    assert_type(call.tool_call_id, str)
    assert_type(call.name, str)
    assert_type(call.arguments, str)
    assert_type(call.called_at, datetime)
    assert_type(call.offset_ms, int | None)
    assert_type(call.results, tuple[ToolResult, ...])
    assert_type(call.outcome, Literal["returned", "cancelled", "pending"])
    assert_type(call.duration_ms, int | None)
    for result in call.results:
        assert_type(result.content, str)
        assert_type(result.returned_at, datetime)
        assert_type(result.offset_ms, int | None)


async def serve() -> None:
    """Serve a local Roark with every argument and attribute."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        return web.Response(status=503) if request.query else await handler(request)

    def listen(event: str, call: StoredCall) -> None:
        print(event, call.call_id)

    roark = LocalRoark(
        "calls", host="127.0.0.1", port=0, api_key="key", middlewares=[refuse], on_event=listen
    )
    await roark.start()
    await roark.stop()
    async with LocalRoark(Path("calls")) as roark:
        os.environ["ROARK_BASE_URL"] = assert_type(roark.url, str)
        assert_type(roark.page_of("call-1"), str)
        call = await roark.wait_for_end("call-1", timeout=5)
        assert_type(roark.calls, Mapping[str, StoredCall])
        assert_type(roark.problems, tuple[str, ...])
    assert_type(call, StoredCall)
    assert_type(draw_call(call), str)
    assert_type(draw_call(call, width=120), str)
    assert_type(call.complete, bool)
    assert_type(call.call_id, str)
    assert_type(call.folder, Path)
    assert_type(call.started, dict[str, Any] | None)
    assert_type(call.ended, dict[str, Any] | None)
    assert_type(call.chunks, dict[int, Path])
    assert_type(call.recording, Path | None)
    assert_type(call.problems, tuple[str, ...])
    assert_type(call.verified, tuple[str, ...])
    assert_type(call.has_odd_key, bool)


def test(roark: ThreadedRoark) -> None:
    """Test a bot with every argument and attribute of a local Roark in a thread."""
    with ThreadedRoark("calls", port=0) as own:
        assert_type(own.url, str)
    own = ThreadedRoark(Path("calls"))
    own.start()
    own.stop()
    roark.fail()
    roark.fail(429, times=2)
    roark.slow(0.5)
    roark.slow(0.5, times=1)
    roark.gone(60)
    assert_type(roark.calls, dict[str, StoredCall])
    assert_type(roark.problems, tuple[str, ...])
    assert_type(roark.call(), FinishedCall)
    read_finished(roark.call(timeout=5))


def read_finished(call: FinishedCall) -> None:
    """Read every field of a finished call."""
    assert_type(call.stored, StoredCall)
    assert_type(call.reason, str)
    assert_type(call.turns, tuple[StoredTurn, ...])
    assert_type(call.tools, tuple[StoredTool, ...])
    for turn in call.turns:
        assert_type(turn.role, str)
        assert_type(turn.content, str)
        assert_type(turn.started_at, datetime)
        assert_type(turn.ended_at, datetime)
        assert_type(turn.start_ms, int | None)
        assert_type(turn.end_ms, int | None)
        assert_type(turn.user_id, str | None)
        assert_type(turn.language, str | None)
        assert_type(turn.response_ms, int | None)
        assert_type(turn.interrupted, bool)
        assert_type(turn.unheard, str)
        assert_type(turn.words, tuple[StoredWord, ...])
        for word in turn.words:
            assert_type(word.text, str)
            assert_type(word.start_ms, int)
            assert_type(word.end_ms, int)
            assert_type(word.error_ms, int)
        assert_type(turn.latency, tuple[StoredStage, ...])
        for stage in turn.latency:
            assert_type(stage.key, str)
            assert_type(stage.owner, str)
            assert_type(stage.kind, str)
            assert_type(stage.start_ms, int)
            assert_type(stage.end_ms, int)
    for tool in call.tools:
        assert_type(tool.tool_call_id, str)
        assert_type(tool.name, str)
        assert_type(tool.arguments, str)
        assert_type(tool.results, tuple[str, ...])
        assert_type(tool.called_at, datetime)
        assert_type(tool.start_ms, int | None)
        assert_type(tool.duration_ms, int | None)
    if call.audio is not None:
        listen(call.audio)


def listen(audio: Waveform) -> None:
    """Read every field of a waveform."""
    assert_type(audio.rate, int)
    assert_type(audio.channels, int)
    assert_type(audio.frames, int)
    assert_type(audio.length_ms, float)
    assert_type(audio.peaks, bytes)
    assert_type(audio.chunks, tuple[Path, ...])
    assert_type(audio.is_estimate, bool)
    assert_type(audio.level("user"), float)
    assert_type(audio.level("assistant", start_ms=0, end_ms=500), float)
