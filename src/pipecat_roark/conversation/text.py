"""Text on its way to a turn: how its pieces are joined, and how much of it was heard."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class SpokenText:
    """A text as it came.

    Attributes:
        text: The text.
        spaced: Whether the text contains the spaces before and after it.
        sounds_at: Pipeline time in nanoseconds at which it begins to sound, if that is known.
    """

    text: str
    spaced: bool = False
    sounds_at: int | None = None


@dataclass(slots=True, eq=False)
class Fragment:
    """A text in its place, and how much of it was heard.

    Attributes:
        words: The text.
        number: Its place among all fragments, in the order in which they were made.
        place: How many seconds of audio were made before it.
        released: Whether the output let it pass.
        cut: How many of its characters were heard; None if all of them.
    """

    words: SpokenText
    number: int = 0
    place: float = 0.0
    released: bool = False
    cut: int | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> Fragment:
        return copy(self)

    def repeats(self, other: Fragment) -> bool:
        """Return whether this is the same word at the same moment; some services send it twice."""
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
    """Join texts with single spaces, except where they contain their own."""
    joined: list[str] = []
    for text, spaced in parts:
        if spaced:
            joined.append(text)
        elif text := text.strip():
            apart = joined and not joined[-1][-1:].isspace()
            joined.append(f" {text}" if apart else text)
    return "".join(joined).strip()
