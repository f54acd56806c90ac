"""Ways in which a script's call ends, each in a process of its own.

Run as a script it holds one short call and lets the interpreter exit right after the runner. Used
as a module it runs that script against a slow local Roark and tells whether the call arrived whole.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from pipecat_roark import RoarkObserver
from pipecat_roark.local import LocalRoark
from support.calls import Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from aiohttp.typedefs import Handler

ENDS = ("end frame", "cancelled", "cancelled while ending", "SIGINT", "SIGTERM")
TESTS = str(Path(__file__).parents[1])
"""Where a process of its own finds the scripts."""
SLOW_SECS = 0.1
"""How long every request takes, so that there is an ending to disturb."""


def roark(folder: Path, secs: float = SLOW_SECS) -> LocalRoark:
    """Return the slow Roark that the calls go to."""

    @web.middleware
    async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(secs)
        return await handler(request)

    return LocalRoark(folder, middlewares=[slow])


async def hold(call_id: str, end: str) -> None:
    """Hold a short call that ends in one of these ways."""
    roark = RoarkObserver(agent_id="front-desk", pipecat_call_id=call_id)
    call = Call(observers=[roark], after_output=[roark.audio_processor])
    holding = asyncio.current_task()
    assert holding is not None

    async def script(call: Call) -> None:
        await call.bot_says("Hello.", secs=0.2)
        await call.quiet()
        await call.user_says("Goodbye.", secs=0.4)
        # A cancellation overtakes words that are on their way.
        while roark.report().turns[-1].content != "Goodbye.":  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)
        if end == "end frame":
            await call.end()
        elif end == "cancelled":
            await call.task.cancel()
        elif end == "cancelled while ending":
            await call.end()
            await asyncio.sleep(random.uniform(SLOW_SECS, 3 * SLOW_SECS))  # noqa: S311
            holding.cancel()
        else:
            sys.stdout.write("ready\n")
            sys.stdout.flush()

    await call.hold(script, handle_sigint=True, handle_sigterm=True)


async def arrives(local: LocalRoark, call_id: str, end: str, spool_dir: str = "") -> bool:
    """Run one call in a process of its own. Return whether it is at `local`, whole.

    It must also leave in silence: asyncio has no task or future of it to complain of.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scenarios.exits", call_id, end),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ
        | {"PYTHONPATH": TESTS}
        | {"ROARK_BASE_URL": local.url, "ROARK_API_KEY": "key", "ROARK_SPOOL_DIR": spool_dir},
    )
    assert process.stdout is not None
    if end in signal.Signals.__members__:
        await process.stdout.readline()
        process.send_signal(signal.Signals[end])
    _, said = await asyncio.wait_for(process.communicate(), 60)
    call = local.calls.get(call_id)
    if call is None or call.ended is None or not call.complete or b"never retrieved" in said:
        return False
    transcript = [(turn["role"], turn["content"]) for turn in call.ended["transcript"]]
    return transcript == [("assistant", "Hello."), ("user", "Goodbye.")]


async def killed(secs: float, local: LocalRoark, spool_dir: Path, *script: str) -> list[str]:
    """Kill a script of this folder some seconds after its first line.

    Args:
        secs: The seconds.
        local: Where its observer delivers to.
        spool_dir: The observer's spool.
        script: Its name and its arguments.

    Returns:
        The other lines that it has printed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *script),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ
        | {"PYTHONPATH": TESTS}
        | {"ROARK_BASE_URL": local.url, "ROARK_API_KEY": "key", "ROARK_SPOOL_DIR": str(spool_dir)},
    )
    assert process.stdout is not None
    await process.stdout.readline()
    await asyncio.sleep(secs)
    process.kill()
    said = (await process.stdout.read()).decode().splitlines()
    await process.wait()
    return said


async def kill_at_random(
    runs: int, call_secs: float, faults: Callable[[int, float], Awaitable[Iterable[str]]]
) -> int:
    """Kill calls at random moments, two at a time, and print what is wrong with each.

    Args:
        runs: How many calls.
        call_secs: Length of a call.
        faults: Holds and kills the call of a number after some seconds; returns what is wrong.

    Returns:
        With how many nothing is wrong.
    """
    places = asyncio.Semaphore(2)

    async def once(run: int) -> bool:
        secs = random.uniform(0, call_secs)  # noqa: S311
        async with places:
            found = [*await faults(run, secs)]
        for fault in found:
            print(f"killed after {secs:.3f} s: {fault}")
        return not found

    return sum(await asyncio.gather(*map(once, range(runs))))


if __name__ == "__main__":
    asyncio.run(hold(*sys.argv[1:]))
