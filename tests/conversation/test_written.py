"""Calls in which somebody writes instead of speaking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.conversation.turns import Conversation
from support.events import bot_spoke, event, lines, ns, report_of, user_spoke, wall

if TYPE_CHECKING:
    from support.events import Event


def typed(at: float, text: str, *, client: bool = False) -> Event:
    """Return that a message was written in the user's name, or that the user's client sent it."""
    verb = Conversation.user_typed if client else Conversation.user_wrote
    return event(at, verb, text, ns(at))


def wrote(at: float, *pieces: str, silent: bool = False) -> list[Event]:
    """Return that the bot wrote a message, piece by piece."""
    written = [
        event(at + n / 10, Conversation.bot_wrote, piece, ns(at + n / 10), silent=silent)
        for n, piece in enumerate(pieces)
    ]
    return [*written, event(at + len(pieces) / 10, Conversation.bot_finished_writing)]


def test_a_written_call_has_turns() -> None:
    """What both sides wrote is there, in order, and without a place in the recording."""
    events = [*wrote(1, "Hel", "lo ", "there."), typed(2, " A table. "), *wrote(3, "When?")]
    assert lines(*events) == ["assistant: Hello there.", "user: A table.", "assistant: When?"]
    report = report_of(*events)
    assert report.agent_spoke_first is True
    assert report.turns[0].started_at == wall(ns(1))
    assert report.turns[0].ended_at == wall(ns(1.2))
    assert {(turn.start_ms, turn.end_ms) for turn in report.turns} == {(None, None)}


def test_a_spoken_question_may_be_answered_in_writing() -> None:
    """Each side is spoken or written by itself."""
    assert lines(*user_spoke(1, "Hello."), *wrote(3, "Hi."), typed(4, "Greet the user.")) == [
        "user: Hello.",
        "assistant: Hi.",
    ]


def test_what_an_application_writes_in_the_user_s_name_is_not_said() -> None:
    """A message that makes the bot greet a user who never speaks is no turn."""
    assert lines(typed(0.5, "Greet the user."), *bot_spoke(1.2, "Hi.")) == ["assistant: Hi."]


def test_in_a_spoken_call_what_is_written_is_not_said() -> None:
    """Text that is also spoken, and messages in the user's name, make no turn."""
    events = [typed(0.5, "Greet the user."), *wrote(1, "Hi."), *bot_spoke(1.2, "Hi.")]
    assert lines(*events, *user_spoke(3, "Hello.")) == ["assistant: Hi.", "user: Hello."]


def test_a_user_may_type_in_a_spoken_call() -> None:
    """What the client sent is said, and so is an answer to it that no service was to speak."""
    assert lines(
        *user_spoke(1, "Hello."),
        *bot_spoke(2, "Hi."),
        typed(4, "My number is 12.", client=True),
        *wrote(5, "Thank ", "you.", silent=True),
        *wrote(6, "Anything else?", silent=True),
        typed(7, "No.", client=True),
        *wrote(8, "Good."),
        *bot_spoke(8.1, "Good."),
    ) == [
        *["user: Hello.", "assistant: Hi.", "user: My number is 12.", "assistant: Thank you."],
        *["assistant: Anything else?", "user: No.", "assistant: Good."],
    ]


def test_nothing_that_is_written_is_nothing() -> None:
    """Empty messages, and ends without a beginning, make no turn."""
    assert lines(*wrote(1), *wrote(2, " "), typed(3, " ")) == []
