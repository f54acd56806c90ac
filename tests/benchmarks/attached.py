"""Goal 2: what it costs to be attached, in CPU time per second of a real call.

The frames of the demo's call are played through a pipeline of 8 processors, as fast as it goes. The
time is that of all threads of the process, from the first frame until the pipeline has ended, with
all uploads.

What a spool adds depends on real time, in which it writes: so it is measured with calls that are
played in real time, some at once. Calls with and without one are held side by side, each kind in a
process of its own: a slow phase of the machine meets both.
"""

from __future__ import annotations

import asyncio
import gc
import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contenders import make
from benchmarks.mix import stored
from benchmarks.replay import PAUSE_MS, play
from benchmarks.rounds import alternate, ratio, warm
from benchmarks.table import Row, plain

if TYPE_CHECKING:
    from benchmarks.bench import Bench

LIMIT = 1.03
FLOORS = {
    "nothing": "no observer",
    "empty": "empty observer",
    "turns": "TurnTrackingObserver",
    "stock": "empty observer + stock recorder",
    "roark": "ours",
    "unsent": "ours, nothing sent",
}


async def measure(
    contenders: list[str],
    rounds: int,
    at_once: int = 0,
    until_ms: int | None = None,
) -> dict[str, list[float]]:
    """Return the CPU time per second of the call, in milliseconds: by contender and round.

    Args:
        contenders: Their names.
        rounds: How often each is measured.
        at_once: How many calls are held at once, in real time; 0 for one, as fast as it goes.
        until_ms: How much of the call is played, if not all of it.
    """
    steps = [step for step in stored() if until_ms is None or step.at_ms <= until_ms]
    secs = (steps[-1].at_ms + PAUSE_MS) / 1000

    async def once(name: str) -> float:
        gc.collect()
        if not at_once:
            return 1000 * await play(await make(name), 1) / secs
        began = time.process_time()
        calls = [play(await make(name), 1, steps=steps, realtime=True) for _ in range(at_once)]
        await asyncio.gather(*calls)
        return 1000 * (time.process_time() - began) / secs / at_once

    warm()
    for name in contenders:  # what is done once in a process belongs to no round
        await play(await make(name), 1)
    return await alternate(rounds, contenders, once)


async def row(bench: Bench) -> Row:
    """Measure, print the figures by contender, and judge."""
    # Many short rounds: what else the machine does meets few of them.
    options = bench.pick({"rounds": 1}, {"rounds": 21})
    found = await bench.ours("attached", contenders=[*FLOORS], **options)
    peers = await bench.each(
        bench.peers,
        "attached",
        contenders=["stock", "peer"],
        **options | {"rounds": bench.pick(1, 12)},
    )
    ratios = {name: ratio(found, key, "stock") for key, name in FLOORS.items()}
    lines = [
        (name, f"{median(found[key]):.1f}", f"{ratios[name]:.2f}") for key, name in FLOORS.items()
    ]
    contender = {peer.name: peer.contender for peer in bench.peers}
    for name, times in peers.items():
        ratios[name] = ratio(times, contender[name], "stock")
        lines.append((name, f"{median(times[contender[name]]):.1f}", f"{ratios[name]:.2f}"))
    print(plain(("CPU per second of call", "ms", "beside stock"), lines))
    live = await asyncio.gather(
        *(
            bench.ours(
                "attached",
                contenders=[name],
                **bench.pick(
                    {"rounds": 1, "at_once": 2, "until_ms": 3000},
                    {"rounds": 9, "at_once": 8, "until_ms": 14_000},
                ),
            )
            for name in ("roark", "spooled")
        )
    )
    bench.spool[2] = ratio(live[0] | live[1], "spooled", "roark")
    print(f"with a spool, in real time: {bench.spool[2]:.2f}x")
    ours = ratios["ours"]
    others = ["empty observer", *peers]
    return Row(
        2,
        "Attached: CPU within 3 % of an empty observer + stock recorder, below every peer",
        f"{ours:.2f}x, {ratios['ours, nothing sent']:.2f}x before sending",
        "; ".join(f"{name} {ratios[name]:.2f}x" for name in others),
        ours <= LIMIT and all(ours < ratios[name] for name in peers),
    )
