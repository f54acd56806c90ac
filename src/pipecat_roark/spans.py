"""Spans of time, such as those in which a call is paused.

Pure: times are pipeline nanoseconds and come in as values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Spans:
    """Spans of time, one after another; the last one may still go on."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int | None]] = []

    @property
    def open(self) -> bool:
        """Whether a span goes on."""
        return bool(self._spans) and self._spans[-1][1] is None

    def begin(self, at: int) -> None:
        """Begin a span, unless one goes on."""
        if not self.open:
            self._spans.append((at, None))

    def end(self, at: int) -> None:
        """End the span that goes on, if one does."""
        if self.open:
            begin, _ = self._spans[-1]
            self._spans[-1] = begin, max(begin, at)

    def __iter__(self) -> Iterator[tuple[int, int | None]]:
        """Yield the begin and the end of each span; the end is None while it goes on."""
        return iter(self._spans)

    def within(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Return the parts of the spans that lie between two times, in their order."""
        parts = [
            (max(begin, first), end if last is None else min(end, last))
            for first, last in self._spans
        ]
        return [(first, last) for first, last in parts if first < last]
