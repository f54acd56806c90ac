"""Where the words of a turn lie, between the moments of which it is known what was spoken.

A service that gives word times makes a moment of each word. Otherwise it is known when a text began
and ended; the words between share that time by their lengths. The speed of speech varies, so such a
word is somewhere near.

Pure: no I/O; times are pipeline nanoseconds or milliseconds of the recording.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

from pipecat_roark.conversation.text import bases, words_of
from pipecat_roark.report import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipecat_roark.conversation.text import Fragment

TIMED_MS = 50
"""How far a word may be off whose time the speech service gave."""
ESTIMATED_MS = 250
"""How far an estimated word may be off at least: a voice has silence before and behind a text."""
ESTIMATED_SHARE = 0.15
"""How much more it may be off, as a share of the time in which it must be."""
_FIELDS = 3


class Anchor(NamedTuple):
    """A moment of which it is known what was spoken.

    Attributes:
        char: Character of the text that sounds then.
        at: The moment.
        timed: Whether the speech service said so, of a word that begins there.
    """

    char: int
    at: int
    timed: bool


def anchors(fragments: Iterable[Fragment]) -> array[int]:
    """Return the anchors of what was heard of fragments, three numbers each, to be kept small."""
    kept = array("q")
    for fragment, base in bases(fragments):
        known, text = fragment.anchors, fragment.words.text
        if not known and fragment.words.sounds_at is not None:
            known = (len(text) - len(text.lstrip()), fragment.words.sounds_at, True)
        for anchor in unpacked(known):
            kept.extend((base + anchor.char, anchor.at, anchor.timed))
    return kept


def unpacked(kept: Sequence[int]) -> Iterator[Anchor]:
    """Yield anchors that were kept as three numbers each."""
    for place in range(0, len(kept), _FIELDS):
        char, at, timed = kept[place : place + _FIELDS]
        yield Anchor(char, at, bool(timed))


def placed(
    text: str, known: Iterable[Anchor], start_ms: int, end_ms: int
) -> tuple[Word, ...]:
    """Return the words of a turn with their places.

    Args:
        text: What was said.
        known: What is known of when, in milliseconds of the recording.
        start_ms: Where the turn starts.
        end_ms: Where it ends.
    """
    stops = [*_in_order(known, len(text), start_ms, end_ms)]
    words: list[Word] = []
    number, (begin, begin_ms, timed), (end, until_ms, _) = 0, stops[0], stops[1]
    for first, last in words_of(text):
        while first >= end and number < len(stops) - 2:  # noqa: PLR2004  # the last two stay
            number += 1
            (begin, begin_ms, timed), (end, until_ms, _) = stops[number], stops[number + 1]
        length, span_ms = max(1, end - begin), until_ms - begin_ms
        exact = timed and first == begin
        error_ms = TIMED_MS if exact else ESTIMATED_MS + round(ESTIMATED_SHARE * span_ms)
        word_ms = min(end_ms, begin_ms + span_ms * (first - begin) // length)
        over_ms = min(end_ms, begin_ms + span_ms * (min(last, end) - begin) // length)
        words.append(Word(text[first:last], word_ms, over_ms, error_ms))
    return tuple(words)


def _in_order(
    known: Iterable[Anchor], length: int, start_ms: int, end_ms: int
) -> Iterator[Anchor]:
    """Yield anchors from the start of a turn to its end or beyond, in order of text and time."""
    before = Anchor(0, start_ms, timed=False)
    found = sorted(known)
    if not found or found[0].char > 0:
        yield before
    for anchor in found:
        # A text that was cut off would have ended later, behind what was heard of it.
        latest = end_ms if anchor.char <= length else anchor.at
        at = max(before.at, min(anchor.at, latest))
        before = anchor._replace(at=at)
        yield before
    yield Anchor(max(length, before.char), max(before.at, end_ms), timed=False)
