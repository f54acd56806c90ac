"""Masks on reports: what was said or done in a pause, and kinds of content nobody wants."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from pipecat_roark import CallReport, LatencyStage, Pause, ToolCall, ToolResult, Turn, Word
from pipecat_roark.conversation.state import CallState
from pipecat_roark.privacy import masks
from support.events import ns, user_said, user_started_speaking, user_stopped_speaking

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)


def at(secs: float) -> datetime:
    """Return a moment of the call."""
    return BEGAN + timedelta(seconds=secs)


def turn(start: float, end: float, **fields: Any) -> Turn:
    """Return a turn with words that were heard, and some that were not."""
    values: dict[str, Any] = {"role": "assistant", "content": "said", "unheard": "cut", **fields}
    return Turn(started_at=at(start), ended_at=at(end), **values)


def tool(called: float, *returned: float, outcome: Any = "returned") -> ToolCall:
    """Return a tool call and its results."""
    results = tuple(ToolResult(content="found", returned_at=at(secs)) for secs in returned)
    return ToolCall(
        tool_call_id="1",
        name="look",
        arguments="{}",
        called_at=at(called),
        results=results,
        outcome=outcome,
    )


def report(
    *items: Turn | ToolCall, pauses: Sequence[tuple[float, float | None]] = (), **fields: Any
) -> CallReport:
    """Return a report of a call with pauses."""
    return CallReport(
        pipecat_call_id="call-1",
        turns=tuple(item for item in items if isinstance(item, Turn)),
        tool_calls=tuple(item for item in items if isinstance(item, ToolCall)),
        pauses=tuple(
            Pause(started_at=at(begin), ended_at=None if end is None else at(end))
            for begin, end in pauses
        ),
        **fields,
    )


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        (turn(1, 9.9), False),
        (turn(1, 10), False),
        (turn(1, 10.1), True),
        (turn(11, 12), True),
        (turn(1, 30), True),
        (turn(19.9, 30), True),
        (turn(20, 30), False),
        (turn(1, 2, open=True), True),
        (turn(25, 26, open=True), False),
        (turn(15, 15), True),
        (turn(10, 10), True),
        (turn(20, 20), False),
        (turn(24, 24, role="user", detected=False), True),
        (turn(25, 25, role="user", detected=False), False),
    ],
)
def test_a_turn_is_hidden_if_any_of_it_lies_in_a_pause(said: Turn, hidden: bool) -> None:  # noqa: FBT001
    """Its role, its times and who said it stay; of an undetected one nobody knows when it was."""
    (seen,) = masks.without_paused(report(said, pauses=[(10, 20)])).turns
    assert seen == (replace(said, content="[paused]", unheard="") if hidden else said)


@pytest.mark.parametrize(
    ("called", "hidden"),
    [
        (tool(1, 2), False),
        (tool(1, 10.5), True),
        (tool(1, 2, 11), True),
        (tool(12, 13), True),
        (tool(15, 25), True),
        (tool(20, 25), False),
        (tool(1, outcome="pending"), True),
        (tool(1, 2, outcome="pending"), True),
        (tool(21, outcome="pending"), False),
        (tool(11, outcome="cancelled"), True),
    ],
)
def test_a_tool_call_is_hidden_if_any_of_it_lies_in_a_pause(called: ToolCall, hidden: bool) -> None:  # noqa: FBT001
    """Its name, its id and its times stay."""
    (seen,) = masks.without_paused(report(called, pauses=[(10, 20)])).tool_calls
    results = tuple(replace(result, content="[paused]") for result in called.results)
    assert seen == (replace(called, arguments="[paused]", results=results) if hidden else called)


@pytest.mark.parametrize(
    ("pauses", "ended", "hidden"),
    [
        ([(10, None)], None, True),
        ([(10, None)], 15, True),
        ([(10, None)], 10.26, True),
        ([(10, None)], 10.2, False),
        ([(10, 10.1)], 10.2, True),
        ([(1, 2), (10, 10.1), (12, None)], 12.1, True),
        ([(1, 2), (12, None)], 12.1, False),
    ],
)
def test_a_recorder_that_is_stopped_at_the_end_hides_nothing(
    pauses: list[tuple[float, float | None]],
    ended: float | None,
    hidden: bool,  # noqa: FBT001
) -> None:
    """Many bots stop it when the caller hangs up; a pause that lasted is one all the same."""
    ended_at = None if ended is None else at(ended)
    (seen,) = masks.without_paused(report(turn(9, 11), pauses=pauses, ended_at=ended_at)).turns
    assert (seen.content == "[paused]") is hidden


WORDS = {
    "content": "My number",
    "words": (Word("My", 1000, 1200, 50), Word("number", 1200, 2000, 50)),
}


def test_words_of_what_is_hidden_are_hidden() -> None:
    """Their places would tell what was said."""
    seen, hidden = masks.without_paused(
        report(turn(1, 2, **WORDS), turn(9, 11, **WORDS), pauses=[(10, 20)])
    ).turns
    assert seen.words == WORDS["words"]
    assert (hidden.content, hidden.words) == ("[paused]", ())
    assert masks.masked_turn(turn(1, 2, **WORDS)).words == ()


@pytest.mark.parametrize(
    "content", ["", "My", "My [number]", "number My", "My number is 4", None, 7]
)
def test_a_turn_has_only_words_of_its_content(content: Any) -> None:
    """Whoever replaces the content need not think of the words."""
    said = turn(1, 2, **WORDS)
    assert replace(said, content=content).words == ()
    assert replace(said, content="My  number", unheard="").words == said.words


def test_without_a_pause_nothing_changes() -> None:
    """The report is the same object."""
    whole = report(turn(1, 2), tool(1, 2))
    assert masks.without_paused(whole) is whole
    assert masks.with_captured(whole, {"audio", "words", "tools"}) is whole


@pytest.mark.parametrize(
    ("capture", "kept"), [({"words"}, (1, 0)), ({"tools"}, (0, 1)), ({"audio"}, (0, 0))]
)
def test_what_is_not_captured_is_in_no_report(capture: set[str], kept: tuple[int, int]) -> None:
    """Words are the turns."""
    left = masks.with_captured(report(turn(1, 2), tool(1, 2)), capture)
    assert (len(left.turns), len(left.tool_calls)) == kept


def test_tools_that_are_not_captured_are_not_named() -> None:
    """A turn keeps the time for which it waited for one."""
    model = LatencyStage(key="llm_inference", owner="model", kind="service", start_ms=0, end_ms=5)
    called = replace(model, key="function_handler", owner="get_diagnosis")
    answer = replace(turn(1, 2), latency=(model, called))
    (left,) = masks.with_captured(report(answer), {"words"}).turns
    assert left == replace(answer, latency=(model, replace(called, owner="tool")))
    assert masks.with_captured(report(answer), {"words", "tools"}).turns == (answer,)


def test_without_consent_a_report_tells_when_the_call_was() -> None:
    """And nothing else."""
    times = {"started_at": at(0), "ended_at": at(9), "ended_reason": "agent-ended"}
    whole = report(
        *(turn(1, 2), tool(1, 2)),
        pauses=[(1, 2)],
        agent_spoke_first=True,
        sample_rate=24000,
        num_channels=2,
        settled_ms=5,
        **times,
    )
    assert masks.without_content(whole) == CallReport(pipecat_call_id="call-1", **times)  # type: ignore[arg-type]


@pytest.mark.parametrize(("said_after", "hidden"), [(0.3, True), (0.9, True), (1.1, False)])
def test_words_that_come_too_early_may_be_of_a_pause(said_after: float, hidden: bool) -> None:  # noqa: FBT001
    """A recognizer is late, and the user speaks again right after the pause."""
    state = CallState("call-1")
    user_started_speaking(20.5)(state)
    user_said(20.5 + said_after, "Four one one one.")(state)
    user_stopped_speaking(22)(state)
    known = state.report(
        ns(23), wall=lambda at: BEGAN + timedelta(seconds=at / 1e9), pauses=[(ns(10), ns(20))]
    )
    (seen,) = masks.without_paused(known).turns
    assert (seen.content == "[paused]") is hidden
