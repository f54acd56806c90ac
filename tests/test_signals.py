"""Signals that ask the command to stop."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from pipecat_roark.signals import stopped_by_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_asks_and_the_second_ends(number: signal.Signals) -> None:
    """The handler from before is there again after the first, and after the block."""
    stopped, ended = asyncio.Event(), list[int]()
    before = signal.signal(number, lambda which, _: ended.append(which))
    try:
        with stopped_by_signals(stopped.set):
            os.kill(os.getpid(), number)
            await asyncio.wait_for(stopped.wait(), 10)
            assert ended == []
            os.kill(os.getpid(), number)
            assert ended == [number]
        os.kill(os.getpid(), number)
        assert ended == [number, number]
    finally:
        signal.signal(number, before)


async def test_another_thread_is_not_stopped() -> None:
    """Only the main thread has signals; elsewhere the block just runs."""

    async def run() -> str:
        with stopped_by_signals(lambda: None):
            return "ran"

    assert await asyncio.to_thread(asyncio.run, run()) == "ran"
