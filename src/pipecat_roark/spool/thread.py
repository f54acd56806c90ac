"""A thread of one call's own that works off what it is given, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec

from pipecat_roark.guard import ErrorBoundary

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")


class Thread:
    """The thread; it starts with the first work.

    Waking a thread costs more than most of its work, and so does waking the event loop. Therefore
    one wake-up is enough for all work that waits, and the event loop isn't told when it is done.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._guard = ErrorBoundary("spool")
        self._backlog: deque[Callable[[], None]] = deque()
        self._woken = False
        self._round: Future[None] = Future()

    @property
    def behind(self) -> int:
        """How much of the work is not done."""
        return len(self._backlog)

    def put(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have some work done with what is submitted next, before that."""
        self._backlog.append(partial(work, *args, **kwargs))

    def submit(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have some work done, after everything that was put or submitted before."""
        self.put(work, *args, **kwargs)
        self._wake()

    async def caught_up(self, secs: float) -> bool:
        """Wait until all work is done, for some seconds. Return whether it is."""
        if not self.behind:
            return True
        self._wake()
        done, _ = await asyncio.wait({asyncio.wrap_future(self._round)}, timeout=secs)
        return bool(done)

    def stop(self) -> None:
        """Stop when all work is done; nothing more may be submitted."""
        self._executor.shutdown(wait=False)

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._round = self._executor.submit(self._work_off)

    def _work_off(self) -> None:
        self._woken = False  # first: what comes from now on may be too late for this round
        while self._backlog:
            try:
                with self._guard:
                    self._backlog[0]()
            finally:
                self._backlog.popleft()
