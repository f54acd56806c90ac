"""A client that fails as scripted, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.retry import DeliveryError
from support.timing import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

STARTED, ENDED = "call-started", "call-ended"
BUSY = DeliveryError("Roark answered 503")


class ScriptedClient(RoarkClient):
    """A client whose every try meets a fault, with the event's name or the chunk's index."""

    def __init__(self, fault: Callable[[str | int], Awaitable[None]] | None = None) -> None:
        super().__init__("https://roark.test", "key", "call-1")
        self.fault = fault
        self.tries: list[tuple[str | int, bytes]] = []
        self.arrived: list[str | int] = []
        self.in_flight = self.most_in_flight = self.closed = 0
        self.time = VirtualTime()

    async def send_event(self, event: bytes) -> None:
        """Send an event, or fail."""
        await self._meet(event.decode(), event)

    async def upload_chunk(self, index: int, pcm: bytes) -> None:
        """Upload a chunk, or fail."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._meet(index, pcm)
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        """Count how often."""
        self.closed += 1

    async def _meet(self, what: str | int, body: bytes) -> None:
        assert not self.closed
        self.tries.append((what, body))
        if self.fault is not None:
            await self.fault(what)
        self.arrived.append(what)


def failing(error: Exception, *which: str | int, times: int = 1_000_000) -> Any:
    """Fail the first tries of some things, or of everything."""
    tries: Counter[str | int] = Counter()

    async def fault(what: str | int) -> None:
        tries[what] += 1
        if tries[what] <= times and (what in which or not which):
            raise error

    return fault


def hanging(*which: str | int) -> Any:
    """Never answer the tries of some things, or of everything."""

    async def fault(what: str | int) -> None:
        if what in which or not which:
            await asyncio.Event().wait()

    return fault
