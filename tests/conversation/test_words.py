"""Where the words of a turn lie in the recording."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest

from pipecat_roark import Word
from pipecat_roark.conversation.words import placed
from pipecat_roark.moments import Edge
from support.events import (
    audio_made,
    audio_played,
    bot_onset,
    bot_spoke,
    bot_started_speaking,
    bot_stopped_speaking,
    ended,
    interrupted,
    ns,
    state_of,
    text_made,
    text_played,
    tts_started,
    tts_stopped,
    user_spoke,
    wall,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipecat_roark import Turn
    from support.events import Event

Timed = tuple[str, float]
"""A word, and when its service says that it sounds, in seconds of the call."""


def turns_of(*events: Event, now: float = 60.0) -> tuple[Turn, ...]:
    """Return the turns of a call whose recording begins with it."""
    return state_of(*events).report(ns(now), wall=wall, origin=0).turns


def begins(turn: Turn) -> list[tuple[str, float]]:
    """Return each word and where it begins, in seconds."""
    return [(word.text, word.start_ms / 1000) for word in turn.words]


def played(at: float, secs: float) -> list[Event]:
    """Return that the output played audio from a moment on, in pieces of 100 ms."""
    return [audio_played(at + 0.1 * (n + 1), 0.1) for n in range(round(secs / 0.1))]


def uttered(at: float, secs: float, words: Iterable[Timed], *, early: bool = False) -> list[Event]:
    """Return that a service made an utterance, and the times of its words before or after it."""
    timed = [text_made(at + 0.002, text, sounds_at=sounds) for text, sounds in words]
    made = [audio_made(at + (0.003 if early else 0.001), secs)]
    return [tts_started(at), *made, *timed, tts_stopped(at + 0.004)]


def released(words: Iterable[Timed]) -> list[Event]:
    """Return that the output released words at their times."""
    return [text_played(at, text, sounds_at=at) for text, at in words]


WORDS: list[Timed] = [("Good", 1.0), ("morning,", 1.3), ("dear", 1.9), ("caller.", 2.2)]


@pytest.mark.parametrize("early", [True, False])
def test_a_timed_word_is_where_its_service_says(*, early: bool) -> None:
    """It lasts until the next one."""
    (turn,) = turns_of(
        *uttered(1, 1.6, WORDS, early=early),
        bot_started_speaking(1.0),
        *released(WORDS),
        *played(1, 1.6),
        bot_stopped_speaking(2.6),
    )
    assert begins(turn) == [pytest.approx(word, abs=0.01) for word in WORDS]
    assert [word.end_ms for word in turn.words] == [
        *(word.start_ms for word in turn.words[1:]),
        turn.end_ms,
    ]
    assert {word.error_ms for word in turn.words} == {50}


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    "counted_from",
    [
        pytest.param(1.1, id="the moment at which the audio was made"),
        pytest.param(2.2, id="the last word before"),
        pytest.param(2.6, id="the utterance before"),
    ],
)
def test_words_whose_audio_waits_are_where_it_is_played(
    counted_from: float, *, early: bool
) -> None:
    """Services count the times of words from the one or the other; the audio decides."""
    second = [("How", counted_from + 0.02), ("are", counted_from + 0.3)]
    (turn,) = turns_of(
        *uttered(1, 1.6, WORDS),
        bot_started_speaking(1.0),
        *uttered(1.1, 0.8, second, early=early),
        *released(sorted([*WORDS, *second], key=lambda word: word[1])),
        *played(1, 2.4),
        bot_stopped_speaking(3.4),
    )
    spoken = dict(begins(turn))
    assert spoken["How"] == pytest.approx(2.62, abs=0.03)
    assert spoken["are"] == pytest.approx(2.9, abs=0.03)
    assert spoken["caller."] == pytest.approx(2.2, abs=0.03)


def test_times_count_from_the_first_audio() -> None:
    """A service makes it piece by piece, and all of it may wait to be played."""
    (turn,) = turns_of(
        bot_started_speaking(1.0),
        tts_started(1.1),
        *(audio_made(1.2 + 0.1 * n, 0.2) for n in range(4)),
        text_made(1.6, "Hello", sounds_at=1.3),
        text_made(1.7, "there.", sounds_at=1.7),
        text_played(1.75, "Hello", sounds_at=1.3),
        text_played(1.76, "there.", sounds_at=1.7),
        *played(3, 0.8),
        bot_stopped_speaking(3.8),
    )
    assert begins(turn) == [
        pytest.approx(("Hello", 3.1), abs=0.01),
        pytest.approx(("there.", 3.5), abs=0.01),
    ]


def test_words_move_with_audio_that_comes_late() -> None:
    """A service may take a break within an utterance."""
    (turn,) = turns_of(
        *uttered(1, 0.8, WORDS)[:-1],
        bot_started_speaking(1.0),
        *played(1, 0.8),
        *released(WORDS),
        audio_made(2.6, 0.8),
        *played(2.6, 0.8),
        bot_stopped_speaking(3.4),
    )
    assert begins(turn) == [
        pytest.approx(word, abs=0.01)
        for word in [("Good", 1.0), ("morning,", 1.3), ("dear", 2.7), ("caller.", 3.0)]
    ]


def test_timed_words_without_audio_are_where_they_were_timed() -> None:
    """As in a pipeline whose audio nobody sees; also words that are timed behind their audio."""
    (turn,) = turns_of(bot_started_speaking(1.0), *released(WORDS), bot_stopped_speaking(2.6))
    assert begins(turn) == WORDS
    late, after = [*WORDS, ("Well,", 2.5)], [("bye.", 3.05)]
    (turn,) = turns_of(
        *uttered(1, 1.4, late),
        bot_started_speaking(1.0),
        *played(1, 1.3),
        audio_played(2.35, 0.05),  # the output may drop the end of the last chunk
        *released(late),
        *uttered(3, 1.0, after),
        *released(after),
        *played(3, 1.0),
        bot_stopped_speaking(4.0),
    )
    assert begins(turn)[-2:] == [("Well,", 2.5), pytest.approx(("bye.", 3.05), abs=0.01)]


def test_timed_words_follow_the_onset_in_the_recording() -> None:
    """The audio may lie beside the clock, which counts for the words as for their turn."""
    state = state_of(
        *uttered(1, 1.6, WORDS),
        bot_started_speaking(1.0),
        bot_onset(1.1, Edge(ns(1.0), 110)),
        *released(WORDS),
        *played(1, 1.6),
        bot_stopped_speaking(2.6),
    )
    report = state.report(
        ns(60), wall=wall, origin=ns(0.5), offset_ms=lambda _, index, __: 5 * index
    )
    (turn,) = report.turns
    assert turn.start_ms == 550
    assert begins(turn) == [pytest.approx((text, at - 0.45), abs=0.01) for text, at in WORDS]


SENTENCE = "One two three four five six."


@pytest.mark.parametrize("ahead", [True, False])
def test_a_sentence_shares_its_audio_among_its_words(*, ahead: bool) -> None:
    """Its text comes before or behind its audio; a pause between sentences belongs to neither."""

    def says(at: float, text: str, secs: float) -> list[Event]:
        made = [audio_made(at + 0.002, secs), text_made(at + (0.001 if ahead else 0.003), text)]
        passed = text_played(at + (0.007 if ahead else secs + 0.01), text)
        over = [passed, bot_stopped_speaking(at + secs + 0.02)]
        start = [tts_started(at), *made, tts_stopped(at + 0.005), bot_started_speaking(at + 0.006)]
        # The output may drop the end of the last chunk.
        return [*start, *played(at + 0.01, secs - 0.1), audio_played(at + secs - 0.04, 0.05), *over]

    (turn,) = turns_of(*says(1, SENTENCE, 2.0), *says(4, "Seven.", 1.0))
    spoken = dict(begins(turn))
    assert spoken["One"] == pytest.approx(1, abs=0.02)
    assert 1 < spoken["two"] < spoken["three"] < spoken["four"] < spoken["five"] < 3
    assert spoken["Seven."] == pytest.approx(4, abs=0.02)
    six = turn.words[5]
    assert six.end_ms == pytest.approx(3000, abs=20)
    assert [word.error_ms for word in turn.words[:6]] == pytest.approx([550] * 6, abs=5)


def test_words_that_nobody_heard_have_no_place() -> None:
    """Those that were heard share the played part of the audio."""
    text = "One two internationalizations of everything."
    turn, _ = turns_of(
        tts_started(1),
        audio_made(1.001, 4.0),
        text_made(1.002, text),
        tts_stopped(1.003),
        bot_started_speaking(1.01),
        *played(1.01, 2.0),
        interrupted(3.02),
        bot_stopped_speaking(3.03),
        *user_spoke(3, "Stop."),
    )
    assert turn.content == "One two"
    assert turn.unheard == "internationalizations of everything."
    assert [word.text for word in turn.words] == turn.content.split()
    spoken = dict(begins(turn))
    assert spoken["One"] == pytest.approx(1, abs=0.02)
    # Half of the long word was heard, too.
    assert spoken["two"] == pytest.approx(1.4, abs=0.1)
    assert turn.words[-1].end_ms <= (turn.end_ms or 0)


def test_lines_that_cannot_be_interrupted_keep_their_places() -> None:
    """An interruption between changes what is counted, not when they sound."""
    *_, turn = turns_of(
        tts_started(1),
        audio_made(1.001, 2.0),
        text_made(1.002, "Please hold.", interruptible=False),
        tts_stopped(1.003),
        bot_started_speaking(1.01),
        tts_started(1.1),
        audio_made(1.101, 1.0),
        text_made(1.102, "Thank you.", interruptible=False),
        tts_stopped(1.103),
        *played(1.01, 1.0),
        interrupted(2.02),
        *played(2.02, 1.0),
        text_played(3.03, "Please hold."),
        *played(3.03, 1.0),
        text_played(4.04, "Thank you."),
        bot_stopped_speaking(4.05),
    )
    assert turn.content == "Please hold. Thank you."
    spoken = dict(begins(turn))
    assert spoken["Thank"] == pytest.approx(3.03, abs=0.02)
    assert turn.words[-1].end_ms == turn.end_ms


def test_the_words_of_a_user_share_the_turn() -> None:
    """Nothing tells when each was spoken, so their places are rough."""
    (turn,) = turns_of(*user_spoke(2, "Table for 12, please.", secs=2.0))
    assert [word.text for word in turn.words] == ["Table", "for", "12,", "please."]
    assert turn.words[0].start_ms == 2000
    assert turn.words[-1].end_ms == 4000
    assert {word.error_ms for word in turn.words} == {1250}
    # A number takes longer than it looks.
    number, please = turn.words[2:]
    assert number.end_ms - number.start_ms > please.end_ms - please.start_ms


def test_words_are_kept_when_a_turn_is_old() -> None:
    """How a turn was composed is forgotten, but not where its words are."""
    talk = [
        *uttered(1, 1.6, WORDS),
        bot_started_speaking(1.0),
        *released(WORDS),
        *played(1, 1.6),
        bot_stopped_speaking(2.6),
        *bot_spoke(3, "And this is a sentence."),
    ]
    young = turns_of(*talk)[0]
    later = chain.from_iterable(user_spoke(10 + 5 * n, f"Turn {n}.") for n in range(20))
    old = turns_of(*talk, *later, now=200)[0]
    assert old.words == young.words
    assert len(old.words) == 9


def test_a_turn_that_is_not_in_the_recording_has_no_words() -> None:
    """There is nothing to play."""
    events = [*bot_spoke(1, "Hello."), *user_spoke(3, "Hi.")]
    assert [turn.words for turn in state_of(*events).report(ns(9), wall=wall).turns] == [(), ()]
    late = state_of(*events).report(ns(9), wall=wall, origin=ns(3)).turns
    assert [len(turn.words) for turn in late] == [0, 1]


def test_words_can_be_left_out() -> None:
    """They take memory, which a draft has no use for."""
    state = state_of(*bot_spoke(1, "Hello."))
    without, whole = (
        state.report(ns(9), wall=wall, origin=0, words=words).turns for words in (False, True)
    )
    assert [len(turn.words) for turn in (*without, *whole)] == [0, 1]


def test_words_stay_when_the_call_ends() -> None:
    """The end cuts what is being said."""
    events = [*uttered(1, 1.6, WORDS), bot_started_speaking(1.0), *released(WORDS[:2])]
    (turn,) = turns_of(*events, *played(1, 0.6), ended(1.7))
    assert begins(turn)[:2] == [pytest.approx(word, abs=0.01) for word in WORDS[:2]]
    assert turn.content == "Good morning,"


@pytest.mark.parametrize(
    ("spaced", "texts"),
    [(True, [" Good", " mor", "ning", " all"]), (False, ["Good  ", " morning ", "", " all"])],
)
def test_spaces_within_texts_count(texts: list[str], *, spaced: bool) -> None:
    """Some services send their words with the spaces around them, or some more."""
    words = zip((1.0, 1.3, 1.5, 1.8), texts, strict=True)
    (turn,) = turns_of(
        bot_started_speaking(1.0),
        *(text_played(at, text, sounds_at=at, spaced=spaced) for at, text in words),
        bot_stopped_speaking(2.2),
    )
    assert begins(turn) == [("Good", 1.0), ("morning", 1.3), ("all", 1.8)]
    assert [word.error_ms for word in turn.words] == [50] * 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello there.", ["Hello", "there."]),
        ("你好 世界", ["你", "好", "世", "界"]),
        ("Hi 你好", ["Hi", "你", "好"]),
        ("", []),
    ],
)
def test_every_letter_is_of_one_word(text: str, words: list[str]) -> None:
    """In scripts without spaces, a syllable can be played."""
    assert [word.text for word in placed(text, [], 0, 1000, share=0)] == words


def test_places_stay_in_the_turn_and_in_order() -> None:
    """Whatever services say, and however much of a text was cut off."""
    known = [(0, 500, 1), (4, 5000, 1), (8, 700, 1), (30, 200, 0)]
    words = placed("one two six", known, 1000, 2000, share=0)
    assert words == (
        Word("one", 1000, 2000, 50),
        Word("two", 2000, 2000, 50),
        Word("six", 2000, 2000, 50),
    )
    one, number = placed("one 22222222", [(0, 0, 0), (20, 9000, 0)], 0, 1000, share=0)
    assert one.end_ms == number.start_ms < number.end_ms == 1000


def test_only_the_word_that_was_timed_is_exact() -> None:
    """A service may time parts of words, and the next word has no time then."""
    words = placed("morning all", [(0, 0, 1), (3, 400, 1)], 0, 1000, share=0)
    assert [(word.start_ms, word.error_ms) for word in words] == [(0, 50), (400, 250)]
