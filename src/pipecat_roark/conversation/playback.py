"""How much of what the assistant is made to say has been heard.

Text leaves the output transport, but that alone proves little. Speech services order their text and
their audio in three ways:

1. *Timed words* carry the moment at which they sound, and were heard from then on.
2. *A text behind its audio* is released once all of its audio was played.
3. *Text ahead of its audio* (services without word times on a websocket, realtime models) is
   released before anybody heard it.

So audio is counted, in seconds, as it is made and as it is played; that tells which span of
audio speaks which text. When speech stops short, a text of the last two kinds is cut at the share
of its span that was played, measured in characters and rounded down to whole words. Speech
varies in speed within a span, so the cut may err by a word or so for a sentence. Where the
length of a span isn't known yet, what was released counts as heard, and nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LIMIT = 512
"""Texts that wait to be played; beyond that, they are never going to be."""
_TAIL_SECS = 0.1
"""Played audio may end short of what was made by a torn chunk; no word fits into that."""
_FIRST_IDEOGRAPH = 0x2E80
"""From this code point on, scripts put no spaces between words."""


@dataclass(frozen=True, slots=True)
class SpokenText:
    """A text as it came.

    Attributes:
        text: The text.
        spaced: Whether it brings the spaces around it along.
        sounds_at: Pipeline time in nanoseconds at which it begins to sound, if somebody tells.
    """

    text: str
    spaced: bool = False
    sounds_at: int | None = None


@dataclass(slots=True, eq=False)
class Fragment:
    """A text in its place, and how much of it was heard.

    Attributes:
        words: The text.
        number: Its place among all fragments, as they were made.
        place: Seconds of audio that had been made before it.
        released: Whether the output let it pass.
        cut: How many of its characters were heard; None if all of them.
    """

    words: SpokenText
    number: int = 0
    place: float = 0.0
    released: bool = False
    cut: int | None = None

    def repeats(self, other: Fragment) -> bool:
        """Whether this is the same word at the same moment; some services send words twice."""
        return self is other or (self.words.sounds_at is not None and self.words == other.words)


def heard(fragments: Iterable[Fragment]) -> str:
    """Join what was heard of fragments."""
    return _join(
        (fragment.words.text[: fragment.cut], fragment.words.spaced) for fragment in fragments
    )


def unheard(fragments: Iterable[Fragment]) -> str:
    """Join what was not heard of fragments."""
    cut = (fragment for fragment in fragments if fragment.cut is not None)
    return _join((fragment.words.text[fragment.cut :], fragment.words.spaced) for fragment in cut)


def _join(parts: Iterable[tuple[str, bool]]) -> str:
    """Join texts with single spaces, except where they bring their own."""
    joined: list[str] = []
    for text, spaced in parts:
        if spaced:
            joined.append(text)
        elif text := text.strip():
            apart = joined and not joined[-1][-1:].isspace()
            joined.append(f" {text}" if apart else text)
    return "".join(joined).strip()


@dataclass(slots=True)
class _SpokenSpan:
    """A span of the audio that is made, and the text that it speaks."""

    begin: float
    end: float | None
    fragments: list[Fragment] = field(default_factory=list)

    def is_over(self, played: float) -> bool:
        """Whether all of it was played and released."""
        return (
            self.end is not None
            and self.end <= played + _TAIL_SECS
            and all(fragment.released for fragment in self.fragments)
        )

    def stop(self, played: float, *, measured: bool) -> None:
        """Mark what was heard of the text when no more than `played` was."""
        share: float | None = None
        if played <= self.begin:
            share = 0.0
        elif self.end is not None:
            length = self.end - self.begin
            share = min(1.0, (played - self.begin) / length) if length else 1.0
        budget = (share or 0.0) * sum(len(fragment.words.text) for fragment in self.fragments)
        for fragment in self.fragments:
            if not fragment.released or (measured and share is not None):
                fragment.cut = _whole_words(fragment.words.text, budget)
            budget -= len(fragment.words.text)


class Playback:
    """The assistant's text and audio on their way from the speech service to the listener."""

    def __init__(self) -> None:
        self._made = self._played = 0.0
        self._measured = False
        self._since = 0.0
        self._spans: deque[_SpokenSpan] = deque(maxlen=_LIMIT)
        self._announced: str | None = None
        self._waiting: dict[int, Fragment] = {}
        self._dropped: dict[int, Fragment] = {}
        self._number = 0
        self._opens = False

    def opened(self) -> None:
        """The service began an utterance."""
        self.closed()
        self._since = self._made
        self._opens = True

    def closed(self) -> None:
        """The service made all of an utterance."""
        if self._spans and self._spans[-1].end is None:
            self._spans[-1].end = self._since = self._made

    def synthesized(self, seconds: float) -> None:
        """Audio was made."""
        self._made += seconds

    def played(self, seconds: float) -> None:
        """Audio was played."""
        self._measured = True
        self._move_to(self._played + seconds)

    def announced(self, text: str) -> None:
        """A text will be spoken; its frame follows, with its audio or behind it."""
        self._announced = text

    def generated(self, key: int, words: SpokenText) -> None:
        """A text was made into speech; under the same key, it may be released later."""
        fragment = self._waiting[key] = self._enter(words)
        if len(self._waiting) > _LIMIT:
            del self._waiting[next(iter(self._waiting))]
        if words.sounds_at is not None:
            return
        last = self._spans[-1] if self._spans else None
        if last and last.end is None:
            last.fragments.append(fragment)
        elif self._made > self._since:
            self._spans.append(_SpokenSpan(self._since, self._made, [fragment]))
            self._since = self._made
        else:
            self._spans.append(_SpokenSpan(self._since, None, [fragment]))

    def released(self, key: int, words: SpokenText) -> Fragment | None:
        """The output let a text pass.

        Returns:
            The fragment, or None if it has a place already: it was thought to have been dropped.
        """
        if dropped := self._dropped.pop(key, None):
            dropped.cut = None
            return None
        fragment = self._waiting.pop(key, None)
        if fragment is None:
            return self._enter(words)
        fragment.released = True
        if words.sounds_at is None:
            # It passed in line with the audio, so this is where the audio is.
            self._move_to(fragment.place)
        return fragment

    def stop(self, at: int, *, keep: bool) -> list[Fragment]:
        """Stop short: what waits to be played is dropped.

        Args:
            at: Pipeline time in nanoseconds.
            keep: Whether the dropped fragments are given a place. One that is played all the
                same, because it can't be interrupted, is then heard there.

        Returns:
            The dropped fragments, marked with what was heard of them.
        """
        for span in self._spans:
            span.stop(self._played, measured=self._measured)
        for fragment in self._waiting.values():
            if (fragment.words.sounds_at or 0) > at:
                fragment.cut = 0
        dropped = [*self._waiting.values()]
        if self._announced:
            dropped.append(Fragment(SpokenText(self._announced), self._number + 1, cut=0))
        if keep:
            self._dropped.update(self._waiting)
            for key in [*self._dropped][:-_LIMIT]:
                del self._dropped[key]
        self._waiting, self._announced = {}, None
        self._spans.clear()
        self._made = self._played = self._since = 0.0
        return dropped

    def _enter(self, words: SpokenText) -> Fragment:
        if self._opens and words.spaced:
            words = replace(words, text=f" {words.text.lstrip()}")
        self._opens, self._announced = False, None
        self._number += 1
        return Fragment(words, self._number, self._made)

    def _move_to(self, played: float) -> None:
        # The output may fill up its last chunk with silence.
        self._played = min(played, self._made)
        while self._spans and self._spans[0].is_over(self._played):
            self._spans.popleft()


def _whole_words(text: str, budget: float) -> int | None:
    """Return how many characters of the words that fit into a budget; None if all do."""
    if budget >= len(text):
        return None
    ends = (
        end
        for end in range(int(budget), 0, -1)
        if text[end].isspace() or ord(text[end]) >= _FIRST_IDEOGRAPH
    )
    return next(ends, 0)
