"""In steady time, only what waits takes time."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import datetime, timezone
from typing import Any

import pytest

from support.at_once import apart
from support.steady import steady_time, work

LONG_SECS = 0.2
SOON_SECS = 0.02


def real_secs() -> float:
    """Return the seconds that have really passed."""
    return datetime.now(timezone.utc).timestamp()


async def test_work_takes_no_time() -> None:
    """However long it takes on this machine; what was due meanwhile is not late."""
    clocks = (time.monotonic, time.perf_counter, time.time)
    before = [clock() for clock in clocks]
    due = asyncio.create_task(asyncio.sleep(SOON_SECS))
    await asyncio.sleep(0)
    work(LONG_SECS)
    await due
    assert [clock() - then for clock, then in zip(clocks, before, strict=True)] == [
        pytest.approx(SOON_SECS, abs=0.005)
    ] * len(clocks)


def test_a_loop_that_wakes_late_is_not_late() -> None:
    """No machine lets it wait for longer than it asked."""

    async def wakes_late() -> float:
        selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # noqa: SLF001
        select = selector.select

        def late(secs: float | None) -> object:
            work(LONG_SECS)
            return select(secs)

        selector.select = late
        async with steady_time():
            began = time.monotonic()
            await asyncio.sleep(SOON_SECS)
            return time.monotonic() - began

    assert asyncio.run(wakes_late()) == pytest.approx(SOON_SECS, abs=0.005)


async def test_a_reply_takes_its_time() -> None:
    """What the loop waits for without a limit, and what it blocks for on purpose."""
    began, replied = time.monotonic(), asyncio.Event()
    loop = asyncio.get_running_loop()
    reply = threading.Timer(LONG_SECS, loop.call_soon_threadsafe, [replied.set])
    reply.start()
    await replied.wait()
    assert time.monotonic() - began >= LONG_SECS / 2
    began = time.monotonic()
    time.sleep(SOON_SECS)  # noqa: ASYNC251  # this is tested
    assert time.monotonic() - began == pytest.approx(SOON_SECS, abs=0.005)


async def test_work_that_does_not_end_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at the clock, and would wait for ever."""
    monkeypatch.setattr("support.steady._BLOCKED_NS", 50_000_000)
    until = time.monotonic() + SOON_SECS
    while time.monotonic() < until:
        work(0.001)


async def test_event_loops_have_one_time() -> None:
    """It stands still while one of them works, and goes on while one blocks on purpose."""

    async def waits() -> float:
        await asyncio.sleep(SOON_SECS)
        return time.monotonic()

    began, elsewhere = time.monotonic(), asyncio.create_task(apart(waits()))
    while not elsewhere.done():
        work(LONG_SECS)
        await asyncio.sleep(0)
    assert await elsewhere - began == pytest.approx(SOON_SECS, abs=0.01)
    began, elsewhere = time.monotonic(), asyncio.create_task(apart(waits()))
    await asyncio.sleep(0)
    time.sleep(LONG_SECS)  # noqa: ASYNC251  # this is tested
    assert await elsewhere - began == pytest.approx(SOON_SECS, abs=0.01)
    assert time.monotonic() - began == pytest.approx(LONG_SECS, abs=0.01)


def test_it_ends() -> None:
    """Outside, clocks are those of the machine."""

    async def busy() -> None:
        async with steady_time():
            work(LONG_SECS)
            async with steady_time():
                work(LONG_SECS)
            assert time.monotonic() - real_secs() <= ahead - LONG_SECS

    ahead = time.monotonic() - real_secs()
    asyncio.run(busy())
    assert time.monotonic() - real_secs() == pytest.approx(ahead, abs=0.01)
