"""Goal 6: memory over an hour of one call, for 50 calls at once, and over 1,000 calls in a row.

The hour is the demo's call, again and again, on the pipeline's clock; so are the calls in a row,
each with a few seconds of it. The calls at once are held in real time. Each figure is what the
process has resident beyond one without an observer. What a process needs only once is left out: the
first third of the hour and of the calls in a row, and two calls before those at once.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import make
from benchmarks.mix import stored
from benchmarks.replay import PAUSE_MS, play
from benchmarks.table import Row, plain
from support.calls import IN_RATE, Call, tone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.bench import Bench

KIB, MIB = 1024, 1024**2
FLAT_MIB, CALL_MIB, GROWTH_KIB = 2.0, 1.5, 1.0
LEAST_MIB = 0.1
"""Differences below this are no figure: memory comes in pages."""
NAMES = ("nothing", "roark", "spooled")
SLICE = slice(300, 500)
"""Steps of the demo's call that make a short one: the caller asks and the bot answers."""


def resident() -> int:
    """Return how much memory of the process is resident, in bytes; where unknown, its most."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else KIB)


async def hour(name: str, secs: int) -> float:
    """Return by how much memory grows after the first third of one long call, in MiB."""
    wiring, sizes = await make(name), [0]

    async def after() -> None:
        sizes.append(resident())
        receipt = getattr(wiring.observers[0], "receipt", None) if wiring.observers else None
        while receipt is not None and receipt.chunks.delivered < receipt.chunks.captured:
            await asyncio.sleep(0.01)  # a call in real time has time to upload
            receipt = wiring.observers[0].receipt  # type: ignore[attr-defined]

    repeats = max(3, round(1000 * secs / (stored()[-1].at_ms + PAUSE_MS)))
    await play(wiring, repeats, after=after)
    return (sizes[-1] - sizes[repeats // 3]) / MIB


async def at_once(name: str, calls: int, secs: float) -> float:
    """Return how much memory each of some calls needs while all of them are held, in MiB."""
    speech = tone(secs, IN_RATE)

    async def hold(size: int) -> int:
        found = 0

        async def talk(call: Call) -> None:
            nonlocal found
            call.microphone.speech = speech
            await call.bot_says("Hello.", secs=secs)
            await asyncio.sleep(secs - 0.5)
            found = found or resident()  # of the first call to come here: all are still held
            await call.end()

        wirings = [await make(name) for _ in range(size)]
        held = [Call(wiring.observers, wiring.processors) for wiring in wirings]
        await asyncio.gather(*(call.hold(talk) for call in held))
        return found

    await hold(2)
    before = resident()
    return (await hold(calls) - before) / MIB / calls


async def in_a_row(name: str, calls: int) -> float:
    """Return by how much memory grows with each call after the first third, in KiB.

    It is the median of the growths of a few calls each: an allocator that takes a megabyte once is
    no growth, and a leak shows in all of them.
    """
    steps, few = stored()[SLICE], max(1, calls // 30)
    sizes = []
    for number in range(calls):
        if number >= calls // 3 and number % few == 0:
            sizes.append(resident())
        await play(await make(name), 1, steps=steps, settle_secs=0)
    return median(after - before for before, after in pairwise(sizes)) / KIB / few


MEASURES: dict[str, Callable[..., Awaitable[float]]] = {
    "hour": hour,
    "at_once": at_once,
    "in_a_row": in_a_row,
}


async def measure(contenders: list[str], what: str, **options: Any) -> float:
    """Return one of the figures of one contender, from a process that has done nothing else."""
    return await MEASURES[what](contenders[0], **options)


async def row(bench: Bench) -> Row:
    """Measure, print the figures by contender, and judge."""
    options: dict[str, dict[str, Any]] = bench.pick(
        {"hour": {"secs": 60}, "at_once": {"calls": 5, "secs": 2}, "in_a_row": {"calls": 9}},
        {"hour": {"secs": 3600}, "at_once": {"calls": 50, "secs": 8}, "in_a_row": {"calls": 1000}},
    )
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    for what, given in options.items():
        # Calls in real time get the machine for themselves.
        places = asyncio.Semaphore(1 if what == "at_once" and not bench.short else 2)

        async def one(
            name: str, what: str = what, given: Any = given, places: Any = places
        ) -> None:
            async with places:
                figure = await bench.ours("memory", contenders=[name], what=what, **given)
            found[name].append(figure)

        await asyncio.gather(*map(one, NAMES))
    header = ("memory", "an hour, MiB", "a call at once, MiB", "a call in a row, KiB")
    print(plain(header, [(name, *map("{:.2f}".format, it)) for name, it in found.items()]))
    beyond = {
        name: [mib - alone for mib, alone in zip(found[name], found["nothing"], strict=True)]
        for name in NAMES[1:]
    }
    long, crowd, grown = beyond["roark"]
    bench.spool[6] = max(beyond["spooled"][1], LEAST_MIB) / max(crowd, LEAST_MIB)
    return Row(
        6,
        "Memory beyond no observer: an hour's call flat, 50 calls at once under 1.5 MiB each, "
        "1,000 in a row without growth",
        _text(beyond["roark"]),
        f"no observer itself {_text(found['nothing'])}",
        long < FLAT_MIB and crowd < CALL_MIB and grown < GROWTH_KIB,
    )


def _text(figures: list[float]) -> str:
    return "{:+.1f} MiB, {:.2f} MiB, {:+.1f} KiB a call".format(*figures)
