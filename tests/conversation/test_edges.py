"""When a turn begins and ends, told event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipecat_roark.moments import Edge
from support.events import (
    audio_played,
    bot_says,
    bot_starts,
    bot_stops,
    floor_given,
    floor_taken,
    heard,
    ns,
    report_of,
    spans,
    spoken,
    state_of,
    user_says,
    user_starts,
    user_stops,
    wall,
)

if TYPE_CHECKING:
    from support.events import Event


SPANS: dict[str, tuple[list[Event], list[tuple[float, float]]]] = {
    "a detector's edges": (heard(1, "Hello."), [(1, 2)]),
    "turn frames, where no detector tells": (
        [floor_given(1), user_says(1.5, "Hello."), floor_taken(2)],
        [(1, 2)],
    ),
    "words, where nothing tells": ([user_says(1, "Hello."), user_says(2, "You.")], [(1, 2)]),
    "words that no speech announced before their answer": (
        [bot_starts(2), user_says(2.5, "Hello."), bot_says(3, "Hi."), bot_stops(3)],
        [(2, 2), (2, 3)],
    ),
    "an end that comes after the turn's": (
        [user_starts(1), floor_given(1), user_says(2, "Hello."), floor_taken(2.5), user_stops(2.6)],
        [(1, 2.6)],
    ),
    "an end in a turn that began with the words": (
        [floor_given(1), user_says(1, "Hello."), user_stops(1.5), floor_taken(2)],
        [(1, 1.5)],
    ),
    "an end that never comes": (
        [user_starts(1), user_says(2, "Hello."), *spoken(3, "Hi."), *heard(9, "You.")],
        [(1, 3), (3, 4), (9, 10)],
    ),
    "an end that comes in the next turn": (
        [
            *[user_starts(1), floor_given(1), user_says(2, "Hello."), floor_taken(3)],
            *[floor_given(4), user_says(4.5, "You."), user_stops(6)],
        ],
        [(1, 3), (4, 6)],
    ),
    "an assistant's audio rather than a late stop": (
        [bot_starts(1), audio_played(2, 1), bot_says(2, "Hi."), bot_stops(2.35)],
        [(1, 2)],
    ),
    "an assistant's announcements, where no audio tells": (
        [bot_starts(1), bot_says(2, "Hi."), bot_stops(2.35)],
        [(1, 2.35)],
    ),
    "words before the announcement": (
        [bot_says(1, "Hi."), bot_starts(1.2), bot_stops(2)],
        [(1.2, 2)],
    ),
    "words long before the announcement": (
        [*spoken(1, "Hi."), *heard(3, "Hello."), bot_says(5, "Yes?"), bot_starts(8), bot_stops(9)],
        [(1, 2), (3, 4), (8, 9)],
    ),
    "words without an announcement": ([bot_says(1, "Hi."), bot_says(2, "Yes?")], [(1, 2)]),
    "speech that goes on": ([bot_starts(1), bot_says(2, "Hi.")], [(1, 60)]),
    "a voice that speaks longer than another": (
        [bot_starts(1), bot_starts(1, "fr"), bot_says(2, "Hi."), bot_stops(2), bot_stops(3, "fr")],
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
    state = state_of(user_starts(2), user_says(3, "Hello."))
    state.user_stopped_speaking(ns(3), Edge(ns(1)))
    (turn,) = state.report(ns(9), wall=wall).turns
    assert turn.started_at == turn.ended_at == wall(ns(2))


def test_turns_of_a_speaker_never_overlap() -> None:
    """A turn is over when the same speaker's next begins, though edges say otherwise."""
    state = state_of(*heard(1, "Hello.", 4))
    state.user_started_speaking(ns(6), Edge(ns(4)))
    user_stops(7)(state)
    user_says(7, "You.")(state)
    turns = state.report(ns(9), wall=wall).turns
    assert [turn.started_at for turn in turns] == [wall(ns(1)), wall(ns(4))]
    assert [turn.ended_at for turn in turns] == [wall(ns(4)), wall(ns(7))]


def test_audible_edges_count_before_announced_ones() -> None:
    """What was heard of the assistant in the audio sets the edges of its turn, pauses included."""
    state = state_of(bot_starts(1), audio_played(2, 1), bot_says(2, "Hi."))
    state.bot_audible_from(ns(1.02), Edge(ns(1.01)))
    state.bot_audible_until(ns(1.9), Edge(ns(1.8)))
    bot_stops(2)(state)
    bot_starts(2.5)(state)
    state.bot_audible_from(ns(2.6), Edge(ns(2.55)))
    state.bot_audible_until(ns(2.9), Edge(ns(2.8)))
    bot_stops(3)(state)
    (turn,) = state.report(ns(9), wall=wall).turns
    assert (turn.started_at, turn.ended_at) == (wall(ns(1.01)), wall(ns(2.8)))


def test_audible_edges_of_nobody_are_ignored() -> None:
    """An edge of the assistant's speech without a turn of it changes nothing."""
    state = state_of(user_says(1, "Hello."))
    state.bot_audible_from(ns(2), Edge(ns(2)))
    state.bot_audible_until(ns(3), Edge(ns(3)))
    audio_played(3, 1)(state)
    bot_stops(3)(state)
    assert [turn.role for turn in state.report(ns(9), wall=wall).turns] == ["user"]


def test_response_time_runs_to_the_onset() -> None:
    """An answer tells how long the user waited for it, and other speech doesn't."""
    turns = report_of(
        *spoken(1, "Hi."), *heard(3, "Hello."), *spoken(4.25, "Yes?"), *spoken(20, "Anyone?")
    ).turns
    assert [turn.response_ms for turn in turns] == [None, None, 250, None]
