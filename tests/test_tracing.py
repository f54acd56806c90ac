"""Spans for OpenTelemetry: what is in them, and that they are in nobody's way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="tracing needs the extra of that name")

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pipecat.utils.tracing.tracing_context import TracingContext

from pipecat_roark import CallReport, ToolCall, ToolResult, Turn
from pipecat_roark.tracing import Tracing, spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)
PRIVATE = "four one one one"


def at(secs: float) -> datetime:
    """Return a moment of the call."""
    return BEGAN + timedelta(seconds=secs)


def nanoseconds(secs: float) -> int:
    """Return a moment of the call as OpenTelemetry counts time."""
    return round((at(secs) - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds()) * 10**9


def user(start: float, end: float) -> Turn:
    """Return a turn of the user."""
    return Turn(role="user", content=PRIVATE, started_at=at(start), ended_at=at(end))


def tool(called: float, *returned: float, outcome: Any = "returned") -> ToolCall:
    """Return a tool call."""
    results = tuple(ToolResult(content=PRIVATE, returned_at=at(secs)) for secs in returned)
    known = {"tool_call_id": "call-7", "name": "look", "arguments": PRIVATE, "results": results}
    return ToolCall(called_at=at(called), outcome=outcome, **known)  # type: ignore[arg-type]


REPORT = CallReport(
    pipecat_call_id="call-1",
    ended_at=at(60),
    turns=(
        user(1, 3),
        Turn(role="assistant", content=PRIVATE, started_at=at(5), ended_at=at(6)),
    ),
    tool_calls=(tool(4, 5),),
)


@pytest.mark.parametrize(
    ("closed", "end", "waited"),
    [([3.5], 3.5, 0.5), ([], 3, None), ([2], 3, 0), ([0.5, 4, 6], 4, 1), ([0.5, 6], 3, None)],
)
def test_a_turn_of_the_user_lasts_until_it_was_judged_to_be_over(
    closed: list[float], end: float, waited: float | None
) -> None:
    """The time since the end of speech is known if the pipeline judged; never negative."""
    report = CallReport(pipecat_call_id="call-1", turns=(user(1, 3), user(5, 5.5)))
    span, other = spans(report, map(at, closed))
    assert (span.name, span.begin, span.end) == ("user_turn", at(1), at(end))
    known = {} if waited is None else {"roark.end_of_turn_seconds": waited}
    assert span.attributes == known
    assert other.end == at(6 if 6 in closed else 5.5)


@pytest.mark.parametrize(
    ("call", "end"),
    [
        (tool(4, 5, 6), 6),
        (tool(4, outcome="pending"), 60),
        (tool(4, 5, outcome="pending"), 60),
        (tool(4, 5, outcome="cancelled"), 5),
        (tool(4, 3), 4),
    ],
)
def test_a_tool_lasts_until_its_last_result(call: ToolCall, end: float) -> None:
    """One that waits when the call ends lasts until then."""
    (span,) = spans(CallReport(pipecat_call_id="call-1", ended_at=at(60), tool_calls=(call,)))
    assert (span.name, span.begin, span.end) == ("function_tool", at(4), at(end))
    running = CallReport(pipecat_call_id="call-1", tool_calls=(tool(4, outcome="pending"),))
    assert next(spans(running)).end == at(4)


def provided(monkeypatch: pytest.MonkeyPatch, exporter: SpanExporter) -> None:
    """Set a tracer provider that exports each span at once."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)


async def test_spans_are_children_of_the_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have the times of the frames, and hold nothing that was said."""
    exporter = InMemorySpanExporter()
    provided(monkeypatch, exporter)
    conversation = trace.SpanContext(7, 8, is_remote=False, trace_flags=trace.TraceFlags(1))
    tracing = Tracing()
    tracing.note(None)
    assert tracing.conversation() is None
    kept = TracingContext()
    tracing.note(kept)
    tracing.note("another pipeline's")
    assert tracing.conversation() is None
    kept.set_conversation_context(conversation)
    known = tracing.conversation()
    assert known is not None
    tracing.send(REPORT, [at(4)], known)
    await tracing.wait(30)
    one, other = exporter.get_finished_spans()
    assert [one.name, other.name] == ["user_turn", "function_tool"]
    assert (one.start_time, one.end_time) == (nanoseconds(1), nanoseconds(4))
    assert (other.start_time, other.end_time) == (nanoseconds(4), nanoseconds(5))
    for span in (one, other):
        assert span.parent is not None
        assert span.context is not None
        assert (span.parent.span_id, span.context.trace_id) == (8, 7)
        assert PRIVATE not in span.to_json()
    assert dict(one.attributes or {}) == {"roark.end_of_turn_seconds": 1.0}
    assert dict(other.attributes or {}) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look",
        "gen_ai.tool.call.id": "call-7",
    }


async def test_without_content_no_thread_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that nobody consented to has no content."""
    monkeypatch.setattr(threading, "Thread", None)
    tracing = Tracing()
    tracing.send(CallReport(pipecat_call_id="call-1"), [at(4)], Context())
    await tracing.wait(30)


@pytest.mark.parametrize("provider", [trace.ProxyTracerProvider(), trace.NoOpTracerProvider()])
async def test_without_a_provider_there_are_no_spans(
    monkeypatch: pytest.MonkeyPatch, provider: Any
) -> None:
    """Nobody gets a tracer."""
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    asked: list[str] = []
    monkeypatch.setattr(type(provider), "get_tracer", lambda *_: asked.append("tracer"))
    tracing = Tracing()
    tracing.send(REPORT, [at(4)], Context())
    await tracing.wait(30)
    assert asked == []


class Blocking(SpanExporter):
    """Hangs until it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.release.wait(60)
        return SpanExportResult.SUCCESS if spans else SpanExportResult.FAILURE


async def test_an_exporter_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call's end goes on, and the process can end meanwhile."""
    exporter = Blocking()
    provided(monkeypatch, exporter)
    tracing = Tracing()
    tracing.send(REPORT, [at(4)], Context())
    await tracing.wait(0.01)
    (hanging,) = (one for one in threading.enumerate() if one.name == "roark-tracing")
    assert hanging.daemon
    exporter.release.set()
    await tracing.wait(30)
    await asyncio.to_thread(hanging.join, 30)
    assert not hanging.is_alive()


async def test_a_provider_that_fails_costs_its_spans(
    monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    """One line names the type of the error."""

    def fail() -> None:
        raise ValueError(PRIVATE)

    monkeypatch.setattr(trace, "get_tracer_provider", fail)
    tracing = Tracing()
    tracing.send(REPORT, [at(4)], Context())
    await tracing.wait(30)
    assert warned == ["WARNING Roark: the spans of a call were lost: ValueError"]


def test_a_loop_that_closes_does_not_disturb_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spans are made all the same."""
    exporter = Blocking()
    provided(monkeypatch, exporter)

    async def end() -> None:
        Tracing().send(REPORT, [at(4)], Context())

    asyncio.run(end())
    (hanging,) = (one for one in threading.enumerate() if one.name == "roark-tracing")
    exporter.release.set()
    hanging.join(30)
    assert not hanging.is_alive()


@pytest.mark.process
def test_the_library_does_not_load_opentelemetry() -> None:
    """It is only imported when Pipecat traces a conversation."""
    source = "import sys, pipecat_roark.tracing; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0  # noqa: S603
