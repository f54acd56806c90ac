"""Text on its way to a turn: how its pieces are joined, and how much of it was heard."""

from __future__ import annotations

import re
from bisect import bisect_right
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import category

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


_UNSPACED = (
    *("\u0e00", "\u10a0", "\u1780", "\u1800", "\u1950", "\u1a00", "\u1a20", "\u1ab0"),
    *("\u1b00", "\u1b80"),  # so far of southern Asia
    *("\u2e80", "\u3130", "\u3190", "\ua960", "\ua980", "\uac00", "\ud800"),  # eastern, symbols
)
"""Where scripts without spaces between words begin and end, in turn; Hangul has some, so it is out.

A regular expression for them takes milliseconds to compile.
"""
_PARTS_OF_LETTERS = ("Mn", "Mc", "Me", "Sk")
"""Categories of characters that change the one before them."""
_JOINED_TO_NEXT = "\u0e40\u0e41\u0e42\u0e43\u0e44\u0ec0\u0ec1\u0ec2\u0ec3\u0ec4\u1039\u17d2\u200d"
"""Vowels that are written before their consonant, and signs that join two consonants."""
_WORD = re.compile(r"\S+")


class SpokenText(NamedTuple):
    """A text as it came.

    Attributes:
        text: The text.
        spaced: Whether the text contains the spaces before and after it.
        sounds_at: Pipeline time in nanoseconds at which it begins to sound, if that is known.
        interruptible: Whether an interruption stops it.
    """

    text: str
    spaced: bool = False
    sounds_at: int | None = None
    interruptible: bool = True


@dataclass(slots=True, eq=False)
class Fragment:
    """A text in its place, and how much of it was heard.

    Attributes:
        words: The text.
        number: Its place among all fragments, in the order in which they were made.
        place: How many seconds of audio were made before it.
        released: Whether the output let it pass.
        cut: How many of its characters were heard; None if all of them.
        expected: Whether the text that was announced has this word here, once more.
        anchors: What is known of when it sounded: three numbers for each moment, as in
            `words.Anchor`, with the character counted in this text.
    """

    words: SpokenText
    number: int = 0
    place: float = 0.0
    released: bool = False
    cut: int | None = None
    expected: bool = False
    anchors: Sequence[int] = ()

    def __deepcopy__(self, memo: dict[int, object]) -> Fragment:
        return copy(self)

    def repeats(self, other: Fragment) -> bool:
        """Return whether this is the same word at the same moment; some services send it twice."""
        timed = self.words.sounds_at is not None and not self.expected
        return self is other or (timed and self.words == other.words)


def heard(fragments: Iterable[Fragment]) -> str:
    """Join what was heard of fragments."""
    return _join(
        (fragment.words.text[: fragment.cut], fragment.words.spaced) for fragment in fragments
    )


def unheard(fragments: Iterable[Fragment]) -> str:
    """Join what was not heard of fragments."""
    cut = (fragment for fragment in fragments if fragment.cut is not None)
    return _join((fragment.words.text[fragment.cut :], fragment.words.spaced) for fragment in cut)


def bases(fragments: Iterable[Fragment]) -> Iterator[tuple[Fragment, int]]:
    """Yield each fragment, and where in what was heard of all of them its text begins."""
    fragments = [*fragments]
    texts = [(one.words.text[: one.cut], one.words.spaced) for one in fragments]
    pieces = [*_pieces(texts)]
    joined = "".join(pieces)
    end = len(joined.lstrip()) - len(joined)
    for fragment, (text, spaced), piece in zip(fragments, texts, pieces, strict=True):
        end += len(piece)
        yield fragment, end - len(text if spaced else text.rstrip())


def words_of(text: str) -> list[tuple[int, int]]:
    """Return where each word of a text begins and ends; without spaces, a syllable is a word."""
    words = [found.span() for found in _WORD.finditer(text)]
    if not any(map(_is_unspaced, text)):
        return words
    syllables: list[tuple[int, int]] = []
    for begin, end in words:
        edges = [begin, *(at for at in range(begin + 1, end) if _may_end(text, at)), end]
        syllables += pairwise(edges)
    return syllables


def whole_words(text: str, budget: float) -> int | None:
    """Return how many characters the whole words in a budget have; None if the text fits."""
    if budget >= len(text):
        return None
    ends = (end for end in range(int(budget), 0, -1) if _may_end(text, end))
    return next(ends, 0)


def _may_end(text: str, end: int) -> bool:
    """Return whether a word may end before the character at `end`.

    In scripts without spaces, it may end after every syllable: what a reader sees as one letter is
    not taken apart.
    """
    after = text[end]
    if after.isspace():
        return True
    if not _is_unspaced(after) or category(after) in _PARTS_OF_LETTERS:
        return False
    return text[end - 1] not in _JOINED_TO_NEXT


def _is_unspaced(char: str) -> bool:
    """Return whether words of the character's script have no spaces between them."""
    return bisect_right(_UNSPACED, char) % 2 == 1


def _join(parts: Iterable[tuple[str, bool]]) -> str:
    """Join texts with single spaces, except where they contain their own."""
    return "".join(_pieces(parts)).strip()


def _pieces(parts: Iterable[tuple[str, bool]]) -> Iterator[str]:
    """Yield each text with the space that it needs before it."""
    last = " "
    for text, spaced in parts:
        piece = text if spaced else text.strip()
        if piece and not spaced and not last.isspace():
            piece = f" {piece}"
        last = piece[-1:] or last
        yield piece
