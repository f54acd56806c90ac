"""Goal 5: how much longer a pipeline takes to end, with an API that answers after 50 ms.

In each call the bot says a sentence; then the pipeline is told to end. The time is from there until
the runner returns, less what a call without an observer takes in the same round.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING

from aiohttp import web

from benchmarks.contenders import make
from benchmarks.rounds import alternate
from benchmarks.table import Row, plain
from support.calls import Call

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from benchmarks.bench import Bench

ROUND_TRIP_SECS = 0.05
LIMIT = 4.0


@web.middleware
async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer after a round trip."""
    await asyncio.sleep(ROUND_TRIP_SECS)
    return await handler(request)


async def ending(name: str) -> float:
    """Hold a call, and return how many seconds it took to end."""
    wiring = await make(name)
    call = Call(wiring.observers, wiring.processors)
    wiring.on_task(call.task)
    told = 0.0

    async def script(call: Call) -> None:
        nonlocal told
        await call.bot_says("Hello.", secs=1)
        await call.quiet()
        await asyncio.sleep(0.2)
        told = time.perf_counter()
        await call.end()

    await call.hold(script)
    return time.perf_counter() - told


async def measure(contenders: list[str], rounds: int) -> dict[str, list[float]]:
    """Return how long endings take, in seconds: by contender and round."""
    await ending(contenders[-1])  # the first one loads modules
    return await alternate(rounds, contenders, ending)


def beyond(found: dict[str, list[float]], name: str) -> float:
    """Return by how much a contender's endings are longer than those without, in round trips."""
    pairs = zip(found[name], found["nothing"], strict=True)
    return median(secs - alone for secs, alone in pairs) / ROUND_TRIP_SECS


async def row(bench: Bench) -> Row:
    """Measure, print the figures by contender, and judge."""
    rounds = bench.pick(1, 5)
    names = ["nothing", "stock", "roark", "spooled"]
    found = await bench.ours("ending", slow, contenders=names, rounds=rounds)
    trips = {name: beyond(found, name) for name in names[1:]}
    peers = await bench.each(
        bench.peer("roark"), "ending", slow, contenders=["nothing", "peer"], rounds=rounds
    )
    trips |= {name: beyond(figures, "roark") for name, figures in peers.items()}
    lines = [(name, f"{figure:.1f}") for name, figure in trips.items()]
    print(plain(("ending beyond the pipeline's own", "round trips"), lines))
    bench.spool[5] = median(found["spooled"]) / median(found["roark"])
    return Row(
        5,
        "Ending beyond the pipeline's own, API at 50 ms: under 4 round trips",
        f"{trips['roark']:.1f}",
        "; ".join(f"{name} {trips[name]:.1f}" for name in ("stock", *peers)),
        trips["roark"] < LIMIT,
    )
