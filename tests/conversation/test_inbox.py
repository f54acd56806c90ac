"""Bad events: each costs itself alone, whatever is wrong with it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipecat_roark import guard
from pipecat_roark.conversation.bot_side import BotSide
from pipecat_roark.conversation.checks import CHECKS
from pipecat_roark.conversation.inbox import INBOX_LIMIT
from pipecat_roark.conversation.state import CallState
from pipecat_roark.conversation.text import SpokenText
from pipecat_roark.conversation.tools import Tools
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.conversation.user_side import UserSide
from pipecat_roark.moments import Edge
from support.events import (
    audio_made,
    audio_played,
    bot_spoke,
    ended,
    event,
    lines,
    ns,
    state_of,
    text_made,
    user_said,
    user_spoke,
    wall,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark import CallReport
    from support.events import Event

PRIVATE = "my card number is 4"
VERBS: list[Callable[..., None]] = [
    verb
    for side in (UserSide, BotSide)
    for name, verb in vars(side).items()
    if not name.startswith("_")
]
GOOD: dict[str, Any] = {
    "edge": Edge(ns(5)),
    "at": ns(5),
    "words": SpokenText("Hello."),
    "text": "Hello.",
    "key": 1,
    "seconds": 0.5,
    "seconds_made": 0.5,
    "voice": None,
    "user_id": "ann",
    "language": "en",
    "reason": "agent-ended",
    "tool_call_id": "call-1",
    "name": "weather",
    "arguments": "{}",
    "content": "7",
    "final": True,
    "frame": 7,
    "called_name": "weather",
    "called_arguments": "{}",
    "step": "model asked",
    "owner": "model",
}
"""A value for each argument that a verb may have."""

plain_values = (
    st.none()
    | st.integers()
    | st.just(2**80)
    | st.floats()
    | st.just(PRIVATE)
    | st.binary(max_size=3)
    | st.builds(list)
    | st.builds(dict)
    | st.builds(object)
    | st.just(Edge)
)
values = (
    plain_values
    | st.builds(Edge, plain_values, plain_values)
    | st.builds(SpokenText, *[plain_values] * 4)
)


@pytest.fixture
def _production(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catch errors as outside of the tests."""
    monkeypatch.setattr(guard, "RERAISE", False)


def exchange() -> list[Event]:
    """Return a call of three turns."""
    return [*user_spoke(1, "Hello."), *bot_spoke(3, "Hi."), *user_spoke(6, "A table, please.")]


TURNS = ["user: Hello.", "assistant: Hi.", "user: A table, please."]


def report(state: CallState) -> CallReport:
    """Return the report of a call."""
    return state.report(ns(60), wall=wall, origin=0)


def parameters(verb: Callable[..., None]) -> list[str]:
    """Return the names of a verb's arguments."""
    return [*inspect.signature(verb).parameters][1:]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_every_argument_of_a_verb_has_a_check(verb: Callable[..., None]) -> None:
    """A new argument needs a check, and a value for the tests below."""
    assert {*parameters(verb)} <= {*CHECKS}
    assert {*parameters(verb)} <= {*GOOD}


@pytest.mark.usefixtures("_production")
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_bad_argument_costs_its_event_alone(
    verb: Callable[..., None], data: st.DataObject, warned: list[str]
) -> None:
    """An event with a value that its verb cannot use is lost, and nothing else."""
    names = parameters(verb)
    at: Any = data.draw(values, label="at") if data.draw(st.booleans()) or not names else ns(4.5)
    arguments = [GOOD[name] for name in names]
    if names and at == ns(4.5):
        position = data.draw(st.integers(0, len(names) - 1), label="position")
        arguments[position] = data.draw(values, label=names[position])
        bad = not CHECKS[names[position]](arguments[position])
    else:
        bad = not CHECKS["at"](at)
    warned.clear()
    state = state_of(*exchange())
    before = report(state)
    state.note("SomeFrame", at, verb, *arguments)
    after = report(state)
    if bad:
        assert after == before
        (line,) = warned
        assert "SomeFrame" in line
        assert PRIVATE not in line
    else:
        assert warned == []


@pytest.mark.usefixtures("_production")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    verb=st.sampled_from(["tool_called", "tool_returned", "tool_cancelled", "started", "ended"]),
    data=st.data(),
)
def test_a_bad_argument_of_another_verb_costs_nothing_else(
    verb: str, data: st.DataObject, warned: list[str]
) -> None:
    """Tools and the ends of a call take nothing that they cannot use."""
    names = parameters(getattr(CallState, verb))
    arguments = {name: GOOD[name] for name in names}
    name = data.draw(st.sampled_from(names))
    arguments[name] = data.draw(values.filter(lambda value: not CHECKS[name](value)))
    state = state_of(*exchange())
    state.started(ns(0))
    state.tool_called(ns(1), "call-1", "weather", "{}")
    before = report(state)
    warned.clear()
    getattr(state, verb)(**arguments)
    assert report(state) == before
    assert len(warned) == 1
    assert PRIVATE not in warned[0]


@pytest.mark.usefixtures("_production")
def test_bad_events_of_a_kind_are_logged_once(warned: list[str]) -> None:
    """The line names the kind of event, and no value of it."""
    texts: list[Any] = [None, 5, {}, [PRIVATE]]
    bad = [event(2, Conversation.user_said, SpokenText(one), ns(2), None, None) for one in texts]
    assert lines(*exchange(), *bad) == TURNS
    (line,) = warned
    assert "TypeError at checks.py:" in line
    assert line.endswith("while reading event; the call goes on without it.")


def half_done(conversation: Conversation) -> None:
    """Fail, as an error of the library would, after a change."""
    conversation.turns.clear()
    conversation.playback.audio_made(99.0, 0)
    raise ZeroDivisionError(PRIVATE)


@pytest.mark.usefixtures("_production")
@pytest.mark.parametrize("later", [0, INBOX_LIMIT], ids=["report", "for good"])
def test_an_event_that_fails_leaves_no_half_of_a_change(later: int, warned: list[str]) -> None:
    """An event that fails while it is applied is as if it had never come."""
    words = [user_said(10 + number, f"w{number}") for number in range(later)]
    good = [*exchange(), *words]
    failing = event(4, half_done)
    state, expected = state_of(*good[:5], failing, failing, *good[5:]), state_of(*good)
    for _ in range(2):
        assert report(state) == report(expected)
    assert len(warned) == 1
    assert "ZeroDivisionError at test_inbox.py:" in warned[0]
    assert PRIVATE not in warned[0]


def test_errors_are_seen_by_the_tests() -> None:
    """A bad event fails a test of the library, unless the test wants to see what it costs."""
    with pytest.raises(TypeError, match="words is of a wrong type or size"):
        user_said(1, None)(CallState("call-1"))  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        report(state_of(event(4, half_done)))


def test_audio_in_a_row_is_one_event() -> None:
    """Audio comes fifty times a second, and hours of it push no other event out of the inbox."""
    early = text_made(0.5, "Hi.", sounds_at=1)
    audio = [make(1 + n / 50, 0.02) for make in (audio_made, audio_played) for n in range(2000)]
    state = state_of(*audio, *bot_spoke(90, "Well?"), early, ended(95))
    (turn,) = report(state).turns
    assert turn.content == "Well?"
    assert len(state._inbox._events) < 20  # noqa: SLF001  # memory is not visible from outside


def test_the_tools_check_what_they_take() -> None:
    """The verbs of the tools have a check for each argument, as those of the conversation have."""
    for verb in (Tools.called, Tools.returned, Tools.cancelled):
        assert {*parameters(verb)} <= {*CHECKS}


@pytest.mark.parametrize("every", [1, 40], ids=["always", "now and then"])
def test_who_asks_before_the_end_changes_nothing(every: int) -> None:
    """What was applied for an earlier report is no different, also if an earlier event comes."""
    events = [
        one
        for at in range(0, 120, 6)
        for one in (*user_spoke(at + 1, f"Question {at}."), *bot_spoke(at + 3, f"Answer {at}."))
    ]
    for place in range(0, len(events) - 12, 9):
        events.insert(place + 12, events.pop(place))
    asked = state_of()
    for number, one in enumerate(events, 1):
        one(asked)
        if number % every == 0:
            assert report(asked) == report(state_of(*events[:number]))
    assert report(asked) == report(state_of(*events))


def test_a_report_applies_only_the_latest_events_anew() -> None:
    """A spool asks again and again."""
    applied: list[int] = []

    def count(_: Conversation) -> None:
        applied.append(1)

    state = state_of(event(5, count), *exchange())
    for _ in range(3):
        report(state)
    assert len(applied) == 1
