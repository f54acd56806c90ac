"""The tasks of one delivery: they are waited for together, and cancelled together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

_CANCEL_SECS = 0.1
"""How long a cancelled task may take before it is cancelled again."""


class Tasks:
    """Holds the tasks that run.

    Args:
        clock: Returns the time in seconds.
        sleep: Waits for a number of seconds.
    """

    def __init__(
        self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def wait_until(self, end: float) -> None:
        """Wait for all tasks, but no longer than until a time of the clock."""
        alarm = asyncio.ensure_future(self._sleep(end - self._clock()))
        try:
            while self._running and not alarm.done():
                both = {*self._running, alarm}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            await asyncio.wait({alarm})

    async def cancel(self) -> None:
        """Cancel all tasks, and wait until they are done."""
        while self._running:
            for task in self._running:
                task.cancel()
            # Repeated if need be: `wait_for` of Python 3.11 and older can swallow a cancellation.
            await self.wait_until(self._clock() + _CANCEL_SECS)
