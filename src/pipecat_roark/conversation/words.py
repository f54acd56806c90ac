"""Where the words of a turn lie, between the moments at which it is known what was spoken.

A service that gives word times gives a moment for each word. Otherwise it is known when a text
began and ended; the words between share that time by their lengths. The speed of speech varies, so
such a word is somewhere near.

Pure: no I/O; times are pipeline nanoseconds or milliseconds of the recording. A call of hours has
many words, so they are kept as numbers, and made into values when a report asks for them.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

from pipecat_roark.conversation.text import bases, words_of
from pipecat_roark.report import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipecat_roark.conversation.text import Fragment

Anchor: TypeAlias = tuple[int, int, int]
"""A character of a text, when it sounds, and 1 if the service said so of a word there, else 0."""

TIMED_MS = 50
"""How far a word may be off whose time the speech service gave."""
ESTIMATED_MS = 250
"""How far an estimated word may be off at least: a voice has silence before and behind a text."""
BOT_SHARE = 0.15
"""How much more it may be off, as a share of the time in which it must be.

Of 25 texts with many numbers, spoken by eSpeak NG, the worst word was off by 14 % of its text.
"""
USER_SHARE = 0.5
"""The same for a user, who pauses to think, and of whom only the whole turn has a place."""
_LONG = re.compile(r"\d|[.,;:!?](?=\s|$)")
_MORE = 5
"""How many letters longer than it looks a digit takes, and a pause behind a word."""


def anchors(fragments: Iterable[Fragment]) -> array[int]:
    """Return the anchors of what was heard of fragments, three numbers each."""
    kept = array("q")
    for fragment, base in bases(fragments):
        known, words = fragment.anchors, fragment.words
        if not known and words.sounds_at is not None:
            known = (len(words.text) - len(words.text.lstrip()), words.sounds_at, 1)
        if not base:
            kept.extend(known)
        else:
            for char, at, timed in unpacked(known):
                kept.extend((base + char, at, timed))
    return kept


def unpacked(kept: Iterable[int]) -> Iterator[Anchor]:
    """Return anchors that were kept as three numbers each."""
    numbers = iter(kept)
    return zip(numbers, numbers, numbers, strict=True)


def placed(
    text: str, known: Iterable[Anchor], start_ms: int, end_ms: int, *, share: float
) -> tuple[Word, ...]:
    """Return the words of a turn with their places.

    Args:
        text: What was said.
        known: What is known of when, in milliseconds of the recording.
        start_ms: Where the turn starts.
        end_ms: Where it ends.
        share: How far an estimated word may be off, as a share of the time in which it must be.
    """
    spans = words_of(text)
    begins = [begin for begin, _ in spans]
    efforts = _efforts(text, spans, begins)
    starts: list[int] = []
    ends: list[int] = []
    errors: list[int] = []
    length, first, here, since, exact = len(text), 0, 0, start_ms, 0
    for char, at, timed in (*sorted(known), (length, end_ms, 0)):
        last = bisect_left(begins, char, first)
        # A text that was cut off would have ended later, behind what was heard of it.
        until = max(since, at if char > length else min(at, end_ms))
        if last == first + 1 and char <= length:
            starts.append(since)
            ends.append(until)
            error_ms = ESTIMATED_MS + round(share * (until - since))
            errors.append(TIMED_MS if exact and begins[first] == here else error_ms)
        elif last > first:
            done, span_ms = efforts[first], until - since
            effort = efforts[last] - done + max(0, char - length)
            stops = [since + span_ms * (one - done) // effort for one in efforts[first : last + 1]]
            starts += stops[:-1]
            ends += stops[1:]
            error_ms = ESTIMATED_MS + round(share * span_ms)
            errors.append(TIMED_MS if exact and begins[first] == here else error_ms)
            errors += [error_ms] * (last - first - 1)
        first, here, since, exact = last, char, until, timed
    if starts and max(ends) > end_ms:
        starts, ends = ([min(one, end_ms) for one in side] for side in (starts, ends))
    texts = [text[begin:end] for begin, end in spans]
    return tuple(map(Word, texts, starts, ends, errors))


def _efforts(text: str, spans: Sequence[tuple[int, int]], begins: list[int]) -> list[int]:
    """Return how long it takes to speak the first words, for each number of them, in letters."""
    efforts = [end - begin + 1 for begin, end in spans]
    for found in _LONG.finditer(text):
        efforts[bisect_right(begins, found.start()) - 1] += _MORE
    return [0, *accumulate(efforts)]
