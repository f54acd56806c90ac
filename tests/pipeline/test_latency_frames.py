"""What frames say about the steps to the bot's speech, as the newest Pipecat makes them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

if sys.version_info < (3, 11):
    pytest.skip("these frames are those of newer Pipecats", allow_module_level=True)

from pipecat.frames import frames
from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.metrics.metrics import ProcessingMetricsData, TTFBMetricsData

from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.frames import FrameReader
from pipecat_roark.sighting import Sighting
from support.events import ns
from support.transcripts import said

AT = ns(5)
Step = tuple[str, int, str]


class Processor:
    """A processor, of which only the name counts."""

    def __init__(self, name: str) -> None:
        self.name = name


class LLMService(Processor):
    """A language model, known by its class's name."""


class TTSService(Processor):
    """A speech service, known by its class's name."""


class Steps:
    """A call state that only writes down the steps."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def note(self, _: str, at: int, verb: Any, *args: Any, **__: Any) -> None:
        """Write down a step."""
        if verb is Conversation.reached:
            step, when, owner = args
            assert when == at
            self.steps.append((step, at, owner))
        elif args and verb in {Conversation.bot_started_speaking, Conversation.user_said}:
            self.steps.append((verb.__name__, at, args[-1]))


MODEL, VOICE, RECOGNIZER = LLMService("model"), TTSService("voice"), Processor("recognizer")
OTHER = Processor("other")


def steps(*sights: tuple[Frame, int, Any]) -> list[Step]:
    """Return the steps that frames show, each seen at a time behind a processor or inline."""
    state: Any = Steps()
    reader = FrameReader(state)
    for frame, at, source in sights:
        inline = source is None
        reader.read(frame, Sighting(at, played=inline, handed=not inline, source=source))
    return [*state.steps]


def audio() -> TTSAudioRawFrame:
    """Return some speech."""
    return TTSAudioRawFrame(bytes(480), 24000, 1)


def metrics(secs: float) -> MetricsFrame:
    """Return a measurement of a service."""
    other = ProcessingMetricsData(processor="x", value=1)
    return MetricsFrame(data=[other, TTFBMetricsData(processor="x", value=secs)])


def test_a_step_counts_where_its_frame_is_pushed() -> None:
    """Later hops are no steps, and neither is what the recorder sees before."""
    ready = frames.ClientConnectedFrame()
    assert steps((ready, AT - 1, None), (ready, AT, OTHER), (ready, AT + 1, VOICE)) == [
        ("client ready", AT, "other")
    ]
    cut = InterruptionFrame()
    assert steps((cut, AT, OTHER), (cut, AT + 1, MODEL)) == [("interrupted", AT, "other")]
    asked = LLMFullResponseStartFrame()
    assert steps((asked, AT - 1, None), (asked, AT, MODEL), (asked, AT + 1, VOICE)) == [
        ("model asked", AT, "model")
    ]


def test_who_announces_speech_and_who_understood_it() -> None:
    """The output's name is known once it passed the start on, wherever the recorder shows it."""
    assert steps((BotStartedSpeakingFrame(), AT, None)) == [
        ("bot_started_speaking", AT, "output transport")
    ]
    assert steps((BotStartedSpeakingFrame(), AT, OTHER)) == [("bot_started_speaking", AT, "other")]
    assert steps((said("Hi."), AT, RECOGNIZER)) == [("user_said", AT, "recognizer")]
    assert steps((said("Hi."), AT, None)) == [("user_said", AT, "unknown")]


def test_the_first_text_of_each_answer_counts() -> None:
    """Text of another processor is none of the model's."""
    pieces = [(LLMTextFrame("Hi"), AT + number, MODEL) for number in (2, 3)]
    assert steps(
        (LLMTextFrame("x"), AT, None),
        (LLMFullResponseStartFrame(), AT, MODEL),
        (LLMTextFrame("x"), AT + 1, OTHER),
        *pieces,
        (LLMFullResponseStartFrame(), AT + 4, MODEL),
        (LLMTextFrame("Ho"), AT + 5, MODEL),
    ) == [
        ("model asked", AT, "model"),
        ("first text", AT + 2, "model"),
        ("model asked", AT + 4, "model"),
        ("first text", AT + 5, "model"),
    ]


@pytest.mark.skipif(not hasattr(frames, "LLMMarkerFrame"), reason="since 1.4")
def test_the_judgement_of_a_model_is_a_step() -> None:
    """Where models judge, an answer without a judgement was held back."""
    waits, goes_on = (frames.LLMMarkerFrame("x", waits) for waits in (True, False))
    asked = [LLMFullResponseStartFrame() for _ in range(3)]
    assert steps(
        (asked[0], AT, MODEL),
        *[(waits, AT + 1, MODEL), (waits, AT + 2, VOICE)],
        *[(asked[1], AT + 3, MODEL), (goes_on, AT + 4, MODEL), (LLMTextFrame("Hi"), AT + 5, MODEL)],
        *[(asked[2], AT + 6, MODEL), (LLMTextFrame("Hi"), AT + 7, MODEL)],
    ) == [
        *[("model asked", AT, "model"), ("found incomplete", AT + 1, "model")],
        *[("model asked", AT + 3, "model"), ("found complete", AT + 4, "model")],
        *[("first text", AT + 5, "model"), ("model asked", AT + 6, "model")],
        ("text held back", AT + 7, "model"),
    ]


def test_measurements_refine_the_steps() -> None:
    """The model's is that of its first chunk, the voice's tells when it was asked."""
    measured, half = metrics(0.5), ns(0.5)
    assert steps(
        (metrics(0.5), AT, MODEL),
        (LLMFullResponseStartFrame(), AT + 1, MODEL),
        *[(measured, AT + 2, MODEL), (measured, AT + 3, VOICE), (measured, AT + 4, None)],
        *[(metrics(0), AT + 5, MODEL), (metrics(0.5), AT + 6, RECOGNIZER)],
        (metrics(0.5), AT + 7, VOICE),
    ) == [
        ("model asked", AT + 1, "model"),
        ("first chunk", AT + 2, "model"),
        ("speech asked for", AT + 7 - half, "voice"),
    ]


def test_a_text_that_is_announced_is_a_sentence() -> None:
    """It is one if it is going to be spoken, and where the speech service says so."""
    silent, sentence = AggregatedTextFrame("x", "code"), AggregatedTextFrame("Hi.", "sentence")
    sentence.context_id, sentence.will_be_spoken = "1", True
    assert steps(
        *[(silent, AT, VOICE), (sentence, AT + 1, VOICE), (sentence, AT + 2, OTHER)],
    ) == [("sentence made", AT + 1, "voice")]


@pytest.mark.parametrize(
    ("voice", "step"), [(VOICE, "first audio"), (MODEL, "first audio of model")]
)
def test_the_first_audio_of_each_utterance_counts(voice: Any, step: str) -> None:
    """Only that of the service which began it does; a model may speak itself."""
    begins = [TTSStartedFrame() for _ in range(2)]
    assert steps(
        (audio(), AT - 1, voice),
        *[(begins[0], AT, voice), (begins[0], AT + 1, OTHER), (audio(), AT + 2, OTHER)],
        *[(audio(), AT + 3, voice), (audio(), AT + 4, voice), (TTSStoppedFrame(), AT + 5, voice)],
        *[(begins[1], AT + 6, voice), (audio(), AT + 7, voice)],
    ) == [
        *[("synthesis begun", AT, voice.name), (step, AT + 3, voice.name)],
        *[("synthesis begun", AT + 6, voice.name), (step, AT + 7, voice.name)],
    ]


def test_a_processor_that_was_asked_and_speaks_is_a_model() -> None:
    """Whatever its class is called."""
    sights = [LLMFullResponseStartFrame(), TTSStartedFrame(), audio()]
    shown = steps(*((frame, AT + number, OTHER) for number, frame in enumerate(sights)))
    assert shown[-1] == ("first audio of model", AT + 2, "other")
