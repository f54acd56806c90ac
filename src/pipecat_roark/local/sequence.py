"""The order in which one call's requests may come.

Nothing new comes after call-ended, and what comes twice is the same both times. The real Roark
accepts requests that break this; so do these verbs, and say what was wrong.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from pipecat_roark.local.contract import CALL_ENDED, CALL_STARTED


class Arrival(NamedTuple):
    """Whether something came for the first time, and what is wrong with its coming now."""

    is_first: bool
    problems: tuple[str, ...]


@dataclass(slots=True)
class Arrivals:
    """What has come of one call so far.

    Attributes:
        asked: Index of each chunk that an upload URL was asked for.
        sizes: Bytes of each chunk that came, by index.
    """

    asked: set[int] = field(default_factory=set)
    sizes: dict[int, int] = field(default_factory=dict)
    _digests: dict[str, bytes] = field(default_factory=dict)

    @property
    def started(self) -> bool:
        """Whether call-started came."""
        return CALL_STARTED in self._digests

    def event(self, name: str, raw: bytes) -> Arrival:
        """Take a lifecycle event, in the bytes that it came in."""
        return self._take(name, raw)

    def chunk(self, index: int, data: bytes) -> Arrival:
        """Take a chunk's audio."""
        arrival = self._take(f"chunk {index}", data)
        if arrival.is_first:
            self.sizes[index] = len(data)
        return arrival

    def url_asked(self, index: int) -> tuple[str, ...]:
        """Take the wish for a chunk's upload URL; returns what is wrong with it."""
        self.asked.add(index)
        return self._late(f"chunk {index}: its upload URL was asked for")

    def _take(self, name: str, data: bytes) -> Arrival:
        digest = hashlib.sha256(data).digest()
        earlier = self._digests.get(name)
        if earlier is None:
            problems = self._late(f"{name}: came")
            self._digests[name] = digest
            return Arrival(is_first=True, problems=problems)
        differs = (f"{name}: came again with different bytes",)
        return Arrival(is_first=False, problems=() if earlier == digest else differs)

    def _late(self, what: str) -> tuple[str, ...]:
        return (f"{what} after call-ended",) if CALL_ENDED in self._digests else ()
