"""A call's traces carry the identity that Roark knows it by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineTask

from pipecat_roark import RoarkObserver
from support.calls import STOP_SECS
from support.toolbox import Toolbox
from support.transport import ScriptedTransport

pytest.importorskip("opentelemetry.sdk", reason="tracing needs the extra of that name")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipecat_roark.local import LocalRoark
    from support.calls import Call

pytestmark = pytest.mark.live

PRIVATE = "four one one one"


@pytest.fixture(scope="session")
def _exporter() -> InMemorySpanExporter:
    """Collect the spans of this process, whose tracer provider can be set only once."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def spans(_exporter: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    """Collect the spans of one test."""
    _exporter.clear()
    yield _exporter
    _exporter.clear()


async def traced(*, enable_tracing: bool = True, **options: Any) -> RoarkObserver:
    """Hold a call in which the user speaks and a tool is called; return its observer."""
    transport, toolbox = ScriptedTransport(), Toolbox()
    roark = RoarkObserver(agent_id="front-desk", **options)
    task = PipelineTask(
        Pipeline([transport.input(), toolbox, transport.output(), roark.audio_processor]),
        observers=[roark],
        enable_tracing=enable_tracing,
        conversation_id=roark.pipecat_call_id,
    )

    async def talk(call: Call) -> None:
        await call.user_says(PRIVATE)
        await toolbox.call("weather", {"city": PRIVATE})
        await asyncio.sleep(0.1)
        await toolbox.give("weather", PRIVATE)
        await asyncio.sleep(0.1)
        await call.end()

    await transport.call(task).hold(talk)
    return roark


async def test_conversation_span_has_the_calls_identity(
    local: LocalRoark, spans: InMemorySpanExporter
) -> None:
    """Pipecat's spans of the conversation and its turns name the call as it is known at Roark."""
    await traced()
    (stored,) = local.calls.values()
    assert stored.ended is not None
    known_as = stored.ended["pipecatCallId"]
    found = {
        span.name: (span.attributes or {}).get("conversation.id")
        for span in spans.get_finished_spans()
    }
    assert (found["conversation"], found["turn"]) == (known_as, known_as)


async def test_turns_and_tools_are_in_the_trace_of_the_conversation(
    local: LocalRoark, spans: InMemorySpanExporter
) -> None:
    """They have the times that the report has, and hold nothing that was said."""
    roark = await traced()
    assert local.calls[roark.pipecat_call_id].problems == ()
    by_name = {span.name: span for span in spans.get_finished_spans()}
    conversation, turn, tool = (by_name[n] for n in ("conversation", "user_turn", "function_tool"))
    for span in (turn, tool):
        assert span.parent is not None
        assert conversation.context is not None
        assert span.parent.span_id == conversation.context.span_id
        assert span.parent.trace_id == conversation.context.trace_id
        assert PRIVATE not in span.to_json()
    report = roark.report()
    (said,), (called,) = report.turns, report.tool_calls
    assert turn.start_time == pytest.approx(said.started_at.timestamp() * 1e9, abs=1e6)
    assert tool.start_time == pytest.approx(called.called_at.timestamp() * 1e9, abs=1e6)
    returned_at = called.results[-1].returned_at
    assert tool.end_time == pytest.approx(returned_at.timestamp() * 1e9, abs=1e6)
    waited = (turn.attributes or {})["roark.end_of_turn_seconds"]
    assert isinstance(waited, float)
    assert waited >= STOP_SECS - 0.05
    assert turn.end_time == pytest.approx((said.ended_at.timestamp() + waited) * 1e9, abs=1e6)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"capture": {"audio", "words"}}, {"user_turn"}),
        ({"capture": {"tools"}}, {"function_tool"}),
        ({"redact": lambda _: None}, {"user_turn", "function_tool"}),
        ({"consent_required": True}, set()),
        ({"enable_tracing": False}, set()),
    ],
)
@pytest.mark.usefixtures("local")
async def test_spans_are_of_what_may_leave(
    spans: InMemorySpanExporter, options: dict[str, Any], found: set[str]
) -> None:
    """Consent and capture hold for them, too; without Pipecat's tracing there are none."""
    await traced(**options)
    ours = [one for one in spans.get_finished_spans() if one.name in {"user_turn", "function_tool"}]
    assert {span.name for span in ours} == found
    assert not [span for span in ours if PRIVATE in span.to_json()]
