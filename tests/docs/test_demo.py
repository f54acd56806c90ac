"""The demo call: Roark gets what was spoken and played on the line, and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
import warnings
import wave
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from rich.console import Console

from support.steady import steady_time

if sys.version_info < (3, 11):
    pytest.skip("Pipecat 1.0, and with it the demo, needs Python 3.11", allow_module_level=True)

with warnings.catch_warnings():
    # The base of Pipecat's speech services derives from a class that Pipecat has deprecated.
    warnings.filterwarnings("ignore", "`AudioContextTTSService`", DeprecationWarning)
    from demo import GOODBYE, HISTORY, WEATHER, HeldCall, hold_call, show
    from offline import llm
    from offline.recognition import Recognizer
    from offline.synthesis import Synthesizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipecat_roark import Turn

# Pipecat finds its bundled models with a call of importlib.resources that is deprecated.
pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning"),
]

WEATHER_ANSWER = "The weather in London is sunny and warm today."
EDGE_MS = 60
"""How far an edge of real speech may be off."""
FRAME_MS = 10
LOUD = 150.0
"""Root mean square of 16-bit samples."""


class Recording(NamedTuple):
    """The call's recording, one row of samples for each channel."""

    channels: NDArray[np.int16]
    rate: int

    @property
    def length_ms(self) -> float:
        """Length in milliseconds."""
        return 1000 * int(self.channels.shape[1]) / self.rate

    def cut(self, role: str, start_ms: float, end_ms: float) -> NDArray[np.int16]:
        """Return what is on a speaker's channel between two moments."""
        channel: NDArray[np.int16] = self.channels[0 if role == "user" else 1]
        start, end = (round(max(0.0, ms) * self.rate / 1000) for ms in (start_ms, end_ms))
        return channel[start:end]

    def audible(self, role: str, start_ms: float, end_ms: float) -> NDArray[np.float64]:
        """Return the moments at which a speaker is heard, in milliseconds."""
        frames = np.flatnonzero(_loudness(self.cut(role, start_ms, end_ms), self.rate) > LOUD)
        return max(0.0, start_ms) + frames.astype(np.float64) * FRAME_MS


def _loudness(samples: NDArray[np.int16], rate: int) -> NDArray[np.float64]:
    size = rate * FRAME_MS // 1000
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    loudness: NDArray[np.float64] = np.sqrt(np.mean(frames**2, axis=1))
    return loudness


def _spoken(synthesizer: Synthesizer, text: str) -> NDArray[np.float64]:
    """Return the loudness over time of a text, spoken sentence by sentence as the bot does."""
    sentences = map(synthesizer.synthesize, re.split(r"(?<=[.?!]) ", text))
    return _loudness(np.frombuffer(b"".join(sentences), np.int16), synthesizer.sample_rate)


def _match(heard: NDArray[np.float64], spoken: NDArray[np.float64]) -> float:
    """Return the best correlation of two courses of loudness, whatever their shift."""
    heard, spoken = heard - heard.mean(), spoken - spoken.mean()
    energy = np.sqrt(np.sum(heard**2) * np.sum(spoken**2))
    return float(np.correlate(heard, spoken, "full").max() / energy)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower().replace("-", ""))


def _likeness(heard: str, said: str) -> float:
    """Return how much of two texts is the same words in the same order, from 0 to 1."""
    return SequenceMatcher(None, _words(heard), _words(said), autojunk=False).ratio()


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> HeldCall:
    """Hold the demo call once, in real time; how long the bot's work takes is a part of it."""

    async def held() -> HeldCall:
        async with steady_time(step_secs=0.02):
            return await hold_call(tmp_path_factory.mktemp("calls"))

    return asyncio.run(held())


@pytest.fixture(scope="module")
def recording(call: HeldCall) -> Recording:
    """Read the call's recording."""
    assert call.stored.recording is not None
    with wave.open(str(call.stored.recording)) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
        return Recording(samples.reshape(-1, wav.getnchannels()).T, wav.getframerate())


def _turns_of(call: HeldCall, role: str) -> list[Turn]:
    return [turn for turn in call.report.turns if turn.role == role]


def _edges(turn: Turn) -> tuple[int, int]:
    assert turn.start_ms is not None
    assert turn.end_ms is not None
    return turn.start_ms, turn.end_ms


def test_call_arrives_complete_and_without_problems(call: HeldCall) -> None:
    """A call that the caller ends arrives whole, and the local Roark finds no problem."""
    assert call.stored.problems == ()
    assert call.stored.complete
    assert call.stored.ended is not None
    assert call.stored.ended["callEndedReason"] == "client-disconnected"
    assert call.stored.ended["agentSpokeFirst"] is True


async def test_the_end_shows_the_call_and_its_page(call: HeldCall) -> None:
    """The table, the drawing and the way to the page, which knows the words nobody heard."""
    console = Console(width=100, record=True, file=io.StringIO())
    await show(console, call, opens=False)
    text = console.export_text()
    assert "The call arrived whole." in text
    assert "words unheard)" in " ".join(text.split())
    assert text.count(" endpointing_wait 0.") == 3
    assert re.search(
        r"The slowest answer took \d\.\d\d s, most of it \w+ \(.*; interruptions: 1\.", text
    )
    assert f"pipecat-roark local --open --folder {call.stored.folder.parent}" in text
    assert call.page.startswith("http://127.0.0.1:")


def test_each_answer_tells_why_it_took_its_time(call: HeldCall) -> None:
    """Its stages last as long as its response time, and begin with the detector's wait."""
    greeting, *answers = _turns_of(call, "assistant")
    assert greeting.response_ms is None
    assert greeting.latency
    for answer in answers:
        keys = [stage.key for stage in answer.latency]
        assert sum(stage.duration_ms for stage in answer.latency) == answer.response_ms
        assert "endpointing_wait" in keys[:2]
        assert {"llm_inference", "speech_synthesis"} <= {*keys}
    assert [stage.owner for stage in answers[0].latency if stage.key == "function_handler"] == [
        "get_weather"
    ]


def test_roark_gets_what_the_report_says(call: HeldCall) -> None:
    """The turns on the wire are those of the report, with the same places in the recording."""
    assert call.stored.ended is not None
    sent = [
        (turn["role"], turn["content"], turn["audioOffsetMs"], turn["endAudioOffsetMs"])
        for turn in call.stored.ended["transcript"]
    ]
    assert sent == [(turn.role, turn.content, *_edges(turn)) for turn in call.report.turns]


def test_every_sentence_of_the_user_is_there(call: HeldCall) -> None:
    """Each line of the caller is one turn, with the words that the recognizer understood."""
    heard = [turn.content for turn in _turns_of(call, "user")]
    said = [line.text for line in (WEATHER, HISTORY, GOODBYE)]
    assert len(heard) == len(said)
    assert all(_likeness(*pair) >= 0.75 for pair in zip(heard, said, strict=True)), heard


def test_every_sentence_that_the_bot_finished_is_there(call: HeldCall) -> None:
    """An answer that was not interrupted is in the transcript word for word."""
    finished = [turn.content for turn in _turns_of(call, "assistant") if not turn.interrupted]
    assert finished == [llm.GREETING, WEATHER_ANSWER, llm.GOODBYE]


def test_speakers_alternate_in_time(call: HeldCall, recording: Recording) -> None:
    """Turns follow each other in the recording, and only the interruption overlaps."""
    turns = call.report.turns
    assert [turn.role for turn in turns] == ["assistant", "user"] * 3 + ["assistant"]
    assert all(0 <= start < end <= recording.length_ms for start, end in map(_edges, turns))
    for turn, following in pairwise(turns):
        assert _edges(turn)[0] < _edges(following)[0]
        assert turn.interrupted or _edges(turn)[1] <= _edges(following)[0]


def test_turns_lie_where_they_are_heard(call: HeldCall, recording: Recording) -> None:
    """Each turn begins and ends where its speaker's channel begins and ends to be loud."""
    for turn in call.report.turns:
        start, end = _edges(turn)
        audible = recording.audible(turn.role, start - 500, end + 500)
        assert audible.size, turn.role
        assert start == pytest.approx(audible[0], abs=EDGE_MS), turn.role
        assert end == pytest.approx(audible[-1] + FRAME_MS, abs=EDGE_MS), turn.role


def test_nobody_is_heard_outside_their_turns(call: HeldCall, recording: Recording) -> None:
    """The left channel holds the user alone, and the right one the bot alone."""
    for role in ("user", "assistant"):
        spans = [_edges(turn) for turn in _turns_of(call, role)]
        for moment in recording.audible(role, 0, recording.length_ms):
            assert any(start - EDGE_MS <= moment <= end + EDGE_MS for start, end in spans), role


def test_left_channel_says_what_the_user_said(call: HeldCall, recording: Recording) -> None:
    """Recognizing the left channel of each turn of the user gives that turn's words again."""
    recognizer = Recognizer()
    for turn in _turns_of(call, "user"):
        start, end = _edges(turn)
        pcm = recording.cut("user", start - 200, end + 200).tobytes()
        heard = recognizer.transcribe(pcm, recording.rate)
        assert _likeness(heard, turn.content) >= 0.75, heard


def test_right_channel_sounds_like_what_the_bot_said(call: HeldCall, recording: Recording) -> None:
    """The right channel of each turn of the bot rises and falls as its words do when spoken."""
    synthesizer = Synthesizer()
    finished = [turn for turn in _turns_of(call, "assistant") if not turn.interrupted]
    spoken = [_spoken(synthesizer, turn.content) for turn in finished]
    for i, turn in enumerate(finished):
        start, end = _edges(turn)
        heard = _loudness(recording.cut("assistant", start - 200, end + 200), recording.rate)
        matches = [_match(heard, loudness) for loudness in spoken]
        assert matches[i] >= 0.6
        assert max(matches) == matches[i]


def test_interrupted_answer_holds_only_what_was_played(
    call: HeldCall, recording: Recording
) -> None:
    """The answer that the caller interrupted keeps only words that the caller could hear."""
    (cut,) = [turn for turn in call.report.turns if turn.interrupted]
    generated = _words(llm.HISTORY)
    kept = _words(cut.content)
    assert kept == generated[: len(kept)]
    assert _words(llm.HISTORY.split(". ")[0]) == kept[:11]
    assert len(kept) < len(generated)
    # Spoken again, the kept words must not take longer than what is heard, but for less than two
    # words: the library counts the words of a cut sentence by its length.
    audible = recording.audible("assistant", cut.start_ms or 0, (cut.end_ms or 0) + 500)
    spoken = np.flatnonzero(_spoken(Synthesizer(), cut.content) > LOUD)
    assert (spoken[-1] - spoken[0]) * FRAME_MS <= audible[-1] - audible[0] + 250


def test_tool_call_and_its_result_are_there(call: HeldCall) -> None:
    """The one tool call comes with its result, between the question and the answer to it."""
    (tool,) = call.report.tool_calls
    (result,) = tool.results
    assert tool.name == "get_weather"
    assert json.loads(tool.arguments) == {"city": "London"}
    assert json.loads(result.content) == {"city": "London", "weather": "sunny and warm"}
    asked, answered = call.report.turns[1:3]
    moments = [_edges(asked)[1], tool.offset_ms, result.offset_ms, _edges(answered)[0]]
    assert moments == sorted(moments, key=lambda ms: ms or 0)
    assert call.stored.ended is not None
    records = call.stored.ended["toolCalls"]
    assert [record["kind"] for record in records] == ["tool_call", "tool_result"]
    assert {record["toolCallId"] for record in records} == {tool.tool_call_id}
    assert records[1]["content"] == result.content


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "system", "content": "Be brief."}], llm.Say(llm.GREETING)),
        (
            [{"role": "user", "content": "What is the weather in Oslo?"}],
            llm.Call("get_weather", {"city": "Oslo"}),
        ),
        ([{"role": "user", "content": "Hm."}], llm.Say(llm.REPEAT)),
    ],
)
def test_model_answers_what_was_said_last(
    messages: list[dict[str, str]], expected: llm.Say | llm.Call
) -> None:
    """The language model of the demo answers the last turn, even an unexpected one."""
    assert llm.answer(messages) == expected
