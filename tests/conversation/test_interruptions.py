"""How much was heard of speech that is cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipecat_roark.conversation.inbox import INBOX_LIMIT
from support.events import (
    audio_made,
    audio_played,
    audio_streamed,
    bot_spoke,
    bot_started_speaking,
    bot_stopped_speaking,
    ended,
    interrupted,
    lines,
    ns,
    report_of,
    state_of,
    text_announced,
    text_made,
    text_played,
    tts_started,
    tts_stopped,
    user_muted,
    wall,
)

if TYPE_CHECKING:
    from support.events import Event

HELLO = "Hello there, how can I help you today?"
"""Its words end after 5, 12, 16, 20, 22, 27, 31 and 38 characters."""


def behind(at: float, *sentences: str, secs: float = 2.0) -> list[Event]:
    """Return that sentences were made, each behind its audio."""
    made = [[audio_made(at, secs), text_made(at, sentence)] for sentence in sentences]
    return [tts_started(at), *[event for pair in made for event in pair], tts_stopped(at)]


def ahead(at: float, *texts: str, secs: float = 2.0) -> list[Event]:
    """Return that texts were made, and after them their audio."""
    audio = [audio_made(at, secs) for _ in texts]
    return [tts_started(at), *[text_made(at, text) for text in texts], *audio, tts_stopped(at)]


def failed(at: float, text: str) -> list[Event]:
    """Return that the speech service failed to speak a text, which was released all the same."""
    return [tts_started(at), *text_at(at, text), tts_stopped(at, 0)]


def plays(start: float, *, until: float) -> list[Event]:
    """Return that the output played audio between two moments."""
    return [bot_started_speaking(start), audio_played(until, until - start)]


def cut(at: float) -> list[Event]:
    """Return that the output was interrupted, and fell silent."""
    return [interrupted(at), bot_stopped_speaking(at)]


def text_at(at: float, *texts: str) -> list[Event]:
    """Return that texts were made, and released at once."""
    made = [[text_made(at, text), text_played(at, text)] for text in texts]
    return [event for pair in made for event in pair]


def avatar_plays(at: float, secs: float) -> list[Event]:
    """Return that a video avatar made audio, and that it was played."""
    return [audio_made(at, secs), audio_played(at + secs, secs)]


INTERRUPTIONS: dict[str, tuple[list[Event], tuple[str, str]]] = {
    "before a sentence ends": (
        [*behind(1, HELLO), *plays(1, until=2), *cut(2)],
        ("Hello there, how", "can I help you today?"),
    ),
    "before its first word ends": (
        [
            *behind(1, HELLO),
            *plays(1, until=1.2),
            *cut(1.2),
            bot_started_speaking(3),
            text_played(4, "Yes?"),
        ],
        ("Yes?", ""),
    ),
    "at its end, before it is released (pipecat 4996)": (
        [*behind(1, HELLO), *plays(1, until=3), *cut(3)],
        (HELLO, ""),
    ),
    "in the second sentence": (
        [
            *behind(1, "I am here.", HELLO, "Well?"),
            *plays(1, until=3),
            text_played(3, "I am here."),
            audio_played(4, 1.0),
            *cut(4),
        ],
        ("I am here. Hello there, how", "can I help you today? Well?"),
    ),
    "in the second sentence, where chunks went missing": (
        [
            *behind(1, "I am here.", HELLO),
            *plays(1, until=2.7),
            text_played(3, "I am here."),
            audio_played(4, 1.0),
            *cut(4),
        ],
        ("I am here. Hello there, how", "can I help you today?"),
    ),
    "in a sentence after a chunk that was filled up with silence": (
        [
            *[
                *behind(1, "I am here.", secs=0.5),
                *plays(1, until=1.5),
                text_played(1.5, "I am here."),
            ],
            *[audio_played(1.6, 0.1), *behind(2, HELLO), audio_played(3, 1.0), *cut(3)],
        ],
        ("I am here. Hello there, how", "can I help you today?"),
    ),
    "just before a sentence ends": (
        [*behind(1, HELLO), *plays(1, until=2.95), *cut(2.95)],
        ("Hello there, how can I help you", "today?"),
    ),
    "in a sentence of which audio is still made": (
        [
            *[
                tts_started(1),
                audio_made(1, 1),
                text_made(1, "I am here."),
                text_announced(1, HELLO),
            ],
            *[audio_made(2, 0.5), *plays(1, until=2), text_played(2, "I am here.")],
            *[audio_played(2.4, 0.4), *cut(2.4)],
        ],
        ("I am here.", HELLO),
    ),
    "in text ahead of its audio (pipecat 5426)": (
        [
            *[*ahead(1, HELLO, "Well?"), text_played(1, HELLO), text_played(1, "Well?")],
            *[*plays(1, until=3), *cut(3)],
        ],
        ("Hello there, how can", "I help you today? Well?"),
    ),
    "in text ahead of its audio, before any was played": (
        [
            *[*plays(0, until=0.5), bot_stopped_speaking(0.5)],
            *[*ahead(1, HELLO), text_played(1, HELLO), *plays(1, until=1.0), *cut(1)],
            *[bot_started_speaking(3), text_played(4, "Yes?")],
        ],
        ("Yes?", ""),
    ),
    "in text ahead of audio that is still made": (
        [
            *[tts_started(1), text_made(1, "I am here."), text_made(1, HELLO), audio_made(1, 3)],
            *[text_played(1, "I am here."), *plays(1, until=2), *cut(2)],
        ],
        ("I am here.", HELLO),
    ),
    "in text ahead of audio that nobody counts": (
        [*ahead(1, "I am here."), bot_started_speaking(1), text_played(1, "I am here."), *cut(2)],
        ("I am here.", ""),
    ),
    "in a text after one that made no sound": (
        [
            *[tts_started(1), text_made(1, "*"), tts_stopped(1), *behind(1, HELLO)],
            *[*plays(1, until=2), *cut(2)],
        ],
        ("* Hello there, how", "can I help you today?"),
    ),
    "among timed words": (
        [
            tts_started(1),
            *[text_made(1, f"w{n}", sounds_at=1 + n) for n in range(5)],
            *[
                bot_started_speaking(1),
                text_played(1, "w0", sounds_at=1),
                text_played(2, "w1", sounds_at=2),
            ],
            *cut(3.1),
        ],
        ("w0 w1 w2", "w3 w4"),
    ),
    "in a script without spaces": (
        [*behind(1, "今日はいい天気です。"), *plays(1, until=2), *cut(2)],
        ("今日はいい", "天気です。"),
    ),
    "in Thai": (
        [*behind(1, "สวัสดีครับยินดีต้อนรับ"), *plays(1, until=2.2), *cut(2.2)],
        ("สวัสดีครับยิน", "ดีต้อนรับ"),
    ),
    "in text that a realtime model sends before its audio": (
        [
            *[tts_started(1), text_made(1, HELLO, spaced=True), text_played(1, HELLO)],
            *[audio_made(1, 2), *plays(1, until=2), *cut(2)],
        ],
        ("Hello there, how", "can I help you today?"),
    ),
    "in text of which an avatar plays the audio later": (
        [
            *[tts_started(1), *text_at(1, HELLO), tts_stopped(1, 4)],
            *[bot_started_speaking(3), audio_streamed(4, 1), audio_streamed(5, 1), *cut(5)],
        ],
        ("Hello there, how", "can I help you today?"),
    ),
    "in the second utterance of which an avatar plays the audio later": (
        [
            *[tts_started(1), *text_at(1, "I am here."), tts_stopped(1, 1)],
            *[tts_started(1.1), *text_at(1.1, HELLO), tts_stopped(1.1, 2)],
            *[bot_started_speaking(3), audio_streamed(4, 1), audio_streamed(5, 1), *cut(5)],
        ],
        ("I am here. Hello there, how", "can I help you today?"),
    ),
    "in text of which an avatar makes new audio later": (
        [
            *[tts_started(1), *text_at(1, HELLO), tts_stopped(1, 4), bot_started_speaking(3)],
            *[event for n in range(20) for event in avatar_plays(3 + n / 10, 0.1)],
            *cut(5),
        ],
        ("Hello there, how", "can I help you today?"),
    ),
    "in text of which an avatar plays audio in a long silence": (
        [
            *[bot_started_speaking(0), bot_stopped_speaking(0.5)],
            *[audio_streamed(at / 10, 0.1) for at in range(6, 30)],
            *[tts_started(3), *text_at(3, HELLO), tts_stopped(3, 2)],
            *[bot_started_speaking(4), audio_streamed(5, 1), *cut(5)],
        ],
        ("Hello there, how", "can I help you today?"),
    ),
    "by the end of the call (pipecat 3757)": (
        [*behind(1, HELLO), *plays(1, until=2), ended(2)],
        ("Hello there, how", "can I help you today?"),
    ),
    "while the assistant is silent": (
        [*bot_spoke(1, HELLO), interrupted(3), *bot_spoke(3.2, "Well?")],
        (f"{HELLO} Well?", ""),
    ),
    "while the assistant is silent, after audio that ended a little short": (
        [
            *ahead(1, HELLO),
            text_played(1, HELLO),
            *plays(1, until=2.96),
            bot_stopped_speaking(3),
            interrupted(4),
        ],
        (HELLO, ""),
    ),
    "before the assistant begins": (
        [text_announced(1, "I am."), text_made(1, "I"), interrupted(2), *bot_spoke(3, HELLO)],
        (HELLO, ""),
    ),
    "of speech that goes on, as it may not be interrupted": (
        [
            *behind(1, HELLO),
            *plays(1, until=2),
            interrupted(2),
            text_played(3, HELLO),
            bot_stopped_speaking(3),
        ],
        (HELLO, ""),
    ),
    "of another destination": (
        [
            bot_started_speaking(1, "fr"),
            text_made(1, "I"),
            interrupted(2),
            text_played(3, "Salut."),
        ],
        ("Salut.", ""),
    ),
}


@pytest.mark.parametrize("case", INTERRUPTIONS)
def test_interruptions(case: str) -> None:
    """What was heard stays, and what was not is told apart from it."""
    events, expected = INTERRUPTIONS[case]
    last = report_of(*events).turns[-1]
    assert (last.content, last.unheard) == expected


def test_an_interruption_is_marked() -> None:
    """A turn that was cut says so, and what the assistant says next is another."""
    first, second = report_of(
        *behind(1, HELLO), *plays(1, until=2), *cut(2), *bot_spoke(2.5, "Yes?")
    ).turns
    assert first.interrupted
    assert not second.interrupted


def test_speech_that_is_made_right_after_the_interruption_is_the_next_turn() -> None:
    """It is no part of the turn that was cut, even before the end of that is announced."""
    first, second = report_of(
        *[*behind(1, HELLO), *plays(1, until=2), interrupted(2)],
        *[*behind(2, "Sorry?", secs=0.5), bot_stopped_speaking(2.01)],
        *[*plays(2.02, until=2.5), text_played(2.5, "Sorry?"), bot_stopped_speaking(2.5)],
    ).turns
    assert (first.content, first.unheard) == ("Hello there, how", "can I help you today?")
    assert (second.content, second.unheard, second.interrupted) == ("Sorry?", "", False)


def test_words_after_an_interruption_are_the_next_turn_though_no_stop_came() -> None:
    """Words that the output releases after it was interrupted are not those that it dropped."""
    assert lines(
        *[bot_started_speaking(1), text_played(2, "Hi."), interrupted(3)],
        *[text_made(3, "Sorry?"), text_played(4, "Sorry?")],
    ) == ["assistant: Hi.", "assistant: Sorry?"]


SILENCE: dict[str, tuple[list[Event], list[tuple[str, str]]]] = {
    "of an utterance alone": ([*failed(1, "Hello.")], []),
    "of the second utterance": (
        [*behind(1, "Hello."), *plays(1, until=3), text_played(3, "Hello."), *failed(3, HELLO)],
        [("Hello.", HELLO)],
    ),
    "of an utterance that is still made when the call ends": (
        [tts_started(1), *text_at(1, HELLO), ended(2)],
        [],
    ),
    "of audio that was made, and that nobody played": ([*ahead(1, HELLO), ended(2)], []),
    "of what is no word": (
        [*failed(1, "*"), *behind(1, HELLO), *plays(1, until=3), text_played(3, HELLO)],
        [(f"* {HELLO}", "")],
    ),
    "of an utterance before one that is cut": (
        [*failed(1, "Hello."), *behind(1, HELLO), *plays(1, until=2), *cut(2)],
        [("Hello there, how", "Hello. can I help you today?")],
    ),
}


@pytest.mark.parametrize("case", SILENCE)
def test_words_that_made_no_sound_are_not_heard(case: str) -> None:
    """Speech that failed was not said, though its text was released."""
    events, expected = SILENCE[case]
    assert [(turn.content, turn.unheard) for turn in report_of(*events).turns] == expected


def lasting(at: float, text: str, secs: float = 2.0) -> list[Event]:
    """Return that a sentence was made that cannot be interrupted."""
    made = [audio_made(at, secs), text_made(at, text, interruptible=False)]
    return [tts_started(at), *made, tts_stopped(at, secs)]


def test_a_line_that_can_not_be_interrupted_is_whole() -> None:
    """It is heard to its end and was not interrupted, and so is what is cut after it."""
    events = [
        *[*lasting(1, HELLO), *plays(1, until=2), interrupted(2), interrupted(2.5)],
        *[audio_played(3, 1), text_played(3, HELLO), bot_stopped_speaking(3)],
    ]
    (turn,) = report_of(*events).turns
    assert (turn.content, turn.unheard, turn.interrupted) == (HELLO, "", False)
    first, second = report_of(*events, *behind(6, HELLO), *plays(6, until=7), *cut(7)).turns
    assert first.content == HELLO
    assert (second.content, second.interrupted) == ("Hello there, how", True)


def test_a_line_that_can_not_be_interrupted_ends_with_the_call() -> None:
    """What was not played of it when the call ends was not heard."""
    (turn,) = report_of(
        *[*lasting(1, HELLO), *plays(1, until=1.5), interrupted(1.5)],
        *[audio_played(2, 0.5), ended(2)],
    ).turns
    assert (turn.content, turn.unheard) == ("Hello there, how", "can I help you today?")


def test_a_line_that_can_not_be_interrupted_goes_on_after_another_was_cut() -> None:
    """What can be interrupted is cut, and the rest is the next turn."""
    first, second = report_of(
        *[*behind(1, HELLO), *lasting(1, "Please wait."), *plays(1, until=2), interrupted(2)],
        *[audio_played(4, 2), text_played(4, "Please wait."), bot_stopped_speaking(4)],
    ).turns
    assert (first.content, first.interrupted) == ("Hello there, how", True)
    assert (second.content, second.unheard, second.interrupted) == ("Please wait.", "", False)
    assert second.started_at == wall(ns(2))


def test_a_report_before_the_interruption_changes_nothing() -> None:
    """What is being played when a report is made is cut in the next one as if there was none."""
    others = [user_muted(1.5 + number / 10**4) for number in range(2 * INBOX_LIMIT)]
    state = state_of(*behind(1, HELLO, "Well?"), *plays(1, until=2), *others)
    assert state.report(ns(2), wall=wall).turns == ()
    for event in cut(2):
        event(state)
    (turn,) = state.report(ns(3), wall=wall).turns
    assert (turn.content, turn.unheard) == ("Hello there, how", "can I help you today? Well?")


def test_a_lost_stop_ends_with_the_interruption() -> None:
    """Speech after an interrupted turn is the next, though its stop was never announced."""
    assert lines(
        bot_started_speaking(1),
        text_played(2, "Hi."),
        interrupted(3),
        bot_started_speaking(4),
        text_played(5, "Yes?"),
    ) == ["assistant: Hi.", "assistant: Yes?"]


@pytest.mark.parametrize("case", ["silence", "end"])
def test_no_interruption_is_marked(case: str) -> None:
    """Neither the end of the call nor a user who speaks into silence interrupts a turn."""
    last_event = {"silence": interrupted(3), "end": ended(2)}[case]
    (turn,) = report_of(*bot_spoke(1, HELLO), last_event).turns
    assert not turn.interrupted
