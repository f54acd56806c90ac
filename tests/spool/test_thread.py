"""The thread works off what it is given, in order."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from pipecat_roark import guard
from pipecat_roark.spool.thread import Thread

if TYPE_CHECKING:
    import pytest


async def test_work_that_was_put_waits_for_what_is_submitted() -> None:
    """Then both are done, in order, and nothing is behind."""
    thread, done = Thread("test"), list[str]()
    thread.put(done.append, "put")
    assert thread.behind == 1
    await asyncio.sleep(0.01)
    assert done == []
    thread.submit(done.append, "submitted")
    assert await thread.caught_up(1)
    assert done == ["put", "submitted"]
    assert thread.behind == 0
    thread.stop()


async def test_whoever_waits_wakes_it() -> None:
    """Work that was only put is done, too."""
    thread, done = Thread("test"), list[str]()
    thread.put(done.append, "put")
    assert await thread.caught_up(1)
    assert done == ["put"]
    assert await thread.caught_up(0)
    thread.stop()


async def test_what_comes_while_it_works_is_one_more_round() -> None:
    """Nothing is left when it has caught up, and it is not woken for each work."""
    thread, done, free = Thread("test"), list[int](), threading.Event()

    def hold() -> None:
        free.wait(1)

    thread.submit(hold)
    for number in range(10):
        thread.submit(done.append, number)
    assert not await thread.caught_up(0.01)
    assert thread.behind == 11
    free.set()
    assert await thread.caught_up(1)
    assert done == [*range(10)]
    thread.stop()


async def test_an_error_costs_only_the_work_that_has_it(
    monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    """It is logged, and the rest is done."""
    monkeypatch.setattr(guard, "RERAISE", False)
    thread, done = Thread("test"), list[str]()

    def fail() -> None:
        raise ValueError

    thread.put(fail)
    thread.submit(done.append, "behind it")
    assert await thread.caught_up(1)
    assert done == ["behind it"]
    assert "ValueError" in warned[0]
    thread.stop()
