"""Calls in real time, on a machine that may be busy with other things."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

TRIES = 20
STALL_SECS = 0.06
"""A machine that stands still for longer disturbs a recording: frames come in a burst."""
_TICK_SECS = 0.01
_T = TypeVar("_T")


@asynccontextmanager
async def stalls(secs: float = STALL_SECS) -> AsyncIterator[list[float]]:
    """Note for how long the event loop stands still, each time that it does so for some time."""
    loop, late = asyncio.get_running_loop(), list[float]()

    async def watch() -> None:
        while True:
            due = loop.time() + _TICK_SECS
            await asyncio.sleep(_TICK_SECS)
            if loop.time() - due >= secs:
                late.append(loop.time() - due)

    watching = asyncio.create_task(watch())
    try:
        yield late
        await asyncio.sleep(2 * _TICK_SECS)  # or the last one would not be noted
    finally:
        watching.cancel()


async def calmly(
    hold: Callable[[], Awaitable[_T]], stall_secs: float = STALL_SECS, *, own: int = 0
) -> _T:
    """Hold a call; if the machine stood still meanwhile, hold another one.

    Args:
        hold: Holds a call, and returns what is to be checked.
        stall_secs: For how long the event loop may stand still.
        own: How often the call itself lets it stand still for longer.
    """
    for _ in range(TRIES):
        async with stalls(stall_secs) as late:
            held = await hold()
        if len(late) <= own:
            return held
    pytest.fail(f"the machine stands still in every call, at last for {late[-1]:.2f} s")
