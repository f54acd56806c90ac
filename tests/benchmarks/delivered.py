"""Calls that are delivered through faults, each to a Roark of its own."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, TypedDict
from unittest.mock import patch

from benchmarks.contenders import base_url, make
from support.calls import Call

if TYPE_CHECKING:
    from collections.abc import Sequence


class Delivery(TypedDict):
    """A call to hold.

    Attributes:
        url: The base URL of its Roark.
        secs: How long the bot speaks in it.
    """

    url: str
    secs: float


async def hold(name: str, url: str, secs: float) -> None:
    """Hold one call in real time, in which the bot says one sentence."""
    base_url.set(url)
    with patch.dict(os.environ, ROARK_BASE_URL=url):
        wiring = await make(name)
    call = Call(wiring.observers, wiring.processors)

    async def script(call: Call) -> None:
        call.microphone.muted = True
        await call.bot_says("Hello.", secs=secs)
        await asyncio.sleep(secs + 0.5)
        await call.end()

    await call.hold(script)


async def measure(
    contenders: list[str], calls: Sequence[Delivery], at_once: int, linger_secs: float
) -> int:
    """Hold the calls, some at once, the longest first; then live on for a while, as servers do.

    Returns:
        How many of the calls raised an error.
    """
    places = asyncio.Semaphore(at_once)

    async def one(call: Delivery) -> None:
        async with places:
            await hold(contenders[0], **call)

    longest = sorted(calls, key=lambda call: -call["secs"])
    results = await asyncio.gather(*map(one, longest), return_exceptions=True)
    await asyncio.sleep(linger_secs)
    return sum(isinstance(result, BaseException) for result in results)
