"""Hands audio that was held to the application's handlers, one part after another."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from pipecat_roark.guard import ErrorBoundary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Publisher:
    """Publishes in the background, in order.

    Args:
        publish: Hands out one part.
    """

    def __init__(self, publish: Callable[[bytes], Awaitable[None]]) -> None:
        self._publish = publish
        self._waiting: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        self._guard = ErrorBoundary("recorder")

    def put(self, pcm: bytes) -> None:
        """Publish a part when those before it are published."""
        self._waiting.append(pcm)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def drain(self, secs: float) -> None:
        """Wait until everything is published, or for some seconds."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=secs)

    async def _run(self) -> None:
        while self._waiting:
            with self._guard:
                await self._publish(self._waiting.popleft())
