"""Masks: a report without what must not be seen.

Pure: reports in and out.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pipecat_roark.report import CallReport, ToolCall, Turn

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from pipecat_roark.report import Pause

PAUSED = "[paused]"
"""Stands for what was said or done in a pause."""
REDACTED = "[redacted]"
"""Stands for what could not be judged."""
LATE_WORDS = timedelta(seconds=5)
"""How much earlier words may have been spoken whose speech no detector reported."""
_END_TOLERANCE = timedelta(milliseconds=250)
"""A pause that begins this shortly before the call's end hides no turn that it cuts: many bots stop
their recorder when the caller hangs up."""
_INSTANT = timedelta(microseconds=1)


def with_captured(report: CallReport, capture: Collection[str]) -> CallReport:
    """Return a report with the kinds of content that are captured: `words`, `tools` or both."""
    if "words" not in capture:
        report = replace(report, turns=())
    if "tools" not in capture:
        turns = tuple(_without_tools(turn) for turn in report.turns)
        report = replace(report, turns=turns, tool_calls=())
    return report


def without_paused(report: CallReport) -> CallReport:
    """Return a report without the content of what was said or done in a pause.

    A turn or a tool call is masked as a whole if any of it lies in a pause.
    """
    pauses = [pause for pause in report.pauses if not _is_end(pause, report.ended_at)]
    if not pauses:
        return report
    turns = tuple(_paused_turn(turn) if _overlaps(turn, pauses) else turn for turn in report.turns)
    calls = tuple(
        masked_tool_call(call, PAUSED) if _is_in(*_tool_span(call), pauses) else call
        for call in report.tool_calls
    )
    return replace(report, turns=turns, tool_calls=calls)


def without_content(report: CallReport) -> CallReport:
    """Return what is left of a report if nothing of the call may be seen: when it was."""
    return CallReport(
        pipecat_call_id=report.pipecat_call_id,
        started_at=report.started_at,
        ended_at=report.ended_at,
        ended_reason=report.ended_reason,
    )


def masked_turn(turn: Turn) -> Turn:
    """Return a turn of which nothing can be seen or heard."""
    return replace(turn, content=REDACTED, unheard="", user_id=None, silenced=True)


def masked_tool_call(call: ToolCall, mask: str) -> ToolCall:
    """Return a tool call with a mask for its arguments and its results."""
    results = tuple(replace(result, content=mask) for result in call.results)
    return replace(call, arguments=mask, results=results)


def _without_tools(turn: Turn) -> Turn:
    """Return a turn whose stages don't name the tools that it waited for."""
    latency = tuple(
        replace(stage, owner="tool") if stage.key == "function_handler" else stage
        for stage in turn.latency
    )
    return replace(turn, latency=latency)


def _paused_turn(turn: Turn) -> Turn:
    return replace(turn, content=PAUSED, unheard="")


def _overlaps(turn: Turn, pauses: list[Pause]) -> bool:
    start = turn.started_at if turn.detected else turn.started_at - LATE_WORDS
    return _is_in(start, None if turn.open else turn.ended_at, pauses)


def _tool_span(call: ToolCall) -> tuple[datetime, datetime | None]:
    if call.outcome == "pending":
        return call.called_at, None
    return call.called_at, max([call.called_at, *(one.returned_at for one in call.results)])


def _is_in(start: datetime, end: datetime | None, pauses: list[Pause]) -> bool:
    """Return whether something that lasted until `end`, or still lasts, lies in a pause."""
    return any(
        (pause.ended_at is None or start < pause.ended_at)
        and (end is None or max(end, start + _INSTANT) > pause.started_at)
        for pause in pauses
    )


def _is_end(pause: Pause, ended_at: datetime | None) -> bool:
    last = pause.ended_at is None and ended_at is not None
    return last and ended_at is not None and ended_at - pause.started_at < _END_TOLERANCE
