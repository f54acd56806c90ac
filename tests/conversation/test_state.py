"""What the state of a call makes of events, whenever they come."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from pipecat_roark import ToolResult
from pipecat_roark.conversation.inbox import INBOX_LIMIT
from pipecat_roark.conversation.state import CallState
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.frames import FrameReader
from pipecat_roark.moments import ClockPlaces, Edge
from pipecat_roark.sighting import Sighting
from support.cost import counted
from support.events import (
    audio_played,
    bot_offset,
    bot_onset,
    bot_spoke,
    bot_started_speaking,
    bot_stopped_speaking,
    ended,
    event,
    lines,
    ns,
    report_of,
    state_of,
    text_played,
    user_said,
    user_spoke,
    user_started_speaking,
    user_stopped_speaking,
    wall,
)
from support.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark import ToolCall
    from pipecat_roark.moments import Speaker

EXCHANGE = [
    *[bot_started_speaking(1), text_played(2, "Hi."), bot_stopped_speaking(2)],
    *[user_started_speaking(3), user_stopped_speaking(4), user_said(4.5, "Hello.")],
    *[bot_started_speaking(5), text_played(6, "Yes?"), bot_stopped_speaking(6)],
]
TURNS = ["assistant: Hi.", "user: Hello.", "assistant: Yes?"]


@pytest.mark.parametrize("seed", range(20))
def test_events_are_sorted_by_their_time(seed: int) -> None:
    """In whatever order events arrive, they count in that in which they happened."""
    shuffled = random.Random(seed).sample(EXCHANGE, len(EXCHANGE))  # noqa: S311
    assert lines(*shuffled) == TURNS


def test_the_inbox_is_bounded() -> None:
    """Events beyond the inbox are applied for good, and the rest as if they had been."""
    events = [user_said(number * 10, f"w{number}") for number in range(2 * INBOX_LIMIT)]
    assert lines(*events) == [f"user: w{number}" for number in range(2 * INBOX_LIMIT)]


def test_a_report_on_the_inbox_leaves_old_turns_alone() -> None:
    """The assistant's turn may lie far back, and a report still changes nothing of it."""
    events = [user_said(number * 10, f"w{number}") for number in range(1, INBOX_LIMIT + 100)]
    state = state_of(
        bot_started_speaking(1), text_played(2, "Hi."), *events, text_played(9000, "Bye.")
    )
    reports = [state.report(ns(9999), wall=wall) for _ in range(2)]
    assert [report.turns[0].content for report in reports] == ["Hi. Bye."] * 2


def test_nothing_counts_after_the_end() -> None:
    """Events that come after the end, and a second end, are ignored (pipecat 4195)."""
    state = state_of(*EXCHANGE, audio_played(5.5, 0.5), ended(7))
    state.tool_called(ns(5), "call-1", "weather", "{}")
    before = state.report(ns(20), wall=wall)
    for late in (user_said(8, "Late."), text_played(8, "Late."), ended(9)):
        late(state)
    audio_played(5.6, 1.0)(state)
    state.tool_called(ns(8), "call-2", "weather", "{}")
    state.tool_returned(ns(8), "call-1", "late", final=True)
    state.tool_cancelled(ns(8), "call-1")
    assert state.report(ns(30), wall=wall) == before
    assert before.ended_at == wall(ns(7))
    assert before.ended_reason == "agent-ended"
    assert before.tool_calls == ()


def test_the_start_counts_once() -> None:
    """The first start is the call's; without one there is none."""
    state = CallState("call-1")
    assert state.report(0, wall=wall).started_at is None
    state.started(ns(1))
    state.started(ns(2))
    assert state.report(0, wall=wall).started_at == wall(ns(1))


@pytest.mark.parametrize(
    ("events", "first"),
    [
        ([], None),
        ([user_started_speaking(1)], None),
        ([bot_started_speaking(1)], None),
        ([user_said(1, "Hello."), *[bot_started_speaking(2), text_played(3, "Hi.")]], False),
        (
            [
                bot_started_speaking(1),
                text_played(2, "Hi."),
                bot_stopped_speaking(2),
                user_said(3, "Hello."),
            ],
            True,
        ),
    ],
)
def test_who_spoke_first(events: list[Callable[[CallState], None]], first: bool | None) -> None:  # noqa: FBT001
    """The first turn tells, once there is one."""
    assert report_of(*events).agent_spoke_first is first


def test_an_assistant_that_was_only_heard_spoke_first() -> None:
    """Audible speech without a word tells who spoke first where there are no turns."""
    state = state_of(bot_started_speaking(1))
    bot_onset(1, Edge(ns(1)))(state)
    assert state.report(ns(9), wall=wall).agent_spoke_first is True


# Tools


Verb = tuple[str, float, str]


def tools(*verbs: Verb) -> tuple[ToolCall, ...]:
    """Return the tool calls after verbs, each with its time and the call's id or its result."""
    state = CallState("call-1")
    for verb, at, what in verbs:
        match verb:
            case "call":
                state.tool_called(ns(at), what, f"tool-{what}", "{}")
            case "part" | "result":
                call, _, content = what.partition(" ")
                state.tool_returned(ns(at), call, content, final=verb == "result")
            case "cancel":
                state.tool_cancelled(ns(at), what)
    return state.report(ns(9), wall=wall).tool_calls


CALLS: dict[str, tuple[list[Verb], list[tuple[str, list[str], str]]]] = {
    "a result": ([("call", 1, "a"), ("result", 2, "a 7")], [("a", ["7"], "returned")]),
    "a call that is seen often": (
        [("call", 1, "a"), ("call", 1.1, "a"), ("result", 2, "a 7"), ("call", 2.1, "a")],
        [("a", ["7"], "returned")],
    ),
    "several results (pipecat 4824)": (
        [("call", 1, "a"), ("part", 2, "a 5"), ("part", 2, "a 5"), ("result", 3, "a 7")],
        [("a", ["5", "5", "7"], "returned")],
    ),
    "parts without a final result": (
        [("call", 1, "a"), ("part", 2, "a 5")],
        [("a", ["5"], "pending")],
    ),
    "no result (pipecat 5779)": ([("call", 1, "a")], [("a", [], "pending")]),
    "calls at a time": (
        [("call", 1, "a"), ("call", 1, "b"), ("result", 2, "b 7"), ("result", 3, "a 5")],
        [("a", ["5"], "returned"), ("b", ["7"], "returned")],
    ),
    "a call that was given up (pipecat 3661)": (
        [("call", 1, "a"), ("cancel", 2, "a"), ("cancel", 2.1, "a")],
        [("a", ["CANCELLED"], "cancelled")],
    ),
    "a call that was given up, and returned all the same": (
        [("call", 1, "a"), ("cancel", 2, "a"), ("result", 3, "a 7")],
        [("a", ["CANCELLED", "7"], "returned")],
    ),
    "a call that was given up after it returned (pipecat 3548)": (
        [("call", 1, "a"), ("result", 2, "a 7"), ("cancel", 3, "a")],
        [("a", ["7"], "returned")],
    ),
    "a result and a cancellation of nothing": ([("result", 1, "a 7"), ("cancel", 1, "a")], []),
    "calls that are seen in another order": (
        [("call", 2, "b"), ("call", 1.5, "a"), ("call", 1.7, "b"), ("result", 3, "b 7")],
        [("a", [], "pending"), ("b", ["7"], "returned")],
    ),
    "results that are seen in another order": (
        [("call", 1, "a"), ("result", 3, "a 7"), ("part", 2, "a 5")],
        [("a", ["5", "7"], "returned")],
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_tool_calls(case: str) -> None:
    """Every call and every result is recorded once, whatever becomes of it."""
    verbs, expected = CALLS[case]
    calls = tools(*verbs)
    assert [
        (call.tool_call_id, [result.content for result in call.results], call.outcome)
        for call in calls
    ] == expected
    assert [call.called_at for call in calls] == sorted(call.called_at for call in calls)


def test_a_tool_call_tells_how_long_it_took() -> None:
    """A call lasts until its last result, and for nobody knows how long without one."""
    long, pending = tools(
        ("call", 1, "a"), ("part", 2, "a 5"), ("result", 3.5, "a 7"), ("call", 4, "b")
    )
    assert long.duration_ms == 2500
    assert pending.duration_ms is None


# Places in the recording

ORIGIN = 2.0


def place(speaker: Speaker, index: int, end: bool) -> int:  # noqa: FBT001
    """Place a sample: 1 kHz, and a second of silence before sample 1000 of the user."""
    gap = speaker == "user" and (index > 1000 or (index == 1000 and not end))
    return index + 1000 * gap


def test_a_recording_places_the_edges() -> None:
    """Where a sample is known, its place counts, and time and offset tell the same."""
    state = CallState("call-1")
    bot_started_speaking(1.9)(state)
    text_played(3, "Hi.")(state)
    bot_stopped_speaking(3)(state)
    event(4, Conversation.user_started_speaking, Edge(ns(4), 500))(state)
    event(5, Conversation.user_stopped_speaking, Edge(ns(5), 1000))(state)
    user_said(5, "Hello.")(state)
    event(6, Conversation.user_started_speaking, Edge(ns(6), 1000))(state)
    event(7, Conversation.user_stopped_speaking, Edge(ns(7), 1200))(state)
    user_said(7, "You.")(state)
    state.tool_called(ns(1.5), "a", "weather", "{}")
    state.tool_returned(ns(2.5), "a", "7", final=True)
    report = state.report(ns(9), wall=wall, origin=ns(ORIGIN), offset_ms=place)
    offsets = [(turn.start_ms, turn.end_ms) for turn in report.turns]
    assert offsets == [(0, 1000), (500, 1000), (2000, 2200)]
    assert [(turn.started_at, turn.ended_at) for turn in report.turns] == [
        (wall(ns(ORIGIN + start / 1000)), wall(ns(ORIGIN + end / 1000)))
        for start, end in [(0, 1000), (500, 1000), (2000, 2200)]
    ]
    (call,) = report.tool_calls
    assert call.offset_ms == 0
    assert call.results == (ToolResult(content="7", returned_at=wall(ns(2.5)), offset_ms=500),)


def test_nothing_is_later_than_the_end() -> None:
    """Audio may be laid behind the end of the call; its turn still ends with the call."""
    state = state_of(
        bot_started_speaking(3),
        bot_onset(3, Edge(ns(3), 1000)),
        text_played(4, "Hi."),
        bot_offset(4, Edge(ns(4), 3000)),
        bot_stopped_speaking(4),
        ended(4.5),
    )
    report = state.report(ns(9), wall=wall, origin=ns(ORIGIN), offset_ms=place)
    (turn,) = report.turns
    assert turn.ended_at == report.ended_at == wall(ns(4.5))
    assert turn.end_ms == 3000


def test_a_recording_without_places_goes_by_the_clock() -> None:
    """A recorder that tells nobody where it laid a sample leaves the clock's time."""
    state = state_of(user_started_speaking(4), user_stopped_speaking(5), user_said(5, "Hello."))
    (turn,) = state.report(ns(9), wall=wall, origin=ns(ORIGIN)).turns
    assert (turn.start_ms, turn.end_ms) == (2000, 3000)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(0.4, 1.0, (None, None), id="before it"),
        pytest.param(0.4, 2.0, (0, 0), id="until its beginning"),
        pytest.param(1.5, 3.0, (0, 1000), id="into it"),
        pytest.param(2.0, 2.0, (0, 0), id="at its beginning"),
        pytest.param(2.5, 3.0, (500, 1000), id="within it"),
    ],
)
def test_what_was_said_before_the_recording_has_no_place_in_it(
    start: float, end: float, expected: tuple[int | None, int | None]
) -> None:
    """A turn that was over before sample 0 keeps its times, and no offset is made up for it."""
    state = state_of(
        user_started_speaking(start), user_stopped_speaking(end), user_said(end, "Hello.")
    )
    (turn,) = state.report(ns(9), wall=wall, origin=ns(ORIGIN)).turns
    assert (turn.start_ms, turn.end_ms) == expected
    assert turn.started_at == wall(ns(start if expected[0] is None else max(start, ORIGIN)))


def test_turns_are_sorted_by_their_places() -> None:
    """Turns stand in the order in which they are heard in the recording."""
    state = CallState("call-1")
    event(3, Conversation.user_started_speaking, Edge(ns(3), 900))(state)
    event(4, Conversation.user_stopped_speaking, Edge(ns(4), 950))(state)
    user_said(4, "Hello.")(state)
    bot_started_speaking(3.5)(state)
    bot_onset(3.5, Edge(ns(3.5), 800))(state)
    text_played(5, "Hi.")(state)
    report = state.report(ns(9), wall=wall, origin=ns(ORIGIN), offset_ms=place)
    assert [turn.role for turn in report.turns] == ["assistant", "user"]
    assert report.agent_spoke_first is True


def test_words_before_their_answer_stay_there() -> None:
    """Words that no speech announced precede their answer, wherever that turns out to lie."""
    state = state_of(bot_started_speaking(3), user_said(3.2, "Hello."), text_played(4, "Hi."))
    bot_onset(3.1, Edge(ns(3.1), 700))(state)
    report = state.report(ns(9), wall=wall, origin=ns(ORIGIN), offset_ms=place)
    assert [(turn.role, turn.start_ms, turn.end_ms) for turn in report.turns] == [
        ("user", 700, 700),
        ("assistant", 700, 7000),
    ]
    assert report.turns[1].response_ms == 0


# Cost


def exchange(state: CallState, reader: FrameReader, now: float, number: int) -> float:
    """Hold one exchange of a long call, word by word; every eighth answer is interrupted."""
    call = Simulation(shape="timed", now=now)
    call.user_speaks([3, 2], delay=0.3)
    call.bot_speaks([(12, 4.0), (8, 3.0)], cut=5.0 if number % 8 == 0 else None)
    for sight in sorted(call.sights, key=lambda sight: sight.arrives):
        reader.read(sight.frame, Sighting(ns(sight.at), sight.played, handed=True))
    state.tool_called(ns(now), f"call-{number}", "weather", "{}")
    return call.now


def turns_of_call(state: CallState, reader: FrameReader, since: float, until: float) -> int:
    """Hold a call between two moments, and return its number of turns."""
    number = 0
    while since < until:
        since = exchange(state, reader, since, number)
        number += 1
    return 2 * number


@pytest.mark.live
def test_a_long_call_costs_no_more_than_its_turns() -> None:
    """Two hours, word by word, leave the text of the turns behind and little else."""
    state = CallState("call-1")
    reader = FrameReader(state)
    tracemalloc.start()
    turns_of_call(state, reader, 1.0, 1200.0)
    before, _ = tracemalloc.get_traced_memory()
    turns = turns_of_call(state, reader, 1201.0, 7200.0)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert turns > 800
    # A turn of 25 words, with half a tool call; every word's own record would take ten times that.
    assert (after - before) / turns < 2500


def test_noise_leaves_nothing_behind() -> None:
    """Sounds of the user that nobody transcribed are forgotten."""
    state = CallState("call-1")
    noises = [
        (user_started_speaking(at), user_stopped_speaking(at + 1)) for at in range(0, 60000, 10)
    ]
    tracemalloc.start()
    for number, (start, stop) in enumerate(noises):
        start(state)
        stop(state)
        if number == INBOX_LIMIT:
            before, _ = tracemalloc.get_traced_memory()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20_000


@pytest.mark.live
def test_a_report_is_cheap() -> None:
    """Asking after two hours costs hardly more than after half an hour: the past is kept."""
    state, costs, begin = CallState("call-1"), [], 1.0
    for end in (1800.0, 7200.0):
        turns_of_call(state, FrameReader(state), begin, end)
        state.report(ns(end), wall=wall)
        with counted() as cost:
            state.report(ns(end), wall=wall)
        costs.append(cost.calls)
        begin = end
    assert costs[1] < 2 * costs[0]


def test_a_report_does_not_depend_on_earlier_ones() -> None:
    """Asked every ten seconds, with a recording that begins late and one that does not."""
    asked, silent = CallState("call-1"), CallState("call-1")
    readers = [FrameReader(state) for state in (asked, silent)]
    for begin in range(1, 600, 10):
        for state, reader in zip((asked, silent), readers, strict=True):
            turns_of_call(state, reader, float(begin), begin + 10.0)
        for origin in (None, 5) if begin < 300 else (5,):
            asked.report(ns(begin + 10), wall=wall, origin=origin)
    for origin in (5, None, 7):
        known, expected = (
            state.report(ns(610), wall=wall, origin=origin) for state in (asked, silent)
        )
        assert known == expected
        assert len(known.turns) > 90


def test_what_moves_is_not_kept() -> None:
    """A recorder that moves its places may be asked at any time."""
    state, shift = CallState("call-1"), 0

    class Moved(ClockPlaces):
        def _ms(self, at: int) -> int:
            return super()._ms(at) + shift

    class Asked:
        def place_ms(self, at: int) -> int | None:
            return Moved(0).place_ms(at)

        def span_ms(self, speaker: Speaker, start: int, end: int) -> tuple[int, int] | None:
            return Moved(0).span_ms(speaker, start, end)

    turns_of_call(state, FrameReader(state), 1.0, 400.0)
    first = state.report(ns(400), wall=wall, origin=0, places=Asked()).turns[0].start_ms
    shift = 70
    assert first is not None
    assert (
        state.report(ns(400), wall=wall, origin=0, places=Asked()).turns[0].start_ms == first + 70
    )


@pytest.mark.parametrize(
    ("events", "now", "opened", "settled"),
    [
        # Words may come for a while, though nobody speaks.
        ([], 10, [], 5),
        # Speech without words yet, and a sound that nobody transcribes any more.
        ([user_started_speaking(8)], 20, [], 8),
        ([user_started_speaking(8), user_stopped_speaking(8.2)], 12, [], 7),
        ([user_started_speaking(8), user_stopped_speaking(8.2)], 20, [], 15),
        # An unanswered turn of the user goes on; an answered one closes, the answer doesn't.
        ([*user_spoke(1, "One.")], 20, [True], 1),
        ([*user_spoke(1, "One."), *bot_spoke(3, "Two.")], 6, [True, True], 1),
        ([*user_spoke(1, "One."), *bot_spoke(3, "Two.")], 20, [False, True], 3),
        (
            [*user_spoke(1, "One."), *bot_spoke(3, "Two."), *user_spoke(6, "Three.")],
            20,
            [False, True, True],
            3,
        ),
        (
            [
                *user_spoke(1, "One."),
                *bot_spoke(3, "Two."),
                *user_spoke(6, "Three."),
                *bot_spoke(9, "Four."),
            ],
            30,
            [False, False, False, True],
            9,
        ),
        # Of words that no detector announced, nobody knows when they were spoken.
        ([user_said(20, "Hello.")], 21, [True], 15),
        ([user_said(20, "Hello."), ended(22)], 22, [False], None),
    ],
)
def test_what_may_still_change(
    events: list[Callable[[CallState], None]], now: float, opened: list[bool], settled: float | None
) -> None:
    """A turn is open while it goes on or late words may come; nothing before the first changes."""
    known = state_of(*events).report(ns(now), wall=wall, origin=0)
    assert [turn.open for turn in known.turns] == opened
    assert known.settled_ms == (None if settled is None else 1000 * settled)
