"""Goal 3: how long the event loop is held up during a call, with uploads to another process.

A stall is the time from one look of the event loop at its sockets to the next: whatever becomes due
meanwhile waits as long. Both sides talk all the time. The contenders hold their calls at the same
moment, each in a process of its own, so that the machine's own stalls meet all of them.

The 99.9th percentile is of real time, and the median of the rounds. The worst is of the loop's CPU
time, and the least of the rounds: among thousands, one in which the machine did something else is
always the longest.
"""

from __future__ import annotations

import asyncio
import gc
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from pipecat.frames.frames import TTSAudioRawFrame

from benchmarks.contenders import make
from benchmarks.rounds import warm
from benchmarks.table import Row, plain
from support.calls import IN_RATE, OUT_RATE, Call, tone

if TYPE_CHECKING:
    import selectors
    from collections.abc import Mapping

    from benchmarks.bench import Bench

P999_MS, WORST_MS = 1.0, 3.0
NAMES = {"nothing": "no observer", "stock": "stock recorder", "roark": "ours"}


class Watch:
    """Notes how long the event loop works between two looks at its sockets, in seconds.

    Args:
        selector: That of the event loop.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._select = selector.select
        self._since = self._worked = 0.0
        self.real: list[float] = []
        self.cpu: list[float] = []
        selector.select = self._watched  # type: ignore[method-assign]

    def begin(self) -> None:
        """Begin anew, with the next look."""
        self._since = 0.0
        self.real.clear()
        self.cpu.clear()

    def _watched(self, timeout: float | None = None) -> list[Any]:
        if self._since:
            self.real.append(time.perf_counter() - self._since)
            self.cpu.append(time.thread_time() - self._worked)
        events = self._select(timeout)
        self._since, self._worked = time.perf_counter(), time.thread_time()
        return events


async def measure(contenders: list[str], secs: float) -> dict[str, float]:
    """Hold one call; return the 99.9th percentile and the worst of its stalls, in milliseconds."""
    (name,) = contenders
    wiring = await make(name)
    call = Call(wiring.observers, wiring.processors)
    wiring.on_task(call.task)
    watch = Watch(asyncio.get_running_loop()._selector)  # type: ignore[attr-defined]  # noqa: SLF001
    user, bot = tone(secs, IN_RATE), tone(1, OUT_RATE, 660).tobytes()
    warm()

    async def script(call: Call) -> None:
        await asyncio.sleep(0.5)  # what starting takes is no stall of a call
        gc.collect()
        gc.freeze()  # nor is a search through all that Pipecat has loaded
        watch.begin()
        call.microphone.speech = user
        for _ in range(round(secs)):  # as it would be made: in pieces, faster than it is played
            await call.push(TTSAudioRawFrame(bot, OUT_RATE, 1))
            await asyncio.sleep(0.9)
        await asyncio.sleep(secs / 10)
        found.update(p999=1000 * float(np.quantile(watch.real, 0.999)), worst=1000 * max(watch.cpu))
        await call.end()

    found: dict[str, float] = {}
    await call.hold(script)
    return found


async def together(bench: Bench, rounds: int, secs: float) -> dict[str, dict[str, float]]:
    """Return what the rounds found, by contender."""
    names = [*NAMES, "spooled"]
    found: Mapping[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        calls = (bench.ours("stalls", contenders=[name], secs=secs) for name in names)
        for name, figures in zip(names, await asyncio.gather(*calls), strict=True):
            found[name].append(figures)
    return {
        name: {
            "p999": median(one["p999"] for one in each),
            "worst": min(one["worst"] for one in each),
        }
        for name, each in found.items()
    }


async def row(bench: Bench) -> Row:
    """Measure, print the figures by contender, and judge."""
    rounds, secs = bench.pick((1, 3), (3, 60))
    found = await together(bench, rounds, secs)
    lines = [(name, f"{it['p999']:.2f}", f"{it['worst']:.2f}") for name, it in found.items()]
    print(plain(("stalls of the event loop, ms", "p99.9", "worst"), lines))
    ours = found["roark"]
    bench.spool[3] = found["spooled"]["p999"] / ours["p999"]
    return Row(
        3,
        "Stalls of the event loop, 60 s at 24 kHz with uploads: p99.9 under 1 ms, worst under 3 ms",
        _text(ours),
        "; ".join(f"{NAMES[name]} {_text(found[name])}" for name in ("nothing", "stock")),
        # A machine that stalls without an observer, too, can't tell.
        _within(ours) if _within(found["nothing"]) else None,
    )


def _within(figures: dict[str, float]) -> bool:
    return figures["p999"] < P999_MS and figures["worst"] < WORST_MS


def _text(figures: dict[str, float]) -> str:
    return f"{figures['p999']:.2f} and {figures['worst']:.2f} ms"
