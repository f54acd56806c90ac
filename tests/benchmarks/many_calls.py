"""Goal 7: how many calls in real time a process carries.

In each call both sides speak all the time. Calls begin one after another, so that their frames are
due at all times; they are measured once all of them run. More and more calls are held, until fewer
than 99 % of the output's frames come within 10 ms of when they are due; a frame of an output is
40 ms long. How many calls are carried lies between the last number that passed and the first that
failed, by their shares of late frames.

What was allocated until all calls run is left out of Python's searches for garbage: a search
through the pipelines of all calls takes 80 ms, whoever observes them.
"""

from __future__ import annotations

import asyncio
import gc
import time
from statistics import median
from typing import TYPE_CHECKING, ClassVar

from benchmarks.contenders import make
from benchmarks.rounds import alternate, ratio, warm
from benchmarks.table import Row, plain
from support.calls import BUFFER_SECS, IN_RATE, Call, PacedOutput, tone

if TYPE_CHECKING:
    from pipecat.frames.frames import OutputAudioRawFrame

    from benchmarks.bench import Bench

LATE_SECS, LATE_SHARE = 0.01, 0.01
STEP = 1.15
BEGIN_SECS = 0.02
"""How long after a call the next one begins."""
SETTLE_SECS = 1.0
"""For how long all calls have run when they are measured."""
LIMIT = 0.97
NAMES = {
    "nothing": "no observer",
    "stock": "stock recorder",
    "roark": "ours",
    "spooled": "ours with a spool",
}


class TimedOutput(PacedOutput):
    """A loudspeaker that notes how late each frame comes, in seconds."""

    late: ClassVar[list[float]] = []

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        if self._free:
            self.late.append(time.monotonic() - self._free)
        return await super().write_audio_frame(frame)


async def late_share(name: str, number: int, secs: float) -> float:
    """Hold so many calls at once; return the share of the output's frames that are late."""
    begin_secs = BEGIN_SECS * number
    speech_secs = begin_secs + SETTLE_SECS + secs + BUFFER_SECS

    async def talk(call: Call) -> None:
        call.microphone.speech = tone(speech_secs, IN_RATE)
        await call.bot_says("Hello.", secs=speech_secs)
        await asyncio.sleep(speech_secs + BUFFER_SECS)
        await call.end()

    async def hold(place: int) -> None:
        await asyncio.sleep(BEGIN_SECS * place)
        wiring = await make(name)
        call = Call(wiring.observers, wiring.processors, loudspeaker_type=TimedOutput)
        wiring.on_task(call.task)
        await call.hold(talk)

    async def measure() -> float:
        await asyncio.sleep(begin_secs + SETTLE_SECS / 2)
        gc.collect()
        gc.freeze()
        await asyncio.sleep(SETTLE_SECS / 2)
        TimedOutput.late.clear()
        await asyncio.sleep(secs)
        return sum(late > LATE_SECS for late in TimedOutput.late) / len(TimedOutput.late)

    share = asyncio.create_task(measure())
    held = await asyncio.gather(*map(hold, range(number)), return_exceptions=True)
    gc.unfreeze()
    for error in held:
        if error:  # only now: a call that is cancelled in its middle would hang
            raise error
    return await share


async def carried(name: str, start: int, most: int, secs: float) -> float:
    """Return how many calls a process carries with a contender; no more than `most` are tried."""
    number, share = start, await late_share(name, start, secs)
    while share > LATE_SHARE and number > 1:  # too many to begin with
        number = int(number / STEP**2)
        share = await late_share(name, number, secs)
    while number < most:
        more = max(number + 1, round(number * STEP))
        above = await late_share(name, more, secs)
        if above > LATE_SHARE:
            return number + (more - number) * (LATE_SHARE - share) / (above - share)
        number, share = more, above
    return number


async def measure(
    contenders: list[str], start: int, most: int, secs: float, rounds: int
) -> dict[str, list[float]]:
    """Return how many calls are carried: by contender and round."""
    warm()
    await late_share(contenders[-1], 1, secs)  # loads modules
    # The floor says where it is worth to begin, and then each contender's last round.
    begin = dict.fromkeys(contenders, int(await carried(contenders[0], start, most, secs)))

    async def once(name: str) -> float:
        found = await carried(name, begin[name], most, secs)
        begin[name] = max(1, int(found))
        return found

    return await alternate(rounds, contenders, once)


async def row(bench: Bench) -> Row:
    """Measure, print the figures by contender, and judge."""
    options = bench.pick(
        {"start": 2, "most": 3, "secs": 1.5, "rounds": 1},
        {"start": 20, "most": 1000, "secs": 3, "rounds": 3},
    )
    names = bench.pick(["nothing", "roark", "spooled"], [*NAMES])
    found = await bench.ours("many_calls", contenders=names, **options)
    peers = await bench.each(
        [] if bench.short else [peer for peer in bench.peers if peer.name == "original 0.2.5"],
        "many_calls",
        contenders=["nothing", "peer"],
        **options | {"rounds": 1},
    )
    ratios = {name: ratio(found, name, "nothing") for name in names}
    lines = [(NAMES[name], f"{median(found[name]):.1f}", f"{ratios[name]:.2f}") for name in names]
    for name, figures in peers.items():
        ratios[name] = ratio(figures, "roark", "nothing")
        lines.append((name, f"{median(figures['roark']):.1f}", f"{ratios[name]:.2f}"))
    print(plain(("calls that a process carries", "calls", "ratio"), lines))
    bench.spool[7] = 1 / ratio(found, "spooled", "roark")
    beside = [name for name in ("stock", *peers) if name in ratios]
    return Row(
        7,
        "Calls that a process carries: not fewer than without, minus 3 %, also with a spool",
        f"{ratios['roark']:.2f}x of no observer's {median(found['nothing']):.0f}, "
        f"with a spool {ratios['spooled']:.2f}x",
        "; ".join(f"{NAMES.get(name, name)} {ratios[name]:.2f}x" for name in beside),
        min(ratios["roark"], ratios["spooled"]) >= LIMIT,
    )
