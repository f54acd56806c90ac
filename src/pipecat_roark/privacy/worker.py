"""A thread for an application's own code, which may be slow, hang or fail."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _Job: TypeAlias = "tuple[Callable[[], object], asyncio.Future[object]]"

MOST_THREADS = 4
"""So many pieces of work may hang at the same time; further work fails at once."""
_T = TypeVar("_T")


class Worker:
    """Runs one piece of work at a time in a thread, which never holds up the end of the process.

    Work that takes too long is given up: its thread is left to it, and the next work gets another.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] | None = None
        self._threads: list[threading.Thread] = []

    async def run(self, work: Callable[[], _T], secs: float) -> _T:
        """Run work in the thread.

        Raises:
            TimeoutError: If it takes longer than `secs` seconds, or if too much other work hangs.
            Exception: Whatever the work raises.
        """
        if self._jobs is None:
            self._jobs = self._start()
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._jobs.put((work, done))
        await asyncio.wait([done], timeout=secs)
        if not done.done():
            done.cancel()
            self.close()
            raise TimeoutError
        return done.result()  # type: ignore[return-value]  # what `work` returned

    def close(self) -> None:
        """Let the thread end when its work is done."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None

    def _start(self) -> SimpleQueue[_Job | None]:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= MOST_THREADS:
            raise TimeoutError
        jobs: SimpleQueue[_Job | None] = SimpleQueue()
        thread = threading.Thread(target=_work, args=(jobs,), name="roark-redact", daemon=True)
        thread.start()
        self._threads.append(thread)
        return jobs


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        work, done = job
        result: object = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as raised:  # noqa: BLE001  # even an exit must not end the thread
            error = raised
        with suppress(RuntimeError):  # the event loop may be closed by now
            done.get_loop().call_soon_threadsafe(_settle, done, result, error)


def _settle(done: asyncio.Future[object], result: object, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        done.set_exception(error)
    else:  # a future refuses the one, and the others would end the event loop
        done.set_exception(RuntimeError())
