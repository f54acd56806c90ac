"""The sequence in which one call's requests come.

Nothing new may come after call-ended, and what is sent again must be the same as before. The real
Roark accepts requests that break these rules. So does the local one, and it reports the problem.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from pipecat_roark.local.contract import CALL_ENDED, CALL_STARTED


class Step(NamedTuple):
    """One request of a call.

    Attributes:
        is_first: Whether the same event or chunk has not come before.
        problems: What is wrong with its coming now, a sentence each.
    """

    is_first: bool
    problems: tuple[str, ...]


@dataclass(slots=True)
class RequestSequence:
    """The requests that have come for one call so far.

    Attributes:
        requested: Index of each chunk for which an upload URL was requested.
        sizes: Size in bytes of each chunk that has come, by its index.
    """

    requested: set[int] = field(default_factory=set)
    sizes: dict[int, int] = field(default_factory=dict)
    _digests: dict[str, bytes] = field(default_factory=dict)

    @property
    def started(self) -> bool:
        """Whether call-started has come."""
        return CALL_STARTED in self._digests

    def add_event(self, kind: str, raw: bytes) -> Step:
        """Add a lifecycle event, given as the bytes of its body."""
        return self._add(kind, raw)

    def add_chunk(self, index: int, data: bytes) -> Step:
        """Add the audio of a chunk."""
        step = self._add(f"chunk {index}", data)
        if step.is_first:
            self.sizes[index] = len(data)
        return step

    def add_url_request(self, index: int) -> tuple[str, ...]:
        """Add a request for a chunk's upload URL, and return what is wrong with it."""
        self.requested.add(index)
        return self._problems_after_end(f"chunk {index}: its upload URL was asked for")

    def _add(self, name: str, data: bytes) -> Step:
        digest = hashlib.sha256(data).digest()
        earlier = self._digests.get(name)
        if earlier is None:
            problems = self._problems_after_end(f"{name}: came")
            self._digests[name] = digest
            return Step(is_first=True, problems=problems)
        differs = (f"{name}: came again with different bytes",)
        return Step(is_first=False, problems=() if earlier == digest else differs)

    def _problems_after_end(self, what: str) -> tuple[str, ...]:
        return (f"{what} after call-ended",) if CALL_ENDED in self._digests else ()
