"""Time that costs none: a clock and a sleep for code that is handed both."""

from __future__ import annotations

import asyncio

IDLE_ROUNDS = 50
"""Turns of the event loop in which nothing may happen before time moves on."""


class VirtualTime:
    """A clock that stands still while there is work, and jumps when everybody sleeps."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: list[float] = []
        self._moves = 0

    def clock(self) -> float:
        """Return the time in seconds."""
        return self._now

    async def sleep(self, secs: float) -> None:
        """Wait until no task has anything to do and no other sleeper is due earlier."""
        due = self._now + max(secs, 0.0)
        self._due.append(due)
        self._moves += 1
        try:
            await self._idle()
            while due > min(self._due):
                await self._idle()
        finally:
            self._due.remove(due)
        self._now = due
        self._moves += 1

    async def _idle(self) -> None:
        moves, rounds = self._moves, 0
        while rounds < IDLE_ROUNDS:
            await asyncio.sleep(0)
            moves, rounds = self._moves, rounds + 1 if moves == self._moves else 0
