"""Consent: whether anything of a call may leave at all."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING

from pipecat_roark.receipt import Cause

if TYPE_CHECKING:
    from pipecat_roark.receipt import Reason

_REASON: Reason = "no-consent"


class _State(Enum):
    """What was decided; the first decision counts."""

    OPEN = auto()
    GIVEN = auto()
    REFUSED = auto()


class Consent:
    """Whether somebody consented to a call being captured.

    Args:
        required: Whether anybody must; otherwise consent is given from the beginning.
    """

    def __init__(self, *, required: bool) -> None:
        self._state = _State.OPEN
        self._decided = asyncio.Event()
        if not required:
            self.give()

    @property
    def given(self) -> bool:
        """Whether it was given."""
        return self._state is _State.GIVEN

    @property
    def refused(self) -> bool:
        """Whether it was refused."""
        return self._state is _State.REFUSED

    @property
    def missing(self) -> Cause:
        """Why the call is discarded, if it was not given."""
        return Cause("consent was refused" if self.refused else "nobody consented", _REASON)

    def give(self) -> bool:
        """Give it; return whether that decided it."""
        return self._decide(_State.GIVEN)

    def refuse(self) -> bool:
        """Refuse it; return whether that decided it."""
        return self._decide(_State.REFUSED)

    async def wait(self) -> bool:
        """Wait for the decision; return whether it was given."""
        await self._decided.wait()
        return self.given

    def _decide(self, state: _State) -> bool:
        if self._state is not _State.OPEN:
            return False
        self._state = state
        self._decided.set()
        return True
