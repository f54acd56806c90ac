"""Moments: the words that every room shares for who speaks, and when.

Times are pipeline nanoseconds, places in a recording are samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

SECOND = 1_000_000_000
"""One second in nanoseconds."""
MILLISECOND = 1_000_000
"""One millisecond in nanoseconds."""

Speaker: TypeAlias = Literal["user", "bot"]
"""The two parties of a call. Only the report and the wire call the bot `assistant`."""
SPEAKERS: tuple[Speaker, Speaker] = ("user", "bot")
"""In the order of their channels."""
OffsetMs: TypeAlias = Callable[[Speaker, int, bool], int]
"""Returns the place of a speaker's sample in the recording in ms; `True`: as the end of speech."""
Step: TypeAlias = Literal[
    "client ready",
    "model asked",
    "first chunk",
    "found complete",
    "found incomplete",
    "first text",
    "text held back",
    "sentence made",
    "speech asked for",
    "synthesis begun",
    "first audio",
    "first audio of model",
    "interrupted",
]
"""A step on the way to the bot's speech, of which nothing else need be known."""
Frames: TypeAlias = Sequence[tuple[bytes, int]]
"""Consecutive frames: the mono 16-bit PCM of each, and the clock at its arrival."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A moment at which speech begins or ends.

    Attributes:
        at: Pipeline time in nanoseconds.
        index: Index of the sample among those received on the speaker's track, if it is known.
            It takes precedence over `at`.
    """

    at: int
    index: int | None = None


class Places(Protocol):
    """Where moments lie in a recording, in milliseconds."""

    def place_ms(self, at: int) -> int | None:
        """Return the place that is nearest to a pipeline time; None while there is none."""

    def span_ms(self, speaker: Speaker, start: int, end: int) -> tuple[int, int] | None:
        """Return the place of speech between two pipeline times; None if it wasn't recorded."""


class ClockPlaces(NamedTuple):
    """Places in a recording that runs with the pipeline's clock.

    Attributes:
        origin: Pipeline time of sample 0.
    """

    origin: int

    def place_ms(self, at: int) -> int:
        """Return the place that is nearest to a pipeline time."""
        return self._ms(max(at, self.origin))

    def span_ms(self, speaker: Speaker, start: int, end: int) -> tuple[int, int] | None:  # noqa: ARG002
        """Return the place of speech; None if it was over when the recording began."""
        if end < self.origin:
            return None
        return self._ms(max(start, self.origin)), self._ms(end)

    def _ms(self, at: int) -> int:
        return round((at - self.origin) / MILLISECOND)
