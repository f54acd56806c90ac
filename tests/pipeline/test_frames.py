"""What frames say, as the Pipecat that is installed makes them."""

from __future__ import annotations

from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames import frames
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallResultProperties,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMMessagesAppendFrame,
    LLMTextFrame,
    SpeechControlParamsFrame,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frameworks.rtvi import RTVIProcessor
from pipecat.transcriptions.language import Language

from pipecat_roark import RoarkObserver
from pipecat_roark.conversation.text import SpokenText
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.frames import RELEVANT_FRAMES, FrameReader
from pipecat_roark.gate import Gate
from pipecat_roark.moments import Edge
from pipecat_roark.sighting import REMEMBERED, Sighting
from support.calls import spoken
from support.events import ns

AT = ns(5)
LINKED = hasattr(TextFrame("x"), "broadcast_sibling_id")
"""Whether the two frames of a broadcast name each other."""

Note = tuple[Any, ...]


class Notebook:
    """A call state that only writes down what is noted, but the steps to the bot's speech."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def note(self, _: str, at: int, verb: Any, *args: Any, **options: Any) -> None:
        """Write down an event of the conversation; its own time stands first."""
        if verb is Conversation.reached:
            return
        bound = signature(verb).bind(None, *args, **options).arguments
        others = [value for name, value in bound.items() if name not in {"self", "at", "owner"}]
        assert bound.get("at", at) == at
        self.notes.append((verb.__name__, at, *others))

    def __getattr__(self, verb: str) -> Any:
        def note(at: int, *args: Any, **options: Any) -> None:
            # What tells calls apart is asked of a real call state.
            self.notes.append((verb, at, *args, *[v for k, v in options.items() if k == "final"]))

        return note


class Places:
    """A user's track that is 100 samples long, at 10 Hz."""

    def user_onset(self, secs: float) -> int:
        """Return the sample so many seconds ago."""
        return 100 - round(10 * secs)

    def user_offset(self, secs: float) -> int:
        """Return the sample so many seconds ago."""
        return 100 - round(10 * secs)


def notes(*sights: tuple[Frame, int, bool], handed: bool = True, track: Any = None) -> list[Note]:
    """Return what is noted of frames, each seen at a time, and released or on its way."""
    notebook: Any = Notebook()
    reader = FrameReader(notebook)
    source = object()
    for frame, at, played in sights:
        by = None if played or track else source
        reader.read(frame, Sighting(at, played, handed and not played, by, track))
    written: list[Note] = notebook.notes
    return written


def note(frame: Frame, *, played: bool = False) -> list[Note]:
    """Return what is told of one frame."""
    return notes((frame, AT, played))


def broadcast(kind: type[Frame], *args: Any) -> tuple[Frame, Frame]:
    """Return the two frames of a broadcast, as this Pipecat makes them."""
    down, up = kind(*args), kind(*args)
    if LINKED:
        down.broadcast_sibling_id, up.broadcast_sibling_id = up.id, down.id
    return down, up


def at_destination(frame: Frame) -> Frame:
    """Return the frame on its way to another destination than the default one."""
    frame.transport_destination = "interpreter"
    return frame


def audio(secs: float = 0.5) -> TTSAudioRawFrame:
    """Return so much speech."""
    return TTSAudioRawFrame(bytes(2 * round(secs * 1000)), 1000, 1)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (UserStartedSpeakingFrame(), ("user_turn_started", AT)),
        (UserStoppedSpeakingFrame(), ("user_turn_stopped", AT)),
        (BotStartedSpeakingFrame(), ("bot_started_speaking", AT, None)),
        (BotStoppedSpeakingFrame(), ("bot_stopped_speaking", AT, None)),
        (at_destination(BotStartedSpeakingFrame()), ("bot_started_speaking", AT, "interpreter")),
        (VADUserStartedSpeakingFrame(), ("user_started_speaking", AT, Edge(AT))),
        (VADUserStoppedSpeakingFrame(), ("user_stopped_speaking", AT, Edge(AT))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_speaking_is_told_once(frame: Frame, told: Note) -> None:
    """Whatever hops a speaking frame makes, its first sight counts."""
    assert notes((frame, AT, False), (frame, AT + 1, True), (frame, AT + 2, False)) == [told]


@pytest.mark.parametrize("track", [None, Places()], ids=["clock", "track"])
def test_the_delay_of_the_detector_is_taken_out(track: Places | None) -> None:
    """Speech began and ended before the detector was sure, by what the frame or its setup says."""
    started, stopped = VADUserStartedSpeakingFrame(), VADUserStoppedSpeakingFrame()
    setup = SpeechControlParamsFrame(vad_params=VADParams(start_secs=0.2, stop_secs=0.8))
    if hasattr(started, "start_secs"):
        started.start_secs, stopped.stop_secs = 0.2, 0.8
        setup = SpeechControlParamsFrame()
    assert notes((setup, 0, False), (started, AT, False), (stopped, AT, False), track=track) == [
        ("user_started_speaking", AT, Edge(AT - ns(0.2), 98 if track else None)),
        ("user_stopped_speaking", AT, Edge(AT - ns(0.8), 92 if track else None)),
    ]


def test_setup_says_nothing_where_frames_say_it() -> None:
    """The detector's setup tells its delays, and is no event of the call."""
    assert note(SpeechControlParamsFrame(vad_params=VADParams())) == []
    assert note(StartFrame()) == []


def transcription(text: str = "Hello.", user: str = "bo", language: Any = None) -> Frame:
    """Return a final transcription."""
    return TranscriptionFrame(text, user, "2026-01-01T00:00:00Z", language)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (transcription(), ("bo", None)),
        (transcription(user=""), (None, None)),
        (transcription(user=7), ("7", None)),  # type: ignore[arg-type]
        (transcription(language=Language.EN_US), ("bo", "en-US")),
        (transcription(language="en_US"), ("bo", "en-US")),
        (transcription(language="zh_hant_TW"), ("bo", "zh-hant-TW")),
        (transcription(language="de"), ("bo", "de")),
        (transcription(language=""), ("bo", None)),
        (transcription(language=SimpleNamespace(value=None)), ("bo", None)),
        (transcription(language="no such language"), ("bo", None)),
        *[(transcription(language=name), ("bo", None)) for name in ("auto", "multi", "und", "UND")],
    ],
)
def test_transcriptions(frame: Frame, told: tuple[str | None, str | None]) -> None:
    """A final transcription comes with its user, and with a language if that can be one."""
    assert notes((frame, AT, False), (frame, AT + 1, False)) == [
        ("user_said", AT, SpokenText("Hello."), *told)
    ]


def test_an_interim_transcription_tells_who_speaks() -> None:
    """What is not transcribed for good shows who speaks, and its text is not read."""
    frame = InterimTranscriptionFrame("Hel", "bo", "2026-01-01T00:00:00Z")
    nobody = InterimTranscriptionFrame("Hel", "", "2026-01-01T00:00:00Z")
    assert notes((frame, AT, False), (frame, AT + 1, False), (nobody, AT, False)) == [
        ("user_is_saying", AT, "bo"),
        ("user_is_saying", AT, None),
    ]


@pytest.mark.skipif(not LINKED, reason="this Pipecat's broadcasts don't name each other")
def test_a_broadcast_is_read_once() -> None:
    """The two frames of a broadcast tell once what they tell."""
    down, up = broadcast(TranscriptionFrame, "Hello.", "bo", "2026-01-01T00:00:00Z")
    assert len(notes((up, AT, False), (down, AT, False))) == 1


def timed(text: str, at: int) -> Frame:
    """Return a word that sounds at a time."""
    frame = spoken(text)
    frame.pts = at
    return frame


def delta(text: str) -> Frame:
    """Return a piece of text as a realtime model gives it."""
    frame = spoken(text)
    if hasattr(frame, "includes_inter_frame_spaces"):
        frame.includes_inter_frame_spaces = True
    return frame


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (spoken("Hi there."), SpokenText("Hi there.")),
        (timed("Hi", ns(7)), SpokenText("Hi", sounds_at=ns(7))),
        (delta(" there"), SpokenText(" there", spaced=True)),
        (delta(", you"), SpokenText(", you", spaced=True)),
    ],
    ids=["sentence", "word", "piece", "punctuation"],
)
def test_text_is_made_and_released(frame: Frame, words: SpokenText) -> None:
    """Text is told when it is made, when the output lets it pass, and at no hop between."""
    assert notes(
        *[(frame, at, False) for at in (AT, AT + 1)],
        *[(frame, at, True) for at in (AT + 5, AT + 6)],
        (frame, AT + 7, False),
    ) == [("text_made", AT, frame.id, words), ("text_played", AT + 5, frame.id, words)]


def test_text_is_made_though_its_release_is_seen_first() -> None:
    """An observer that lags sees text on its way after the recorder saw it released."""
    frame = spoken("Hi.")
    told = notes((frame, AT + 5, True), (frame, AT, False), (frame, AT + 6, False))
    assert [(verb, at) for verb, at, *_ in told] == [("text_played", AT + 5), ("text_made", AT)]


def test_audio_is_made_and_played() -> None:
    """The speech service makes audio, the output plays chunks of it, and hops are neither."""
    made, chunk = audio(0.5), audio(0.04)
    sights = [(made, AT, False), (made, AT + 1, False), (chunk, AT + 5, True)]
    assert notes(*sights, (chunk, AT + 6, False), (made, AT + 7, True)) == [
        ("audio_made", AT, 0.5),
        ("audio_played", AT + 5, 0.04),
        ("audio_played", AT + 7, 0.5),
    ]


def test_what_can_not_be_interrupted_is_only_released() -> None:
    """Of other destinations than the default one, text counts when it is released."""
    text, other = spoken("Salut."), audio()
    made = [text, other, TTSStartedFrame(), TTSStoppedFrame()]
    sights = [(at_destination(frame), AT, False) for frame in made]
    told = notes(*sights, (text, AT + 5, True), (other, AT + 5, True))
    assert [(verb, at) for verb, at, *_ in told] == [("text_played", AT + 5)]


def test_an_utterance_is_made_between_its_brackets() -> None:
    """The speech service's frames around an utterance count when it makes them."""
    started, stopped = TTSStartedFrame(), TTSStoppedFrame()
    sights = [(frame, AT, played) for frame in (started, stopped) for played in (False, True)]
    assert notes(*sights) == [("tts_started", AT), ("tts_stopped", AT, 0.0)]


def test_the_end_of_an_utterance_is_known_where_it_was_made_and_handed_over() -> None:
    """An output may tell of an end before the observer, which lags, has seen it at its service."""
    notebook: Any = Notebook()
    reader, service, later = FrameReader(notebook), object(), AT + 5
    started, audio_made, stopped = TTSStartedFrame(), audio(0.5), TTSStoppedFrame()
    for frame in (started, audio_made, stopped):
        reader.read(frame, Sighting(later, played=False, handed=True))
    told = [("tts_started", later), ("audio_made", later, 0.5)]
    assert notebook.notes == told
    for frame in (started, audio_made, stopped):
        reader.read(frame, Sighting(AT, played=False, source=service))
    assert notebook.notes == [*told, ("tts_stopped", later, 0.5)]
    reader.read(stopped, Sighting(later, played=True, source=object()))
    assert len(notebook.notes) == len(told) + 1


@pytest.mark.skipif(not hasattr(frames, "AggregatedTextFrame"), reason="this Pipecat has none")
def test_text_to_be_spoken_is_announced() -> None:
    """A text is announced if it is going to be spoken, and other text isn't."""
    asked, skipped, foreign = (frames.AggregatedTextFrame("Hi.", "sentence") for _ in range(3))
    asked.context_id = skipped.context_id = "context"
    skipped.skip_tts = True
    if hasattr(asked, "will_be_spoken"):
        asked.will_be_spoken = skipped.will_be_spoken = foreign.will_be_spoken = True
    assert note(asked) == [("text_announced", AT, "Hi.")]
    assert note(skipped) == note(foreign) == note(asked, played=True) == []


def written(text: str, *, skip: bool = False) -> LLMTextFrame:
    """Return a piece of what a model wrote, to be spoken or not."""
    frame = LLMTextFrame(text)
    frame.skip_tts = skip
    return frame


def test_what_nobody_speaks_is_written() -> None:
    """A model's text counts if it gets to the output, or if no speech service is to speak it."""
    frame = written("Hi.")
    assert notes((frame, AT, False), (frame, AT + 1, True)) == [("bot_wrote", AT, "Hi.", False)]
    assert notes((written("Hi."), AT, False), handed=False) == []
    skipped = written("Hi.", skip=True)
    assert notes((skipped, AT, False), (skipped, AT + 1, True), handed=False) == [
        ("bot_wrote", AT, "Hi.", True)
    ]
    assert note(LLMFullResponseEndFrame()) == [("bot_finished_writing", AT)]


def test_typed_messages_are_those_of_the_user() -> None:
    """Of messages for the model, those in the user's name are read, whatever their parts are."""
    parts: list[Any] = [{"type": "text", "text": "Look:"}, {"type": "image"}, 7, {"text": "nice"}]
    messages: list[Any] = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello."},
        {"role": "user", "content": parts},
        {"role": "user", "content": None},
        object(),
    ]
    frame = LLMMessagesAppendFrame(messages)
    assert notes((frame, AT, False), (frame, AT + 1, False), handed=False) == [
        ("user_wrote", AT, "Hello."),
        ("user_wrote", AT, "Look: nice"),
    ]


def test_what_the_users_client_sends_was_typed_by_the_user() -> None:
    """The processor that pushes a message tells it from one of the application."""
    notebook: Any = Notebook()
    frame = LLMMessagesAppendFrame([{"role": "user", "content": "Hello."}])
    FrameReader(notebook).read(frame, Sighting(AT, played=False, source=RTVIProcessor()))
    assert notebook.notes == [("user_typed", AT, "Hello.")]


def test_an_interruption_counts_at_the_output() -> None:
    """What waits is dropped when the interruption gets to the output, once."""
    down, up = broadcast(InterruptionFrame)
    sights = [(down, AT, False), (up, AT, False), (down, AT + 5, True), (down, AT + 6, True)]
    assert notes(*sights, handed=False) == [("interrupted", AT + 5)]


def test_an_interruption_counts_when_the_output_gets_it() -> None:
    """Speech that the output gets right behind the interruption is not dropped."""
    down, text = InterruptionFrame(), spoken("Sorry?")
    told = notes((down, AT, False), (text, AT + 1, False), (down, AT + 2, True))
    assert [(verb, at) for verb, at, *_ in told] == [("interrupted", AT), ("text_made", AT + 1)]


def test_speech_that_never_gets_to_the_output_is_not_made() -> None:
    """What a processor drops before the output is nothing to anybody."""
    frames_of_speech = [spoken("Hi."), audio(), TTSStartedFrame(), TTSStoppedFrame()]
    assert notes(*[(frame, AT, False) for frame in frames_of_speech], handed=False) == []


@pytest.mark.skipif(
    not hasattr(frames, "UserMuteStartedFrame"), reason="this Pipecat tells nothing"
)
def test_a_mute_is_told() -> None:
    """The pipeline tells when it listens to the user."""
    assert note(frames.UserMuteStartedFrame()) == [("user_muted", AT)]
    assert note(frames.UserMuteStoppedFrame()) == [("user_unmuted", AT)]


CALL = "weather", "call-1", {"city": "Oslo"}


def test_a_tool_call_is_read_both_ways() -> None:
    """However a call and its result are broadcast, the result counts once."""
    call = broadcast(FunctionCallInProgressFrame, *CALL)
    result = broadcast(FunctionCallResultFrame, *CALL, {"sky": "clear"})
    told = notes(*[(frame, AT, played) for frame in (*call, *result) for played in (False, True)])
    assert {*told} == {
        ("tool_called", AT, "call-1", "weather", '{"city":"Oslo"}'),
        ("tool_returned", AT, "call-1", '{"sky":"clear"}', True),
    }
    assert [verb for verb, *_ in told].count("tool_returned") == 1


def test_the_two_frames_of_a_result_need_not_name_each_other() -> None:
    """A result that was pushed each way by hand counts once, and another one too."""
    results = [FunctionCallResultFrame(*CALL, result) for result in (7, 7, 8)]
    told = notes(*[(frame, AT, False) for frame in results])
    assert [note[3] for note in told if note[0] == "tool_returned"] == ["7", "8"]


def test_results_that_are_alike_and_far_apart_count_each() -> None:
    """Two frames that do not name each other are one broadcast only if they come together."""
    sights = [(FunctionCallResultFrame(*CALL, 7), AT + ns(at), False) for at in (0, 1.5, 1.6)]
    told = notes(*sights)
    assert [note[1] for note in told if note[0] == "tool_returned"] == [AT, AT + ns(1.5)]


def test_results_that_are_alike_count_each() -> None:
    """Two results with the same content are two, if they are two broadcasts."""
    if not LINKED:
        pytest.skip("this Pipecat's tools return once")
    results = [broadcast(FunctionCallResultFrame, *CALL, 7) for _ in range(2)]
    told = notes(*[(frame, AT, False) for both in results for frame in both])
    assert [verb for verb, *_ in told].count("tool_returned") == 2


def test_a_result_without_its_call_brings_it_along() -> None:
    """A result tells what was called, even if nobody saw the call."""
    assert note(FunctionCallResultFrame(*CALL, None)) == [
        ("tool_called", AT, "call-1", "weather", '{"city":"Oslo"}'),
        ("tool_returned", AT, "call-1", "", True),
    ]


@pytest.mark.skipif(
    not hasattr(FunctionCallResultProperties(), "is_final"), reason="this Pipecat's results are"
)
def test_a_part_of_a_result_is_not_final() -> None:
    """A tool that gives its result in parts says which is the last."""
    part = FunctionCallResultFrame(
        *CALL, 5, properties=FunctionCallResultProperties(is_final=False)
    )
    assert note(part)[-1] == ("tool_returned", AT, "call-1", "5", False)


def test_a_tool_call_can_be_given_up() -> None:
    """A cancellation names the call."""
    assert note(FunctionCallCancelFrame("weather", "call-1")) == [("tool_cancelled", AT, "call-1")]


def test_only_so_many_frames_are_remembered() -> None:
    """A frame that was read is forgotten long after its last hop; memory stays bounded."""
    first = transcription()
    others = [(transcription(), AT, False) for _ in range(2 * REMEMBERED)]
    read = notes((first, AT, False), *others, (first, AT, False))
    assert len(read) == len(others) + 2


def test_concerns_are_frames() -> None:
    """What concerns a call is a tuple of types of frame, as an observer's first check needs."""
    assert all(issubclass(kind, Frame) for kind in RELEVANT_FRAMES)


@pytest.mark.parametrize(
    ("frame", "growing"),
    [
        (TranscriptionFrame("Hello.", "ann", "now"), False),
        (BotStoppedSpeakingFrame(), False),
        (VADUserStartedSpeakingFrame(), True),
        (BotStartedSpeakingFrame(), True),
    ],
    ids=lambda it: type(it).__name__,
)
def test_a_spool_makes_no_haste_unless_something_is_finished(
    frame: Frame, *, growing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that begins can wait for the next draft; one that is over can't."""
    noted: list[bool] = []
    monkeypatch.setattr(Gate, "note_change", lambda _, *, growing: noted.append(growing))
    watcher = RoarkObserver(agent_id="front-desk", api_key="key")._watcher  # noqa: SLF001
    track: Any = SimpleNamespace(
        has_user_audio=False, user_onset=lambda _: None, user_offset=lambda _: None
    )
    watcher.on_frame(frame, AT, track)
    assert noted == [growing]
