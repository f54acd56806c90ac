"""Signals that ask the command to stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call a function at the first SIGTERM or SIGINT while a block runs; the second ends it.

    asyncio's own handlers don't exist on Windows. Those of Python do, also for Ctrl-C there, but in
    the main thread alone: in another one, a block is not stopped.

    Args:
        stop: Called in the event loop that runs.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def take(*_: object) -> None:
        restore()
        loop.call_soon_threadsafe(stop)

    with suppress(ValueError):
        for number in before:
            signal.signal(number, take)
    try:
        yield
    finally:
        with suppress(ValueError):
            restore()
