"""The report of past turns is made once, and only when it is certain."""

from __future__ import annotations

from unittest.mock import patch

from pipecat_roark.conversation.past import PastTurns
from pipecat_roark.conversation.placement import Placement
from pipecat_roark.conversation.text import SpokenText
from pipecat_roark.conversation.user_turn import Transcription, UserTurn
from pipecat_roark.moments import Edge
from support.events import ns, wall


def turn(start: float, text: str) -> UserTurn:
    """Return a turn of the user."""
    words = [Transcription(SpokenText(text))] if text else []
    return UserTurn(Edge(ns(start)), Edge(ns(start + 1)), fragments=words)


def placement() -> Placement:
    """Return places in a call without a recording."""
    return Placement(ns(100), wall, None, None, None, is_open=lambda _: False)


def asked(past: PastTurns, turns: list[UserTurn], settled: int) -> tuple[list[str], int]:
    """Return the words of a report, and how many turns were reported anew."""
    with patch.object(Placement, "_user_turns", autospec=True) as report:
        report.side_effect = lambda _, turn, *__: iter([turn.fragments[0].words.text])
        return [str(one) for one in past.report([*turns], settled, placement())], report.call_count


def test_what_is_settled_is_reported_once() -> None:
    """Turns without words are counted, and not reported."""
    past, turns = PastTurns(), [turn(at, text) for at, text in enumerate(("a", "", "b", "c"))]
    assert asked(past, turns, 0) == (["a", "b", "c"], 3)
    assert asked(past, turns, 3) == (["a", "b", "c"], 3)
    assert asked(past, turns, 3) == (["a", "b", "c"], 1)
    assert asked(past, [*turns, turn(5, "d")], 2) == (["a", "b", "c", "d"], 2)


def test_a_turn_that_began_earlier_than_it_seemed_waits_for_its_place() -> None:
    """Nothing is kept until it is settled, too."""
    past, turns = PastTurns(), [turn(10, "late"), turn(5, "early"), turn(20, "last")]
    assert asked(past, turns, 1) == (["early", "late", "last"], 3)
    assert asked(past, turns, 1) == (["early", "late", "last"], 3)
    assert asked(past, turns, 2) == (["early", "late", "last"], 3)
    assert asked(past, turns, 2) == (["early", "late", "last"], 1)
