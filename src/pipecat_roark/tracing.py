"""Spans for OpenTelemetry: what Pipecat's own trace of a conversation lacks.

The rules:

1. They are made when the call has ended, of the report that may leave: what nobody consented to,
   and what is not captured, is in no span. No span holds what was said, or a tool's arguments.
2. They are made in a thread, because an exporter may do I/O at once, fail or hang. The call's end
   waits for it shortly.
3. OpenTelemetry is only imported if Pipecat traces the conversation, and there is no span unless
   the application has set a tracer provider.
"""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_right
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.context import Context

    from pipecat_roark.report import CallReport, ToolCall, Turn

WAIT_SECS = 0.5
"""How long the call's end waits for the exporter."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Span(NamedTuple):
    """A span.

    Attributes:
        name: Its name.
        begin: When it begins, UTC.
        end: When it ends, UTC.
        attributes: Its attributes.
    """

    name: str
    begin: datetime
    end: datetime
    attributes: dict[str, str | float]


class Tracing:
    """Makes the spans of one call."""

    def __init__(self) -> None:
        self._kept: object = None
        self._done: asyncio.Event | None = None

    def note(self, kept: object) -> None:
        """Note where a pipeline keeps the trace of its conversation; the first one counts."""
        self._kept = self._kept or kept

    def conversation(self) -> Context | None:
        """Return the context of the conversation while Pipecat traces it, else None."""
        read = getattr(self._kept, "get_conversation_context", None)
        return read() if read else None

    def send(self, report: CallReport, closings: Iterable[datetime], conversation: Context) -> None:
        """Make the spans of a call that has ended, as children of its conversation.

        Args:
            report: The report, as `Gate.report` returned it.
            closings: When the pipeline took each of the user's turns as finished, UTC, in order.
            conversation: The context of the conversation.
        """
        made = [*spans(report, closings)]
        if not made:
            return
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def work() -> None:
            try:
                _make(made, conversation)
            except Exception as error:  # noqa: BLE001  # the application's own exporter
                logger.warning(f"Roark: the spans of a call were lost: {type(error).__name__}")
            with suppress(RuntimeError):  # the event loop may be closed by now
                loop.call_soon_threadsafe(done.set)

        self._done = done
        threading.Thread(target=work, name="roark-tracing", daemon=True).start()

    async def wait(self, secs: float = WAIT_SECS) -> None:
        """Wait until the spans are made, for some seconds."""
        if self._done is not None:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._done.wait(), secs)


def spans(report: CallReport, closings: Iterable[datetime] = ()) -> Iterator[Span]:
    """Yield the spans of a call: each turn of the user, and each tool call."""
    said = [turn for turn in report.turns if turn.role == "user"]
    closed = [*closings]
    for turn, after in zip_longest(said, said[1:]):
        place = bisect_right(closed, turn.started_at)
        over_at = closed[place] if place < len(closed) else None
        is_its_own = over_at and (after is None or over_at <= after.started_at)
        yield _of_turn(turn, over_at if is_its_own else None)
    yield from (_of_tool(call, report.ended_at) for call in report.tool_calls)


def _of_turn(turn: Turn, over_at: datetime | None) -> Span:
    if over_at is None:
        return Span("user_turn", turn.started_at, turn.ended_at, {})
    over_at = max(turn.ended_at, over_at)
    waited = (over_at - turn.ended_at).total_seconds()
    return Span("user_turn", turn.started_at, over_at, {"roark.end_of_turn_seconds": waited})


def _of_tool(call: ToolCall, ended_at: datetime | None) -> Span:
    known = [one.returned_at for one in call.results]
    if call.outcome == "pending" and ended_at is not None:
        known.append(ended_at)
    attributes: dict[str, str | float] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.name,
        "gen_ai.tool.call.id": call.tool_call_id,
    }
    return Span("function_tool", call.called_at, max([call.called_at, *known]), attributes)


def _make(made: list[Span], conversation: Context) -> None:
    from opentelemetry import trace  # noqa: PLC0415  # it need not be installed

    provider = trace.get_tracer_provider()
    if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return
    tracer = provider.get_tracer("pipecat_roark")
    for span in made:
        begun = tracer.start_span(
            span.name,
            context=conversation,
            attributes=span.attributes,
            start_time=_nanoseconds(span.begin),
        )
        begun.end(_nanoseconds(span.end))


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
