"""What a call comes to: how fast the assistant answered, and how much each side spoke.

Pure: a function of the turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipecat_roark.report import LatencyStage, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSummary:
    """How fast the assistant answered, and how much each side spoke.

    The shares are those of the time from the begin of the first turn to the end of the last one,
    from 0 to 1. They are None without any such time. What a side does not speak, it is silent.

    Attributes:
        median_response_ms: Median of the assistant's response times; None without any.
        p95_response_ms: The response time that 95 % of the answers don't exceed.
        worst_response_ms: The longest response time.
        worst_stage: The longest stage of the longest response time.
        interruptions: How often the user cut the assistant short.
        user_talk: Share of the time in which the user speaks.
        assistant_talk: Share of the time in which the assistant speaks.
        silence: Share of the time in which nobody speaks.
    """

    median_response_ms: int | None = None
    p95_response_ms: int | None = None
    worst_response_ms: int | None = None
    worst_stage: LatencyStage | None = None
    interruptions: int = 0
    user_talk: float | None = None
    assistant_talk: float | None = None
    silence: float | None = None


def summarize(turns: Sequence[Turn]) -> CallSummary:
    """Return the summary of the turns of a call."""
    answers = [turn for turn in turns if turn.response_ms is not None]
    times = sorted(turn.response_ms for turn in answers if turn.response_ms is not None)
    worst = max(answers, key=attrgetter("response_ms"), default=None)
    stages = worst.latency if worst else ()
    user = [turn for turn in turns if turn.role == "user"]
    assistant = [turn for turn in turns if turn.role == "assistant"]
    whole = _whole(turns)
    spoken = _share(turns, whole)
    return CallSummary(
        median_response_ms=round(median(times)) if times else None,
        p95_response_ms=times[-(-95 * len(times) // 100) - 1] if times else None,
        worst_response_ms=times[-1] if times else None,
        worst_stage=max(stages, key=attrgetter("duration_ms"), default=None),
        interruptions=sum(turn.interrupted for turn in turns),
        user_talk=_share(user, whole),
        assistant_talk=_share(assistant, whole),
        silence=None if spoken is None else 1 - spoken,
    )


def _whole(turns: Sequence[Turn]) -> timedelta:
    if not turns:
        return timedelta()
    return max(turn.ended_at for turn in turns) - min(turn.started_at for turn in turns)


def _share(turns: Iterable[Turn], whole: timedelta) -> float | None:
    """Return the share of the whole time that lies in any of the turns."""
    if not whole:
        return None
    covered, until = timedelta(), None
    for turn in sorted(turns, key=attrgetter("started_at")):
        begin = turn.started_at if until is None else max(until, turn.started_at)
        covered += max(timedelta(), turn.ended_at - begin)
        until = max(begin, turn.ended_at)
    return covered / whole
