"""A thread of one call's own that works off what it is given, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

P = ParamSpec("P")


class Thread:
    """The thread; it starts with the first work.

    The event loop isn't told when work is done, because waking it costs more than the work.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._backlog: deque[Future[None]] = deque()

    @property
    def behind(self) -> int:
        """How much of the work is not done."""
        while self._backlog and self._backlog[0].done():
            self._backlog.popleft()
        return len(self._backlog)

    def submit(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have some work done, after everything that was submitted before."""
        self._backlog.append(self._executor.submit(work, *args, **kwargs))

    async def caught_up(self, secs: float) -> bool:
        """Wait until all work is done, for some seconds. Return whether it is."""
        if not self.behind:
            return True
        done, _ = await asyncio.wait({asyncio.wrap_future(self._backlog[-1])}, timeout=secs)
        return bool(done)

    def stop(self) -> None:
        """Stop when all work is done; nothing more may be submitted."""
        self._executor.shutdown(wait=False)
