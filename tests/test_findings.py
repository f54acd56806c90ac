"""What is found in the wiring of a bot, and in which words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pipecat_roark.findings import Evidence, Marker, examine, is_odd_key

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def turn(role: str, start_ms: int | None, response_ms: int | None = None) -> Marker:
    """Return a turn of two seconds, whose call has a recording since noon."""
    end_ms = None if start_ms is None else start_ms + 2000
    at = NOON + timedelta(milliseconds=start_ms or 0)
    return Marker(role, at, start_ms, end_ms, response_ms)


TURNS = (turn("user", 1000), turn("assistant", 4000, 1000))
WELL: dict[str, Any] = {
    "turns": TURNS,
    "started_at": NOON,
    "has_recorder": True,
    "before_output": False,
    "user_spoke": True,
    "user_heard": True,
    "assistant_heard": True,
    "texts": ("TranscriptionFrame", "TTSTextFrame"),
    "level": lambda _role, _start, _end: 0.5,
}


def names(**known: Any) -> list[str]:
    """Return the names of what is found if this is known, and all else is well."""
    return [finding.name for finding in examine(Evidence(**{**WELL, **known}))]


def silence_at(*moments: int) -> Any:
    """Return levels of a call that is loud except around some moments, in milliseconds."""

    def level(_role: str, start: float, end: float) -> float:
        return 0.009 if any(start <= moment <= end for moment in moments) else 0.5

    return level


def test_a_call_that_is_well_has_no_findings() -> None:
    """Nothing is said of good wiring, nor of what somebody can't know."""
    assert names() == []
    assert [*examine(Evidence(turns=TURNS))] == []


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({"has_recorder": False}, ["no-recording"]),
        ({"has_recorder": False, "user_heard": False, "assistant_heard": False}, ["no-recording"]),
        ({"before_output": True}, ["before-output"]),
        ({"turns": ()}, ["empty-transcript"]),
        ({"turns": (), "texts": ()}, ["empty-transcript"]),
        ({"turns": (), "texts": None}, ["empty-transcript"]),
        ({"turns": (), "wants_transcript": False}, []),
        ({"user_heard": False}, ["no-user-audio"]),
        ({"user_heard": False, "user_spoke": False}, []),
        ({"assistant_heard": False}, ["silent-assistant"]),
        ({"assistant_heard": False, "turns": TURNS[:1]}, []),
        ({"assistant_heard": False, "turns": (turn("assistant", None),)}, []),
        ({"level": silence_at(1000)}, ["markers-off"]),
        ({"level": silence_at(6000)}, ["markers-off"]),
        ({"level": silence_at(6000), "assistant_heard": False}, ["silent-assistant"]),
        ({"level": silence_at(1101, 2899)}, []),
        ({"turns": (TURNS[0], turn("assistant", 3000, 99))}, ["response-times"]),
        ({"turns": (TURNS[0], turn("assistant", 3000, -5))}, ["response-times"]),
        ({"turns": (TURNS[0], turn("assistant", 3000, 100))}, []),
        ({"started_at": NOON + timedelta(seconds=1.5)}, ["late-start"]),
        ({"started_at": NOON + timedelta(seconds=1)}, []),
        ({"started_at": None}, []),
        ({"turns": (turn("user", None),), "started_at": NOON + timedelta(seconds=5)}, []),
        ({"has_odd_key": True}, ["odd-key"]),
    ],
)
def test_each_fault_is_found(known: dict[str, Any], found: list[str]) -> None:
    """Each fault has one finding, and no other comes of it."""
    assert names(**known) == found


def test_findings_say_how_much() -> None:
    """The sentences hold the figures, so that a person can look for the place."""
    turns = (TURNS[0], turn("assistant", 3000, -50), turn("assistant", 9000, 700))
    late = NOON + timedelta(seconds=2.5)
    said = " ".join(
        map(
            str,
            examine(
                Evidence(**{**WELL, "turns": turns, "level": silence_at(9000), "started_at": late})
            ),
        )
    )
    assert "1 of 3 turns begin or end more than 100 ms from audible speech." in said
    assert "1 of 2 response times can't be: the fastest is -50 ms." in said
    assert "speaking to nobody for 2.5 s" in said


@pytest.mark.parametrize(
    "key",
    [
        '"rk-1"',
        "'rk-1'",
        "Bearer rk-1",
        "<your key>",
        "...",
        "$KEY",
        "your-api-key",
        "rk 1",
        "None",
    ],
)
def test_a_key_with_a_slip_is_odd(key: str) -> None:
    """What is typed by mistake instead of a key, or around it."""
    assert is_odd_key(key)


@pytest.mark.parametrize("key", ["rk_live_8f3a-22", "demo", "anything", "A+/=.:~", "bear", "noney"])
def test_a_key_without_a_slip_is_not_odd(key: str) -> None:
    """How Roark's keys look is not known, so only slips are told."""
    assert not is_odd_key(key)
