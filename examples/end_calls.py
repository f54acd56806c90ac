"""Ends the calls of a process at SIGTERM, before its server ends: so they arrive whole at Roark.

It is for Pipecat's development runner, and for a web server that runs bots as tasks: the one waits
until the caller hangs up, the other takes the process down at once. In your `bot()`, write
`await run(runner, task)` instead of `await runner.run()`.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pipecat.pipeline.worker import PipelineWorker
    from pipecat.workers.runner import WorkerRunner

tasks: set[PipelineWorker] = set()
"""The calls that run."""
signals: list[tuple[int, FrameType | None]] = []
"""Those that came, until the server gets them."""
handlers: list[Callable[[int, FrameType | None], object]] = []
"""The server's own."""


def stop(number: int, frame: FrameType | None) -> None:
    """Take a signal: cancel the calls, and end the server when they have ended."""
    signals.append((number, frame))
    for task in tasks:
        asyncio.run_coroutine_threadsafe(task.cancel(), asyncio.get_running_loop())
    stop_server()


def stop_server() -> None:
    """Hand the signals on to the server if no call runs any more."""
    while signals and not tasks:
        number, frame = signals.pop()
        for handler in handlers:
            handler(number, frame)


async def run(runner: WorkerRunner, task: PipelineWorker) -> None:
    """Run a call as `runner.run()` does, and end it at SIGTERM.

    Args:
        runner: The call's runner, which has the task already.
        task: The call's task.
    """
    if signal.getsignal(signal.SIGTERM) is not stop:
        before = signal.signal(signal.SIGTERM, stop)
        if callable(before):
            handlers.append(before)
    tasks.add(task)
    try:
        await runner.run()
    finally:
        tasks.discard(task)
        stop_server()
