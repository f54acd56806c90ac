"""Where turns that are made from events begin and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.moments import Edge
from support.events import (
    audio_played,
    bot_offset,
    bot_onset,
    bot_spoke,
    bot_started_speaking,
    bot_stopped_speaking,
    event,
    ns,
    report_of,
    spans,
    state_of,
    text_played,
    user_said,
    user_spoke,
    user_started_speaking,
    user_stopped_speaking,
    user_turn_started,
    user_turn_stopped,
    wall,
)

if TYPE_CHECKING:
    from support.events import Event


SPANS: dict[str, tuple[list[Event], list[tuple[float, float]]]] = {
    "a detector's edges": (user_spoke(1, "Hello."), [(1, 2)]),
    "turn frames, where no detector tells": (
        [user_turn_started(1), user_said(1.5, "Hello."), user_turn_stopped(2)],
        [(1, 2)],
    ),
    "words, where nothing tells": ([user_said(1, "Hello."), user_said(2, "You.")], [(1, 2)]),
    "words that no speech announced before their answer": (
        [
            bot_started_speaking(2),
            user_said(2.5, "Hello."),
            text_played(3, "Hi."),
            bot_stopped_speaking(3),
        ],
        [(2, 2), (2, 3)],
    ),
    "an end that comes after the turn's": (
        [
            user_started_speaking(1),
            user_turn_started(1),
            user_said(2, "Hello."),
            user_turn_stopped(2.5),
            user_stopped_speaking(2.6),
        ],
        [(1, 2.6)],
    ),
    "an end in a turn that began with the words": (
        [
            user_turn_started(1),
            user_said(1, "Hello."),
            user_stopped_speaking(1.5),
            user_turn_stopped(2),
        ],
        [(1, 1.5)],
    ),
    "an end that never comes": (
        [
            user_started_speaking(1),
            user_said(2, "Hello."),
            *bot_spoke(3, "Hi."),
            *user_spoke(9, "You."),
        ],
        [(1, 3), (3, 4), (9, 10)],
    ),
    "an end that comes in the next turn": (
        [
            *[
                user_started_speaking(1),
                user_turn_started(1),
                user_said(2, "Hello."),
                user_turn_stopped(3),
            ],
            *[user_turn_started(4), user_said(4.5, "You."), user_stopped_speaking(6)],
        ],
        [(1, 3), (4, 6)],
    ),
    "an assistant's audio rather than a late stop": (
        [
            bot_started_speaking(1),
            audio_played(2, 1),
            text_played(2, "Hi."),
            bot_stopped_speaking(2.35),
        ],
        [(1, 2)],
    ),
    "an assistant's announcements, where no audio tells": (
        [bot_started_speaking(1), text_played(2, "Hi."), bot_stopped_speaking(2.35)],
        [(1, 2.35)],
    ),
    "words before the announcement": (
        [text_played(1, "Hi."), bot_started_speaking(1.2), bot_stopped_speaking(2)],
        [(1.2, 2)],
    ),
    "words long before the announcement": (
        [
            *bot_spoke(1, "Hi."),
            *user_spoke(3, "Hello."),
            text_played(5, "Yes?"),
            bot_started_speaking(8),
            bot_stopped_speaking(9),
        ],
        [(1, 2), (3, 4), (8, 9)],
    ),
    "words without an announcement": ([text_played(1, "Hi."), text_played(2, "Yes?")], [(1, 2)]),
    "speech that goes on": ([bot_started_speaking(1), text_played(2, "Hi.")], [(1, 60)]),
    "a voice that speaks longer than another": (
        [
            bot_started_speaking(1),
            bot_started_speaking(1, "fr"),
            text_played(2, "Hi."),
            bot_stopped_speaking(2),
            bot_stopped_speaking(3, "fr"),
        ],
        [(1, 3)],
    ),
}


@pytest.mark.parametrize("case", SPANS)
def test_edges(case: str) -> None:
    """A turn's edges are those of its speech, as well as they are known."""
    events, expected = SPANS[case]
    assert spans(*events) == expected


def test_an_end_is_never_before_its_start() -> None:
    """Edges that contradict each other give a turn without a length (pipecat 5286)."""
    state = state_of(user_started_speaking(2), user_said(3, "Hello."))
    event(3, Conversation.user_stopped_speaking, Edge(ns(1)))(state)
    (turn,) = state.report(ns(9), wall=wall).turns
    assert turn.started_at == turn.ended_at == wall(ns(2))


def test_turns_of_a_speaker_never_overlap() -> None:
    """A turn is over when the same speaker's next begins, though edges say otherwise."""
    state = state_of(*user_spoke(1, "Hello.", 4))
    event(6, Conversation.user_started_speaking, Edge(ns(4)))(state)
    user_stopped_speaking(7)(state)
    user_said(7, "You.")(state)
    turns = state.report(ns(9), wall=wall).turns
    assert [turn.started_at for turn in turns] == [wall(ns(1)), wall(ns(4))]
    assert [turn.ended_at for turn in turns] == [wall(ns(4)), wall(ns(7))]


def test_audible_edges_count_before_announced_ones() -> None:
    """What was heard of the assistant in the audio sets the edges of its turn, pauses included."""
    state = state_of(bot_started_speaking(1), audio_played(2, 1), text_played(2, "Hi."))
    bot_onset(1.02, Edge(ns(1.01)))(state)
    bot_offset(1.9, Edge(ns(1.8)))(state)
    bot_stopped_speaking(2)(state)
    bot_started_speaking(2.5)(state)
    bot_onset(2.6, Edge(ns(2.55)))(state)
    bot_offset(2.9, Edge(ns(2.8)))(state)
    bot_stopped_speaking(3)(state)
    (turn,) = state.report(ns(9), wall=wall).turns
    assert (turn.started_at, turn.ended_at) == (wall(ns(1.01)), wall(ns(2.8)))


def test_audible_edges_of_nobody_are_ignored() -> None:
    """An edge of the assistant's speech without a turn of it changes nothing."""
    state = state_of(user_said(1, "Hello."))
    bot_onset(2, Edge(ns(2)))(state)
    bot_offset(3, Edge(ns(3)))(state)
    audio_played(3, 1)(state)
    bot_stopped_speaking(3)(state)
    assert [turn.role for turn in state.report(ns(9), wall=wall).turns] == ["user"]


def test_response_time_runs_to_the_onset() -> None:
    """An answer tells how long the user waited for it, and other speech doesn't."""
    turns = report_of(
        *bot_spoke(1, "Hi."),
        *user_spoke(3, "Hello."),
        *bot_spoke(4.25, "Yes?"),
        *bot_spoke(20, "Anyone?"),
    ).turns
    assert [turn.response_ms for turn in turns] == [None, None, 250, None]
