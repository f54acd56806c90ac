"""Goal 8: the time that importing the package adds to a bot that has loaded Pipecat.

Each import happens in a new process, after what every bot imports, whose time is beside it. All run
in environments that hold nothing but Pipecat and the package.
"""

from __future__ import annotations

import json
import sys
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.launch import ALONE, OURS, run
from benchmarks.table import Row

if TYPE_CHECKING:
    from benchmarks.bench import Bench

LIMIT_MS = 40.0
SCRIPT = """
import json, sys, time
sys.dont_write_bytecode = False  # an installed package has its bytecode
began = time.perf_counter()
import pipecat.audio.vad.vad_analyzer
import pipecat.pipeline.runner
import pipecat.pipeline.task
import pipecat.processors.audio.audio_buffer_processor
import pipecat.processors.aggregators.llm_response_universal
import pipecat.transports.base_input
import pipecat.transports.base_output
between = time.perf_counter()
from {module} import {name}
print(json.dumps([between - began, time.perf_counter() - between]))
"""
NAMES = {
    "roark": ("pipecat_roark", "RoarkObserver"),
    "superbryn": ("superbryn_pipecat_observer", "SuperbrynObserver"),
    "tuner": ("tuner_pipecat_sdk", "Observer"),
}


async def measure(contenders: list[str], rounds: int) -> list[list[float]]:
    """Return what Pipecat's import took, and what that of the package added, in milliseconds."""
    module, name = NAMES[contenders[0]]
    script = SCRIPT.format(module=module, name=name)
    found = []
    for _ in range(rounds + 1):
        status, out, err = await run(sys.executable, "-c", script)
        if status:
            raise ImportError(err)
        found.append([1000 * secs for secs in json.loads(out.strip().splitlines()[-1])])
    return found[1:]  # the first one may write bytecode


def added(found: list[list[float]]) -> tuple[float, float]:
    """Return what the import of the package added in milliseconds, and as a share of Pipecat's.

    The time is the least of all processes': what else the machine does only makes it longer.
    """
    return min(ms for _, ms in found), median(ms / pipecat for pipecat, ms in found)


async def row(bench: Bench) -> Row:
    """Measure and judge."""
    rounds = bench.pick(1, 20)
    alone = await ALONE.prepare() or OURS
    peers = await bench.each([alone, *bench.peers], "imports", contenders=["peer"], rounds=rounds)
    ours = added(peers.pop(alone.name))
    return Row(
        8,
        "Import: adds under 40 ms to Pipecat's",
        _text(ours),
        "; ".join(f"{name} {_text(added(found))}" for name, found in peers.items()),
        ours[0] < LIMIT_MS,
    )


def _text(figure: tuple[float, float]) -> str:
    return f"{figure[0]:.0f} ms, {figure[1]:.0%} of Pipecat's"
