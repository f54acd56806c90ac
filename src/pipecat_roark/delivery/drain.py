"""The drain: it delivers the calls of spools again and again, until they are empty or for ever.

The rules:

1. It takes only calls that nobody holds. Others are looked at again in the next round.
2. While Roark is away, no other call is begun, in none of the spools. The wait before the next
   round grows then. One call is tried first in each round, so an outage costs few requests.
3. When it is told to stop, it finishes the calls that it has begun, each within its deadline.
4. Nothing is removed that is not delivered, unless a greatest age was given. Then calls that began
   longer ago are tried once more, and those that Roark still does not take are removed. A warning
   counts them. Calls that somebody holds, calls of other keys and calls that can't be read stay.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from pipecat_roark.delivery.recovery import is_away
from pipecat_roark.spool.folder import age_secs, audio_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pipecat_roark.delivery.recovery import Recovered, Recovery

REPORT_SECS = 60.0
"""How often a line tells what waits."""
AWAY_SECS, AWAY_MAX_SECS = 1.0, 60.0
"""Bounds of the wait after a round in which Roark was away; it doubles each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits in some spools.

    Attributes:
        calls: Calls that wait.
        oldest_secs: How long ago the oldest of them began.
        audio_bytes: Their audio on disk.
        held: Calls that somebody else holds: calls that run, or that another process delivers.
        unreadable: Calls that can't be read.
    """

    calls: int
    oldest_secs: float
    audio_bytes: int
    held: int
    unreadable: int

    def __str__(self) -> str:
        held = f"; {self.held} held by others" if self.held else ""
        bad = f"; {self.unreadable} unreadable" if self.unreadable else ""
        oldest = f", the oldest for {self.oldest_secs / 60:.0f} min" if self.calls else ""
        return f"{self.calls} waiting{oldest}, {self.audio_bytes} bytes{held}{bad}"


class Drain:
    """Delivers the calls of some spools.

    Args:
        recoveries: One for each spool.
        every_secs: Wait between two rounds while Roark takes calls.
        max_age_secs: Calls that began longer ago are removed if Roark does not take them; None
            removes none.
        say: Takes lines for the person who runs this.
        sleep: Waits for a number of seconds.
        jitter: Returns a random number between two bounds.
    """

    def __init__(  # noqa: PLR0913  # keyword-only, each with a default but the first two
        self,
        recoveries: Sequence[Recovery],
        *,
        say: Callable[[str], None],
        every_secs: float = 30.0,
        max_age_secs: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._recoveries = recoveries
        self._say = say
        self._every_secs = every_secs
        self._max_age_secs = max_age_secs
        self._sleep = sleep
        self._jitter = jitter
        self._stopped = asyncio.Event()
        self._away = False
        self._away_secs = AWAY_SECS
        self._held: set[str] = set()
        self._delivered = 0

    def stop(self) -> None:
        """Begin no other call, and end when those that were begun are finished."""
        self._stopped.set()

    async def once(self, show: Callable[[Recovered], None]) -> int:
        """Try each call once, also while Roark is away.

        Args:
            show: Takes what became of each call.

        Returns:
            The exit status: 0 if nothing is left, 1 if something is, 2 if a call can't be read.
        """
        shown = 0

        def count(call: Recovered) -> None:
            nonlocal shown
            shown += 1
            show(call)

        await self._round(count, even_if_away=True)
        if not shown:
            self._say("No call of this API key waits.")
        return await self._status()

    async def watch(self) -> int:
        """Deliver what comes until `stop()`. Return the exit status, as `once` does."""
        return await self._run(until_empty=False)

    async def empty(self, timeout_secs: float | None = None) -> int:
        """Deliver until the spools are empty, `stop()` or the time-out.

        At the time-out, calls that were begun are left as they are; what has arrived is noted.

        Returns:
            The exit status, as `once` does.
        """
        return await self._run(until_empty=True, timeout_secs=timeout_secs)

    async def _run(self, *, until_empty: bool, timeout_secs: float | None = None) -> int:
        work = {self._rounds(until_empty=until_empty), self._report()}
        tasks = {asyncio.ensure_future(part) for part in work}
        if timeout_secs is not None:
            tasks.add(asyncio.ensure_future(self._sleep(timeout_secs)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in done:
            task.result()
        self._say(await self._line())
        return await self._status()

    async def _rounds(self, *, until_empty: bool) -> None:
        while not self._stopped.is_set():
            await self._round()
            waiting = await self._waiting()
            if until_empty and not waiting.calls + waiting.held:
                return
            if not self._away:
                self._away_secs = AWAY_SECS
                await self._pause(self._every_secs)
                continue
            # Half of it is left to chance, so that drains of many machines spread.
            await self._pause(self._jitter(self._away_secs / 2, self._away_secs))
            self._away_secs = min(2 * self._away_secs, AWAY_MAX_SECS)

    async def _round(
        self, show: Callable[[Recovered], None] | None = None, *, even_if_away: bool = False
    ) -> None:
        """Try each call once, until Roark turns out to be away."""
        self._away = False
        held: set[str] = set()

        def enough() -> bool:
            return self._stopped.is_set() or (self._away and not even_if_away)

        async def deliver(recovery: Recovery) -> None:
            async with aclosing(recovery.deliver(enough)) as calls:
                async for call in calls:
                    if self._is_held(call):
                        held.add(call.folder)
                    if show is not None:
                        show(call)

        await asyncio.gather(*map(deliver, self._recoveries))
        self._held = held
        if self._max_age_secs is not None and not self._stopped.is_set():
            await asyncio.to_thread(self._drop, self._max_age_secs)

    def _is_held(self, call: Recovered) -> bool:
        """Take note of what became of a call; return whether somebody holds it."""
        if call.receipt is None:
            return not call.problem
        if is_away(call.receipt):
            self._away = True
        elif not call.receipt.spooled:
            self._delivered += 1
        return False

    def _drop(self, max_age_secs: float) -> None:
        for recovery in self._recoveries:
            calls, size = recovery.drop(max_age_secs)
            if calls:
                logger.warning(
                    f"{calls} calls in the spool {recovery.spool_dir} began more than "
                    f"{max_age_secs:.0f} s ago and are removed. They are not at Roark, or not "
                    f"whole: {size} bytes of their audio are lost."
                )

    async def _pause(self, secs: float) -> None:
        """Wait, but not beyond `stop()`."""
        waits = {
            asyncio.ensure_future(self._sleep(secs)),
            asyncio.ensure_future(self._stopped.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)

    async def _report(self) -> None:
        while True:
            await self._sleep(REPORT_SECS)
            self._say(await self._line())

    async def _line(self) -> str:
        line = f"{self._delivered} delivered, {await self._waiting()}"
        return f"{line}; Roark is away" if self._away else line

    async def _status(self) -> int:
        waiting = await self._waiting()
        if waiting.unreadable:
            return 2
        return 1 if waiting.calls + waiting.held else 0

    async def _waiting(self) -> Waiting:
        return await asyncio.to_thread(self._count)

    def _count(self) -> Waiting:
        found = [(recovery, path) for recovery in self._recoveries for path in recovery.find()]
        readable = [path for recovery, path in found if path.name not in recovery.unreadable]
        free = [path for path in readable if path.name not in self._held]
        return Waiting(
            calls=len(free),
            oldest_secs=max((age_secs(path) or 0.0 for path in free), default=0.0),
            audio_bytes=sum(map(audio_bytes, free)),
            held=len(readable) - len(free),
            unreadable=len(found) - len(readable),
        )
