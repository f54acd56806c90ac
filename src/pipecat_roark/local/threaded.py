"""A local Roark in a thread of its own, for tests of any kind, with faults in one line each."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from pipecat_roark.local.finished import read_finished
from pipecat_roark.local.server import LocalRoark

if TYPE_CHECKING:
    import os
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Any

    from aiohttp.typedefs import Handler
    from typing_extensions import Self

    from pipecat_roark.local.finished import FinishedCall
    from pipecat_roark.local.store import StoredCall

T = TypeVar("T")

_WIRE = ("/v1/", "/upload/")
"""What a bot asks for; the page has no faults."""


@dataclass(slots=True)
class _Fault:
    """What happens to the next requests: a delay, then an answer instead of the real one."""

    times: float
    delay_secs: float = 0.0
    status: int | None = None


class ThreadedRoark:
    """A local Roark that runs beside a test: one that is sync, or async, or starts processes.

    Example:
        async def test_the_bot_survives_an_outage(local_roark: ThreadedRoark) -> None:
            local_roark.fail(503)
            await hold_a_call()
            assert local_roark.call().turns[0].content == "Welcome."
    """

    def __init__(self, folder: str | os.PathLike[str], *, port: int = 0) -> None:
        """Describe the server; `start` opens its port.

        Args:
            folder: Where each call gets a folder of its own.
            port: Port to listen on. 0 lets the system choose one.
        """
        self._roark = LocalRoark(
            folder, port=port, middlewares=[self._fault], on_event=self._note_event
        )
        self._faults: list[_Fault] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._has_ended = threading.Event()

    @property
    def url(self) -> str:
        """Base URL of the server, for `ROARK_BASE_URL`."""
        return self._roark.url

    @property
    def calls(self) -> dict[str, StoredCall]:
        """Each call by its `pipecatCallId`, whether it has ended or not."""
        return dict(self._roark.calls)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with requests, of all calls and of none, a sentence each."""
        return (*self._roark.problems, *(p for call in self.calls.values() for p in call.problems))

    def start(self) -> None:
        """Open the port.

        Raises:
            OSError: The server can't listen on the port.
        """
        self._thread.start()
        try:
            self._run(self._roark.start())
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """Close the port, and end the thread."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        """Open the port."""
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the port, and end the thread."""
        self.stop()

    def call(self, timeout: float = 10) -> FinishedCall:
        """Wait for the end of the one call, and return it.

        It blocks; the library delivers a call before `runner.run()` returns, so afterwards there
        is nothing to wait for.

        Args:
            timeout: Longest wait in seconds.

        Raises:
            TimeoutError: No call has ended in time. The text lists the problems so far.
            ValueError: There are several calls.
        """
        if not self._has_ended.wait(timeout):
            problems = "; ".join(self.problems) or "none"
            raise TimeoutError(f"no call has ended within {timeout} s; problems: {problems}")
        if len(self.calls) > 1:
            raise ValueError(f"there are {len(self.calls)} calls; look at `calls`")
        (call_id,) = self.calls
        return read_finished(self._run(self._roark.wait_for_end(call_id, timeout)))

    def fail(self, status: int = 503, *, times: int = 1) -> None:
        """Answer the next requests with an error.

        Args:
            status: HTTP status of the answers.
            times: How many requests get it.
        """
        self._faults.append(_Fault(times, status=status))

    def slow(self, secs: float, *, times: float = float("inf")) -> None:
        """Answer the next requests late.

        Args:
            secs: How late, in seconds.
            times: How many requests are answered late; by default all that come.
        """
        self._faults.append(_Fault(times, delay_secs=secs))

    def gone(self, secs: float) -> None:
        """Refuse connections from now on, for so many seconds."""
        self._run(self._roark.stop())
        asyncio.run_coroutine_threadsafe(self._come_back(secs), self._loop)

    async def _come_back(self, secs: float) -> None:
        await asyncio.sleep(secs)
        await self._roark.start()

    async def _close(self) -> None:
        # What still waits, such as a slow answer or the return of the server, is given up.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._roark.stop()
        await self._loop.shutdown_default_executor()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _note_event(self, _kind: str, call: StoredCall) -> None:
        if call.ended is not None:
            self._has_ended.set()

    @web.middleware
    async def _fault(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._faults and request.path.startswith(_WIRE):
            fault = self._faults[0]
            fault.times -= 1
            if fault.times <= 0:
                del self._faults[0]
            await asyncio.sleep(fault.delay_secs)
            if fault.status is not None:
                return web.Response(status=fault.status)
        return await handler(request)
