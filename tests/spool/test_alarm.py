"""An alarm wakes the task that waits for it."""

from __future__ import annotations

import asyncio

from pipecat_roark.spool.alarm import Alarm

FAR = 3600.0


async def test_it_rings_when_the_time_has_come() -> None:
    """Nothing came up before."""
    alarm, loop = Alarm(), asyncio.get_running_loop()
    until = loop.time() + 0.01
    await alarm.wait(until)
    assert loop.time() > until - 0.001
    assert not alarm.rung


async def test_it_wakes_whoever_waits() -> None:
    """Once rung, nobody waits until it is reset."""
    alarm, until = Alarm(), asyncio.get_running_loop().time() + FAR
    waiting = asyncio.create_task(alarm.wait(until))
    await asyncio.sleep(0)
    alarm.ring()
    alarm.ring()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(alarm.wait(until), 1)
    alarm.reset()
    waiting = asyncio.create_task(alarm.wait(until))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    waiting.cancel()


async def test_it_may_ring_for_nobody() -> None:
    """The next one who comes does not wait."""
    alarm = Alarm()
    alarm.ring()
    await asyncio.wait_for(alarm.wait(asyncio.get_running_loop().time() + FAR), 1)
    assert alarm.rung
