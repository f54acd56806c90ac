"""What the turns of both speakers have, while they can still change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pipecat_roark.moments import SECOND, Edge

if TYPE_CHECKING:
    from pipecat_roark.moments import Speaker

RESUME_NS = 3 * SECOND // 2
"""A speaker who pauses for no longer than this continues the same turn."""


@dataclass(slots=True, eq=False)
class SpeakerTurn:
    """A turn of a speaker.

    Attributes:
        start: Where its speech begins.
        end: Where its speech ends; None while that is unknown.
    """

    role: ClassVar[Speaker]
    start: Edge
    end: Edge | None = None

    @property
    def earliest(self) -> int:
        """The earliest time at which its speech can have begun."""
        return self.start.at

    @property
    def last(self) -> Edge:
        """The latest known moment of the turn."""
        return self.end or self.start

    def end_by(self, at: int) -> None:
        """End the turn at `at`, unless its end is known."""
        self.end = self.end or Edge(at)
