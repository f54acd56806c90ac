"""How much of the bot's text waits, how it is joined, and where it is cut."""

from __future__ import annotations

import pytest

from pipecat_roark.conversation.playback import Playback
from pipecat_roark.conversation.text import Fragment, SpokenText, heard, unheard, whole_words

WAITING = 512


def timed(number: int) -> SpokenText:
    """Return a word that sounds far from now."""
    return SpokenText(f"w{number}", sounds_at=10**12)


def test_text_that_is_never_released_is_forgotten() -> None:
    """Only so much text waits; the oldest can't be expected any more."""
    playback = Playback()
    for key in range(WAITING + 88):
        playback.text_made(key, timed(key))
    dropped = playback.cut(0, speaks=True)
    assert [fragment.words.text for fragment in dropped] == [
        f"w{n}" for n in range(88, WAITING + 88)
    ]


def test_text_that_was_dropped_is_forgotten() -> None:
    """Text that was cut is played all the same only soon after, if ever."""
    playback = Playback()
    for key in range(WAITING + 1):
        playback.text_made(key, timed(key))
        playback.cut(0, speaks=True)
    restored = [playback.text_played(key, timed(key), 0) is None for key in range(WAITING + 1)]
    assert restored == [False, *[True] * WAITING]


def spaced(text: str) -> SpokenText:
    """Return a text that brings the spaces around it along."""
    return SpokenText(text, spaced=True)


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        ([], ""),
        ([SpokenText("a"), SpokenText(" b "), SpokenText(" "), SpokenText("c.")], "a b c."),
        ([spaced("a"), spaced("b"), spaced(" c")], "ab c"),
        ([SpokenText("a"), spaced(" b"), spaced("c"), SpokenText("d")], "a bc d"),
        ([SpokenText("a "), spaced("b"), spaced(" "), SpokenText("c")], "ab c"),
    ],
)
def test_pieces_are_joined_by_single_spaces(words: list[SpokenText], joined: str) -> None:
    """Fragment are words apart, except where they bring the space between them along."""
    assert heard(map(Fragment, words)) == joined


def test_what_was_cut_is_told_apart() -> None:
    """A cut splits a text into what was heard and what was not."""
    fragments = [
        Fragment(SpokenText("one two")),
        Fragment(SpokenText("three four"), cut=5),
        Fragment(SpokenText("5"), cut=0),
    ]
    assert heard(fragments) == "one two three"
    assert unheard(fragments) == "four 5"


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("one two", {3}),
        ("今日は。", {1, 2, 3}),
        ("สวัสดี", {1, 3, 4}),  # a vowel above stays with its consonant
        ("ไปไหน", {2, 4}),  # a vowel is written before its consonant
        ("ສະບາຍດີ", {1, 2, 3, 4, 5}),
        ("မြန်မာ", {2, 4}),
        ("ខ្មែរ", {4}),  # a sign joins two consonants
        ("안녕 하세요", {2}),
        ("がが", {1}),
        ("go 😀👍🏽", {2, 3, 4}),
    ],
)
def test_a_text_is_cut_between_words(text: str, ends: set[int]) -> None:
    """Scripts with spaces are cut at them, and others between syllables."""
    cuts = {whole_words(text, budget) for budget in range(len(text))}
    assert cuts - {0} == ends
    assert whole_words(text, len(text)) is None
