"""What a call comes to."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import pytest

from pipecat_roark import CallReport, CallSummary, LatencyStage, Turn

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


def turn(role: Literal["user", "assistant"], start: float, end: float, **more: Any) -> Turn:
    """Return a turn between two seconds."""
    begin, until = (BEGIN + timedelta(seconds=at) for at in (start, end))
    return Turn(role=role, content="x", started_at=begin, ended_at=until, **more)


def stage(key: str, start_ms: int, end_ms: int) -> LatencyStage:
    """Return a stage."""
    return LatencyStage(key=key, owner="x", kind="service", start_ms=start_ms, end_ms=end_ms)


def summary(*turns: Turn) -> CallSummary:
    """Return the summary of a call."""
    return CallReport(pipecat_call_id="call-1", turns=turns).summary


def test_a_call_without_turns() -> None:
    """There is nothing to sum up, and nothing is made up."""
    assert summary() == CallSummary()
    assert summary(turn("user", 1, 1)) == CallSummary()


def test_response_times_and_the_stage_to_look_at() -> None:
    """The worst answer's longest stage is where to begin."""
    slow = (stage("a", 0, 300), stage("b", 300, 800), stage("c", 800, 900))
    found = summary(
        turn("assistant", 0, 1),
        turn("assistant", 2, 3, response_ms=400, latency=(stage("d", 0, 400),)),
        turn("assistant", 4, 5, response_ms=900, latency=slow, interrupted=True),
        turn("assistant", 6, 7, response_ms=401, interrupted=True),
        turn("assistant", 8, 9, response_ms=500),
    )
    assert (found.median_response_ms, found.p95_response_ms, found.worst_response_ms) == (
        *(450, 900, 900),
    )
    assert found.worst_stage == slow[1]
    assert found.worst_stage.duration_ms == 500
    assert found.interruptions == 2


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (19, 19), (20, 19), (21, 20), (100, 95)])
def test_the_95th_percentile(count: int, expected: int) -> None:
    """It is a response time that was measured, which 95 % don't exceed."""
    turns = [turn("assistant", 0, 1, response_ms=ms) for ms in range(1, count + 1)]
    assert summary(*turns).p95_response_ms == expected


def test_shares_of_the_time() -> None:
    """Turns that overlap count once for a side; silence is where nobody speaks."""
    found = summary(
        turn("user", 0, 2),
        turn("assistant", 3, 6),
        turn("user", 5, 7),
        turn("user", 6, 6.5),
        turn("assistant", 9, 10),
    )
    assert found.user_talk == pytest.approx(0.4)
    assert found.assistant_talk == pytest.approx(0.4)
    assert found.silence == pytest.approx(0.3)


def test_a_side_that_says_nothing_has_no_share() -> None:
    """It is silent all the time."""
    found = summary(turn("assistant", 0, 1), turn("assistant", 1, 4))
    assert (found.user_talk, found.assistant_talk, found.silence) == (0, 1, 0)
