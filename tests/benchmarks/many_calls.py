"""What the observer costs a process that holds many calls at once, in real time.

uv run python tests/benchmarks/many_calls.py [CALLS]

All calls begin at the same moment, which is the worst case: in each, both sides speak for eight
seconds. Rounds with nothing, with an empty observer and Pipecat's own recorder, and with ours
alternate. The interval between two frames of an output shows how long others held up the loop; a
frame of an output is 40 ms long. Roark is a process of its own. The median of the rounds counts.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from loguru import logger
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipecat_roark import RoarkObserver
from pipecat_roark.delivery.delivery import CHUNK_BYTES
from support.calls import IN_RATE, Call, PacedOutput, tone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pipecat.frames.frames import OutputAudioRawFrame

CALLS = 20
SECS = 8.0
ROUNDS = 3
WARM_UP = 10

SERVER = """
import asyncio, tempfile
from pathlib import Path
from pipecat_roark.local import LocalRoark

async def main():
    with tempfile.TemporaryDirectory() as folder:
        async with LocalRoark(Path(folder)) as local:
            print(local.url, flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


class Empty(BaseObserver):
    """An observer that does nothing."""

    async def on_push_frame(self, data: FramePushed) -> None:
        """Do nothing."""


class TimedOutput(PacedOutput):
    """A loudspeaker that notes when it gets each frame."""

    times: list[float]

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        self.times.append(time.monotonic())
        return await super().write_audio_frame(frame)


class Cost(NamedTuple):
    """What a round took: CPU time in seconds, and intervals in milliseconds."""

    cpu: float
    p99: float
    worst: float


async def nothing() -> Call:
    """Return a call that nobody observes."""
    return Call([], [])


async def stock() -> Call:
    """Return a call with an observer that does nothing, and Pipecat's recorder."""
    recorder = AudioBufferProcessor(num_channels=2, buffer_size=CHUNK_BYTES // 2)
    await recorder.start_recording()
    return Call([Empty()], [recorder])


async def ours() -> Call:
    """Return a call as the README wires it."""
    roark = RoarkObserver(agent_id="benchmark", api_key="benchmark")
    return Call([roark], [roark.audio_processor])


async def talk(call: Call) -> None:
    """Let both sides speak."""
    call.microphone.speech = tone(SECS, IN_RATE)
    await call.bot_says("Hello.", secs=SECS)
    await call.quiet()
    await call.end()


async def hold(call: Call) -> None:
    """Hold a call to its end."""
    await call.hold(talk)


async def held(make: Callable[[], Awaitable[Call]], number: int) -> Cost:
    """Hold calls, and return what that cost."""
    calls = [await make() for _ in range(number)]
    for call in calls:
        call.loudspeaker.__class__ = TimedOutput
        vars(call.loudspeaker)["times"] = []
    began = time.process_time()
    for error in await asyncio.gather(*map(hold, calls), return_exceptions=True):
        if error:  # only now: a call that is cancelled in its middle would hang
            raise error
    cpu = time.process_time() - began
    timed = [vars(call.loudspeaker)["times"][WARM_UP:] for call in calls]
    intervals = 1000 * np.concatenate([np.diff(times) for times in timed])
    return Cost(cpu, float(np.percentile(intervals, 99)), float(intervals.max()))


@asynccontextmanager
async def roark_elsewhere() -> AsyncIterator[str]:
    """Run a local Roark in a process of its own, and yield its base URL."""
    api = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, stdout=asyncio.subprocess.PIPE
    )
    assert api.stdout is not None
    try:
        yield (await api.stdout.readline()).decode().strip()
    finally:
        api.terminate()
        await api.wait()


async def main(number: int) -> None:
    """Print a line for each way to hold the calls."""
    logger.remove()
    makers: dict[str, Callable[[], Awaitable[Call]]] = {
        "nothing": nothing,
        "stock recorder": stock,
        "ours": ours,
    }
    rounds: dict[str, list[Cost]] = {name: [] for name in makers}
    async with roark_elsewhere() as url:
        os.environ["ROARK_BASE_URL"] = url
        for _ in range(ROUNDS):
            for name, make in makers.items():
                rounds[name].append(await held(make, number))
    print(f"{number} calls of {SECS:.0f} s    CPU, s   p99, ms   worst, ms")
    for name, costs in rounds.items():
        cpu, p99, worst = (median(figure) for figure in zip(*costs, strict=True))
        print(f"{name:<20} {cpu:>8.2f} {p99:>9.1f} {worst:>11.1f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else CALLS))
