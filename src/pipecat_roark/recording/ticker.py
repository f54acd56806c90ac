"""Lets work go on while time passes and nothing else happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Ticker:
    """Does a piece of work at regular intervals, from its start to its stop.

    Args:
        work: Does it; it catches its own errors.
        every_secs: The interval in seconds.
    """

    def __init__(self, work: Callable[[], Awaitable[None]], every_secs: float) -> None:
        self._work = work
        self._every_secs = every_secs
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start, unless it has started."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Stop; nothing stays behind."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_secs)
            await self._work()
