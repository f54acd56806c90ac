"""Why an answer took as long as it did: events with their times in, stages out."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_roark.conversation.steps import Mark, ToolSpan, to_answer, to_speech
from pipecat_roark.conversation.text import SpokenText
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.moments import Edge, Step
from support.events import (
    bot_onset,
    bot_spoke,
    bot_started_speaking,
    bot_stopped_speaking,
    event,
    interrupted,
    ns,
    reached,
    report_of,
    state_of,
    text_played,
    user_spoke,
    user_started_speaking,
    user_turn_stopped,
    wall,
)

if TYPE_CHECKING:
    from pipecat_roark import Turn
    from pipecat_roark.conversation.state import CallState
    from support.events import Event

STT, LLM, TTS, OUT = "stt", "llm", "tts", "out"
DETECTOR = "config: VAD stop_secs"
STRATEGIES = "config: user turn strategies"
AGGREGATION = "config: text_aggregation_mode"
COMPLETION = "config: filter_incomplete_user_turns"
STEPS: tuple[Step, ...] = get_args(Step)
Line = tuple[str, str, int]


def tool(begin: float, end: float | None, name: str = "weather") -> list[Event]:
    """Return that a tool ran."""

    def called(state: CallState) -> None:
        state.tool_called(ns(begin), name, name, "{}")

    def returned(state: CallState) -> None:
        state.tool_returned(ns(end or 0), name, "7", final=True)

    return [called, *([] if end is None else [returned])]


def silence(at: float, since: float = 2.0) -> Event:
    """Return that a detector found that the user has been silent since a second."""
    return event(at, Conversation.user_stopped_speaking, Edge(ns(since)), ns(at))


def words(at: float, owner: str = STT) -> Event:
    """Return that a recognizer understood the question."""
    said = SpokenText("A table?")
    return event(at, Conversation.user_said, said, ns(at), None, None, owner)


def announced(at: float) -> Event:
    """Return that the output announces speech."""
    return event(at, Conversation.bot_started_speaking, ns(at), None, OUT)


def speech(at: float, text: str = "Yes.") -> list[Event]:
    """Return that the bot speaks for a second."""
    return [announced(at), text_played(at, text), bot_stopped_speaking(at + 1)]


def answer(at: float, *events: Event) -> list[Event]:
    """Return a question that ends at 2 s, events, and an answer at a second."""
    return [user_started_speaking(1), words(1.5), *events, *speech(at)]


def last_turn(*events: Event) -> Turn:
    """Return the latest turn of a call, whose stages must last as long as its response."""
    turn = report_of(*events).turns[-1]
    lengths = [stage.duration_ms for stage in turn.latency]
    assert all(length > 0 for length in lengths)
    assert turn.response_ms in (None, sum(lengths))
    assert all(before.end_ms == after.start_ms for before, after in pairwise(turn.latency))
    return turn


def lines(*events: Event) -> list[Line]:
    """Return the stages of the latest turn of a call."""
    return [(one.key, one.owner, one.duration_ms) for one in last_turn(*events).latency]


def spoken(begin: float) -> list[Event]:
    """Return the steps from a model's first text at a second to its audio, 0.35 s later."""
    return [
        reached(begin, "first text", LLM),
        reached(begin + 0.15, "sentence made", TTS),
        reached(begin + 0.16, "synthesis begun", TTS),
        reached(begin + 0.35, "first audio", TTS),
    ]


USER = [silence(2.2), words(2.25), user_turn_stopped(2.35)]
HEARD: list[Line] = [
    ("endpointing_wait", DETECTOR, 200),
    ("transcription", STT, 50),
    ("turn_detection", STRATEGIES, 100),
]
SPOKEN: list[Line] = [("sentence_aggregation", AGGREGATION, 150), ("speech_synthesis", TTS, 200)]


def test_an_answer_with_a_tool() -> None:
    """Each wait has its stage: the settings', the services', the tool's and the output's."""
    events = answer(
        3.735,
        *USER,
        reached(2.36, "model asked", LLM),
        *tool(2.66, 3.06),
        reached(3.065, "model asked", LLM),
        *spoken(3.315),
        bot_onset(4, Edge(ns(3.8))),
    )
    assert lines(*events) == [
        *HEARD,
        ("pipeline", "pipecat", 10),
        ("llm_inference", LLM, 300),
        ("function_handler", "weather", 400),
        ("pipeline", "pipecat", 5),
        ("llm_inference", LLM, 250),
        *SPOKEN,
        ("output_transport", OUT, 70),
        ("speech_synthesis", TTS, 65),
    ]
    assert last_turn(*events).response_ms == 1800


def test_kinds_are_those_of_pipecat() -> None:
    """A service, a setting, the bot's own code, or the pipeline between them."""
    kinds = {one.key: one.kind for one in last_turn(*answer(3, *USER)).latency}
    assert kinds == {
        "endpointing_wait": "setting",
        "transcription": "service",
        "turn_detection": "setting",
        "pipeline": "pipeline",
    }


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (0.08, [("pipeline", 2000, 2080), ("endpointing_wait", 2080, 2280)]),
        (0.003, [("endpointing_wait", 2000, 2203), ("pipeline", 2203, 2280)]),
        (0, [("endpointing_wait", 2000, 2200), ("pipeline", 2200, 2280)]),
    ],
)
def test_a_detector_that_notices_the_silence_late(
    late: float, expected: list[tuple[str, int, int]]
) -> None:
    """Its own delay before the silence that it waits for is not the setting's, if it counts."""
    edge, at = Edge(ns(2 + late), index=1600), 2.2 + late
    heard = event(at, Conversation.user_stopped_speaking, edge, ns(at))
    state = state_of(user_started_speaking(1), words(1.5), heard, *speech(2.28))
    report = state.report(ns(60), wall=wall, origin=0, offset_ms=lambda *_: 2000)
    stages = [(one.key, one.start_ms, one.end_ms) for one in report.turns[-1].latency]
    assert stages == expected


def test_a_sliver_belongs_to_the_stage_beside_it() -> None:
    """It is the way between two processors; alone it is the pipeline's."""
    asked = [silence(2), user_turn_stopped(2.004), reached(2.008, "model asked", LLM)]
    assert lines(*answer(2.1, *asked, reached(2.1, "first text", LLM))) == [
        ("turn_detection", STRATEGIES, 8),
        ("llm_inference", LLM, 92),
    ]
    assert lines(*answer(2.003, silence(2))) == [("pipeline", "pipecat", 3)]


def test_metrics_refine_what_a_model_did() -> None:
    """Its first chunk separates the inference from the writing of a tool call."""
    assert lines(
        *answer(
            3.6,
            *USER,
            reached(2.35, "model asked", LLM),
            reached(2.55, "first chunk", LLM),
            *tool(2.65, 2.95),
            reached(2.95, "model asked", LLM),
            reached(3.05, "first chunk", LLM),
            *spoken(3.15),
            reached(3.2, "first chunk", LLM),
        )
    ) == [
        *HEARD,
        ("llm_inference", LLM, 200),
        ("llm_tool_call", LLM, 100),
        ("function_handler", "weather", 300),
        ("llm_inference", LLM, 200),
        *SPOKEN,
        ("output_transport", OUT, 100),
    ]


def test_the_judgement_of_the_turn() -> None:
    """The model's own judgement whether the user has finished, and the wait for more."""
    judged = [
        reached(2.35, "model asked", LLM),
        reached(2.45, "first chunk", LLM),
        reached(2.5, "found incomplete", LLM),
        reached(3.5, "model asked", LLM),
        reached(3.6, "first chunk", LLM),
        reached(3.62, "found complete", LLM),
        *spoken(3.65),
    ]
    assert lines(*answer(4, *USER, *judged)) == [
        *HEARD,
        ("llm_inference", LLM, 100),
        ("turn_completion", COMPLETION, 50),
        ("waiting_for_user", COMPLETION, 1000),
        ("llm_inference", LLM, 100),
        ("turn_completion", COMPLETION, 50),
        *SPOKEN,
    ]


def test_text_that_a_model_held_back() -> None:
    """An answer without a judgement is held back, where models judge."""
    held = [
        reached(2.35, "model asked", LLM),
        reached(2.45, "first chunk", LLM),
        reached(2.75, "text held back", LLM),
        reached(2.8, "sentence made", TTS),
    ]
    assert lines(*answer(2.8, *USER, *held))[3:] == [
        ("llm_inference", LLM, 100),
        ("awaiting_speakable_text", LLM, 300),
        ("sentence_aggregation", AGGREGATION, 50),
    ]


def test_words_that_came_before_the_silence_was_sure_kept_nobody_waiting() -> None:
    """A streaming recognizer is faster than the detector; the last word counts."""
    streaming = [
        words(2.1),
        silence(2.2),
        reached(2.5, "model asked", LLM),
        words(2.55),
    ]
    assert lines(*answer(2.5, *streaming)) == [
        ("endpointing_wait", DETECTOR, 200),
        ("turn_detection", STRATEGIES, 300),
    ]
    twice = [
        silence(2.2),
        user_turn_stopped(2.25),
        words(2.3),
        words(2.4, "other"),
        reached(2.5, "model asked", LLM),
    ]
    assert lines(*answer(2.5, *twice)) == [
        ("endpointing_wait", DETECTOR, 200),
        ("transcription", "other", 200),
        ("turn_detection", STRATEGIES, 100),
    ]


def test_what_no_frame_tells_is_the_pipelines() -> None:
    """Without frames in between all of it is, and without a sentence the time from the text."""
    assert lines(*user_spoke(1, "A table?"), *bot_spoke(3, "Yes.")) == [
        ("pipeline", "pipecat", 1000)
    ]
    old = [
        silence(2),
        reached(2.4, "model asked", LLM),
        reached(2.6, "first text", LLM),
        reached(2.7, "synthesis begun", TTS),
        reached(2.9, "first audio", TTS),
    ]
    assert lines(*answer(3, *old)) == [
        ("turn_detection", STRATEGIES, 400),
        ("llm_inference", LLM, 200),
        ("pipeline", "pipecat", 100),
        ("speech_synthesis", TTS, 200),
        ("output_transport", OUT, 100),
    ]


def test_a_speech_service_measures_when_it_was_asked() -> None:
    """That is more than the begin that it announces, which may come with its audio."""
    asked = [
        silence(2),
        reached(2.4, "model asked", LLM),
        reached(2.6, "first text", LLM),
        reached(2.69, "synthesis begun", TTS),
        reached(2.7, "speech asked for", TTS),
        reached(2.8, "sentence made", TTS),
        reached(2.9, "first audio", TTS),
    ]
    assert lines(*answer(2.9, *asked))[2:] == [
        ("sentence_aggregation", AGGREGATION, 100),
        ("speech_synthesis", TTS, 200),
    ]


def test_direct_speech_and_a_silence_that_only_the_pipeline_announces() -> None:
    """Nobody asks a model, and the floor is taken without a detector."""
    direct = [
        silence(2),
        user_turn_stopped(2.3),
        reached(2.4, "sentence made", TTS),
        reached(2.7, "first audio", TTS),
    ]
    assert lines(*answer(2.7, *direct)) == [
        ("turn_detection", STRATEGIES, 300),
        ("pipeline", "pipecat", 100),
        ("speech_synthesis", TTS, 300),
    ]


def test_a_realtime_model_is_one_inference() -> None:
    """What it does between is not to be told apart, except for its tools."""
    events = [
        silence(2.2),
        words(2.3, LLM),
        reached(2.4, "model asked", LLM),
        *tool(2.6, 2.8),
        reached(2.9, "model asked", LLM),
        reached(2.95, "synthesis begun", LLM),
        reached(3, "first audio of model", LLM),
        reached(3.05, "first audio of model", LLM),
        bot_onset(4, Edge(ns(3.2))),
    ]
    assert lines(*answer(3.1, *events)) == [
        ("endpointing_wait", DETECTOR, 200),
        ("llm_inference", LLM, 400),
        ("function_handler", "weather", 200),
        ("llm_inference", LLM, 200),
        ("output_transport", OUT, 100),
        ("speech_synthesis", LLM, 100),
    ]


def test_an_interrupted_answer_leaves_no_steps() -> None:
    """What the model did before the interruption led nowhere."""
    events = [
        *USER,
        reached(2.4, "model asked", LLM),
        *spoken(2.45),
        reached(2.9, "interrupted"),
        reached(2.9, "interrupted"),
        reached(3, "model asked", "other"),
        *spoken(3.1),
    ]
    assert lines(*answer(3.45, *events)) == [
        *HEARD,
        ("pipeline", "pipecat", 650),
        ("llm_inference", "other", 100),
        *SPOKEN,
    ]


def test_the_answer_to_an_interruption() -> None:
    """The steps of the answer that was cut short are not those of the next one."""
    first = answer(2.8, *USER, reached(2.4, "model asked", LLM), *spoken(2.45))
    events = [
        *first[:-1],
        user_started_speaking(3.5),
        interrupted(3.51),
        words(4),
        silence(4.7, since=4.5),
        reached(4.8, "model asked", LLM),
        *spoken(4.9),
        *speech(5.25, "Well."),
    ]
    turns = report_of(*events).turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "assistant"]
    assert lines(*events) == [
        ("endpointing_wait", DETECTOR, 200),
        ("turn_detection", STRATEGIES, 100),
        ("llm_inference", LLM, 100),
        *SPOKEN,
    ]


def test_text_that_was_not_spoken_leads_nowhere() -> None:
    """Some models write a line feed before they call a tool."""
    events = [
        reached(2.35, "model asked", LLM),
        reached(2.4, "first text", LLM),
        *tool(2.5, 2.7),
        reached(2.7, "model asked", LLM),
        *spoken(2.9),
    ]
    assert lines(*answer(3.25, *USER, *events)) == [
        *HEARD,
        ("llm_inference", LLM, 150),
        ("function_handler", "weather", 200),
        ("llm_inference", LLM, 200),
        *SPOKEN,
    ]


def test_a_tool_beside_an_answer_is_no_wait() -> None:
    """The model says that it looks something up, and calls the tool meanwhile."""
    events = [
        reached(2.35, "model asked", LLM),
        reached(2.5, "first text", LLM),
        *tool(2.55, 2.8),
        reached(2.65, "sentence made", TTS),
        reached(2.85, "first audio", TTS),
        reached(2.86, "model asked", LLM),
        reached(2.87, "first text", LLM),
    ]
    assert lines(*answer(2.9, *USER, *events)) == [
        *HEARD,
        ("llm_inference", LLM, 150),
        *SPOKEN,
        ("output_transport", OUT, 50),
    ]


def test_tools_that_run_at_once_are_one_wait() -> None:
    """It has the name of the one that was waited for; a tool may never return."""
    events = [
        *(reached(2.35, "model asked", LLM), *tool(2.4, 2.5, "a"), *tool(2.45, 2.7, "b")),
        *(reached(2.7, "model asked", LLM), *tool(2.8, 2.85, "c"), *tool(2.9, 2.95, "d")),
        *(reached(2.95, "model asked", LLM), *tool(3, None, "e"), *tool(3.1, 3.2, "f")),
        *(reached(3.3, "sentence made", TTS), reached(3.5, "first audio", TTS)),
    ]
    assert lines(*answer(3.5, *USER, *events))[3:] == [
        ("llm_inference", LLM, 50),
        ("function_handler", "b +1", 300),
        ("llm_inference", LLM, 100),
        ("function_handler", "c", 50),
        ("pipeline", "pipecat", 50),
        ("function_handler", "d", 50),
        ("llm_inference", LLM, 50),
        ("function_handler", "e +1", 300),
        ("speech_synthesis", TTS, 200),
    ]


def test_a_tool_of_an_earlier_question_is_no_wait() -> None:
    """It began before the user had asked, and goes on."""
    assert lines(*tool(0.5, 2.4), *answer(2.5, *USER))[:3] == HEARD


def test_a_greeting_has_stages_and_no_response_time() -> None:
    """They begin when the client is there; before it the bot waits for a person."""
    events = [
        reached(0.9, "client ready", "in"),
        reached(1, "client ready", "in"),
        silence(1.1),
        reached(1.4, "model asked", LLM),
        *spoken(1.6),
        *speech(1.96, "Welcome!"),
    ]
    turn = last_turn(*events)
    assert turn.response_ms is None
    assert lines(*events) == [
        ("first_request", "bot", 400),
        ("llm_inference", LLM, 200),
        *SPOKEN,
        ("output_transport", OUT, 10),
    ]
    assert turn.latency[0].kind == "bot"
    # Without a recording, they are counted from the first one.
    assert (turn.latency[0].start_ms, turn.latency[-1].end_ms) == (0, 960)
    assert lines(*events[3:])[0] == ("llm_inference", LLM, 200)


def test_speech_for_which_nothing_is_seen_has_no_stages() -> None:
    """Nothing tells how long it took to speak if nobody had asked."""
    assert lines(*speech(1, "Welcome!")) == []


def test_the_second_wait_of_a_turn_with_a_tool() -> None:
    """The bot says that it looks something up; from the end of that, the tool keeps it silent."""
    first = answer(2.8, *USER, reached(2.4, "model asked", LLM), *spoken(2.45))
    events = [
        *first,
        *tool(2.9, 6.8),
        reached(6.8, "model asked", LLM),
        *spoken(7),
        *speech(7.35, "At eight."),
    ]
    assert [turn.role for turn in report_of(*events).turns] == ["user", "assistant", "assistant"]
    assert lines(*events) == [
        ("function_handler", "weather", 3000),
        ("llm_inference", LLM, 200),
        *SPOKEN,
    ]


def test_words_before_their_speech_is_announced_keep_the_steps() -> None:
    """Some services release a text before its audio."""
    events = [
        *(user_started_speaking(1), words(1.5)),
        *(*USER, reached(2.4, "model asked", LLM), *spoken(2.6)),
        text_played(2.8, "Yes."),
        announced(3),
        bot_stopped_speaking(4),
    ]
    assert lines(*events) == [
        *HEARD,
        ("pipeline", "pipecat", 50),
        ("llm_inference", LLM, 200),
        *SPOKEN,
        ("output_transport", OUT, 50),
    ]


def test_a_bot_that_goes_on_speaking_keeps_its_steps() -> None:
    """A short pause in an answer is no new wait."""
    events = [
        *answer(3, *USER),
        reached(4.2, "model asked", "other"),
        bot_started_speaking(4.5),
        text_played(4.6, "Certainly."),
        bot_stopped_speaking(5),
    ]
    assert lines(*events) == [*HEARD, ("pipeline", "pipecat", 650)]


def test_an_answer_before_the_user_has_finished_took_no_time() -> None:
    """Its response time is zero, and so it has no stages."""
    events = [*user_spoke(1, "A table", secs=3, words_at=2), *bot_spoke(3, "Yes.")]
    (turn,) = [turn for turn in report_of(*events).turns if turn.role == "assistant"]
    assert (turn.response_ms, turn.latency) == (0, ())


def test_stages_lie_in_the_recording() -> None:
    """They end at the onset of the turn, wherever the samples are."""
    events = answer(3, *USER)
    report = state_of(*events).report(ns(60), wall=wall, origin=ns(0.5))
    stages = report.turns[-1].latency
    assert (stages[0].start_ms, stages[-1].end_ms) == (1500, report.turns[-1].start_ms)


@given(
    data=st.data(),
    tools=st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(0, 10)), max_size=5),
    asked=st.integers(0, 20),
)
def test_whatever_happens_the_stages_last_as_long_as_the_response(
    data: st.DataObject, tools: list[tuple[int, int | None]], asked: int
) -> None:
    """In any order of any steps, the sum is exact, and no stage is empty."""
    steps: list[Event] = []
    for at in data.draw(st.lists(st.integers(0, 5000), max_size=12)):
        step = data.draw(st.sampled_from(STEPS))
        steps.append(event(at / 1000, Conversation.reached, step, ns(at / 1000), step))
    for at in data.draw(st.lists(st.integers(0, 50), max_size=3)):
        steps += [silence(at / 10, since=max(0, at - 2) / 10), user_turn_stopped(at / 10)]
    for number, (begin, secs) in enumerate(tools):
        end = None if secs is None else (begin + secs) / 10
        steps += tool(begin / 10, end, f"tool {number}")
    last_turn(*user_spoke(asked / 10, "A table?"), *steps, *bot_spoke(4, "Yes."))
    last_turn(*steps, *bot_spoke(4, "Welcome!"))


@pytest.mark.parametrize("marks", [0, 1000])
def test_steps_of_long_ago_are_forgotten(marks: int) -> None:
    """A call without speech of the bot keeps only the latest ones."""
    conversation = Conversation()
    for at in range(marks):
        conversation.reached("model asked", at, "")
    assert len(conversation.marks) == min(marks, 128)


def test_steps_without_a_question_or_tools() -> None:
    """The first step of an answer is the user's silence; other speech has none of the user's."""
    marks = [Mark("silence detected", 5), Mark("model asked", 7)]
    running = [ToolSpan(1, None, "a")]
    assert [mark.step for mark in to_answer(marks, [], 2, 9)] == [
        *("silence", "silence detected", "model asked")
    ]
    assert [mark.step for mark in to_speech(marks, running, 9)] == ["tools begun", "model asked"]
