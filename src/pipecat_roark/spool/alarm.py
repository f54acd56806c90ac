"""Wakes a task when something is due, or when something comes up before."""

from __future__ import annotations

import asyncio


class Alarm:
    """One task waits for it. A waiting task costs a timer, and no task of its own.

    Attributes:
        rung: Whether it has rung since it was reset.
    """

    def __init__(self) -> None:
        self.rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake whoever waits, or will."""
        self.rung = True
        self._wake()

    def reset(self) -> None:
        """Let the next one wait again."""
        self.rung = False

    async def wait(self, until: float) -> None:
        """Wait until a time of the event loop's clock, or until it rings, if it has not rung."""
        if self.rung:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_at(until, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
