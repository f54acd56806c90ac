"""What holds of every call, however its frames fall."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from support.events import (
    audio_made,
    audio_played,
    bot_started_speaking,
    bot_stopped_speaking,
    interrupted,
    report_of,
    text_made,
    text_played,
    tts_started,
    tts_stopped,
    user_said,
    user_started_speaking,
    user_stopped_speaking,
    user_turn_started,
    user_turn_stopped,
)
from support.simulation import CHUNK, Simulation

if TYPE_CHECKING:
    from pipecat_roark import CallReport
    from support.events import Event
    from support.simulation import Announced, Shape


@dataclass(frozen=True)
class Plan:
    """How a call goes: the way it is told of, and who says how much."""

    shape: Shape
    announced: Announced
    lag: float
    inline: bool
    exchanges: list[tuple[list[int], float, list[tuple[int, float]], float | None]]

    def held(self) -> Simulation:
        """Return the call that goes like this."""
        call = Simulation(self.shape, self.announced, self.lag, self.inline)
        for segments, delay, sentences, cut in self.exchanges:
            # Where nothing tells of the user's speech, words can't come after the answer.
            call.user_speaks(segments, 0.0 if self.announced == "nothing" else delay)
            if self.shape == "deltas":
                call.bot_speaks([(words, words * CHUNK) for words, _ in sentences], cut)
            else:
                call.bot_speaks(sentences, cut)
        return call


tenths = st.integers(0, 30).map(lambda tenth: tenth / 10)
plans = st.builds(
    Plan,
    shape=st.sampled_from(["behind", "ahead", "timed", "deltas"]),
    announced=st.sampled_from(["speech", "turns", "both", "nothing"]),
    lag=st.sampled_from([0.0, 0.03, 1.0]),
    inline=st.booleans(),
    exchanges=st.lists(
        st.tuples(
            st.lists(st.integers(1, 3), min_size=1, max_size=3),
            st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.5]),
            st.lists(
                st.tuples(st.integers(1, 6), st.sampled_from([0.4, 1.0, 2.0])),
                min_size=1,
                max_size=3,
            ),
            st.none() | st.integers(1, 40).map(lambda tenth: tenth / 10),
        ),
        min_size=1,
        max_size=4,
    ),
)


def assert_sane(report: CallReport) -> None:
    """Check that turns are in order, and each within itself."""
    for turn in report.turns:
        assert turn.content
        assert turn.started_at <= turn.ended_at
    for earlier, later in pairwise(report.turns):
        assert earlier.started_at <= later.started_at
    for role in ("user", "assistant"):
        own = [turn for turn in report.turns if turn.role == role]
        for earlier, later in pairwise(own):
            assert earlier.ended_at <= later.started_at


@given(plans)
def test_every_word_is_in_its_turn_once(plan: Plan) -> None:
    """No word is lost, doubled, out of order, in another's turn or beyond what was heard."""
    call = plan.held()
    report = call.report()
    assert_sane(report)
    turns = [*report.turns]
    for truth in call.truth:
        if not turns or turns[0].role != truth.role:
            assert truth.at_least == 0
            continue
        turn = turns.pop(0)
        heard = turn.content.split()
        assert truth.at_least <= len(heard) <= truth.at_most
        assert [*heard, *turn.unheard.split()] == truth.words
        assert turn.interrupted == truth.interrupted
    assert not turns


@given(plans, st.sets(st.integers(0, 200), max_size=5))
def test_asking_changes_nothing(plan: Plan, ask_after: set[int]) -> None:
    """A report is the same whether or not others were asked for before it."""
    call = plan.held()
    assert call.report(ask_after=[*ask_after]) == call.report()


EVENTS = [
    user_started_speaking,
    user_stopped_speaking,
    user_turn_started,
    user_turn_stopped,
    bot_started_speaking,
    bot_stopped_speaking,
    tts_started,
    tts_stopped,
    interrupted,
]


@st.composite
def chaos(draw: st.DrawFn) -> tuple[list[Event], list[str], list[str]]:
    """Draw events in no order that makes sense, and the words of the two speakers."""
    events: list[Event] = []
    words: tuple[list[str], list[str]] = [], []
    for number in range(draw(st.integers(1, 25))):
        at = draw(tenths)
        match draw(st.integers(0, 12)):
            case 9:
                words[0].append(f"u{number}")
                events.append(user_said(at, f"u{number}"))
            case 10:
                words[1].append(f"b{number}")
                made = text_made(at, f"b{number}", sounds_at=draw(st.none() | tenths))
                events += [made, text_played(at + draw(tenths) + 0.01, f"b{number}")]
            case 11:
                events.append(audio_made(at, draw(tenths)))
            case 12:
                events.append(audio_played(at, draw(tenths)))
            case kind:
                events.append(EVENTS[kind](at))
    return draw(st.permutations(events)), *words


@given(chaos())
def test_nothing_breaks_whatever_comes(
    told: tuple[list[Event], list[str], list[str]],
) -> None:
    """Frames that contradict each other cost no word, double none and leave edges sane."""
    events, of_user, of_bot = told
    report = report_of(*events)
    assert_sane(report)
    for role, words in (("user", of_user), ("assistant", of_bot)):
        turns = [turn for turn in report.turns if turn.role == role]
        content = [word for turn in turns for word in turn.content.split()]
        unheard = [word for turn in turns for word in turn.unheard.split()]
        assert len(content) == len(set(content))
        assert not {*content} & {*unheard}
        if role == "user":
            assert sorted(content) == sorted(words)
        else:
            assert {*content, *unheard} <= {*words}
