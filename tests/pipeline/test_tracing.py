"""A call's traces carry the identity that Roark knows it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineTask

from pipecat_roark import RoarkObserver
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


async def test_conversation_span_has_the_calls_identity(
    local: LocalRoark, spans: InMemorySpanExporter
) -> None:
    """Pipecat's spans of the conversation and its turns name the call as it is known at Roark."""
    transport = ScriptedTransport()
    roark = RoarkObserver(agent_id="front-desk")
    task = PipelineTask(
        Pipeline([transport.input(), transport.output(), roark.audio_processor]),
        observers=[roark],
        enable_tracing=True,
        conversation_id=roark.pipecat_call_id,
    )

    async def talk(call: Call) -> None:
        await call.user_says("Hello.")
        await call.end()

    await transport.call(task).hold(talk)
    (stored,) = local.calls.values()
    assert stored.ended is not None
    known_as = stored.ended["pipecatCallId"]
    found = [
        (span.name, (span.attributes or {}).get("conversation.id"))
        for span in spans.get_finished_spans()
    ]
    assert sorted(found) == [("conversation", known_as), ("turn", known_as)]
