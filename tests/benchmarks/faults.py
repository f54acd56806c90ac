"""What becomes of a call when something goes wrong on its way to Roark.

    uv run tests/benchmarks/faults.py [SCALE]

Prints a line for each fault, and the figures of many calls at once. It takes about three minutes;
with a SCALE below 1 all times of the faults are that much shorter. Exits with 1 if anything is
missing that could have arrived, or a bound was not kept.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from loguru import logger

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipecat_roark.settings import DEADLINE_SECS
from scenarios import outages
from scenarios.faults import CASES, CHUNKS, Case, Outcome, run, trusted

MIB = 2**20
BUDGET = 64 * MIB
"""What the calls of a process may have waiting, in the last figure."""


async def table(folder: Path, scale: float) -> bool:
    """Run every case, and print the outcome of each. Return whether all is as it should be."""
    with trusted():
        outcomes = await asyncio.gather(
            *(run(name, case, folder, scale) for name, case in CASES.items())
        )
    print(f"{'fault':38} {'start':>5} {'chunks':>6} {'end':>4} {'retries':>7} {'ending':>7}")
    for (name, case), outcome in zip(CASES.items(), outcomes, strict=True):
        print(_line(name, case, outcome))
    return all(map(Outcome.as_it_should, outcomes, CASES.values()))


def _line(name: str, case: Case, outcome: Outcome) -> str:
    receipt = outcome.receipt
    retries = receipt.events.retried + receipt.chunks.retried
    mark = "" if outcome.as_it_should(case) else "  WRONG"
    lost = f"  said: {', '.join(loss.why for loss in receipt.lost)}" if receipt.lost else ""
    return (
        f"{name:38} {_yes(outcome.started):>5} {outcome.exact:>3}/{CHUNKS} "
        f"{_yes(outcome.ended):>5} {retries:>7} {receipt.ending_secs:>5.2f} s{lost}{mark}"
    )


def _yes(value: bool) -> str:  # noqa: FBT001
    return "yes" if value else "no"


async def figures(folder: Path, scale: float) -> bool:
    """Measure many calls, and one that meets a black hole. Return whether all is within bounds."""
    calls, together, secs, bound = 200, 50, 20 * scale + 2, 8 * MIB
    whole = await outages.flaky(folder / "flaky", calls, scale=scale)
    print(f"30 % of all requests failing: {whole} of {calls} calls whole")
    own = await outages.crowd(folder / "crowd", together, secs=4)
    print(f"{together} calls in one process, one outage: {own} whole and none mixed")
    deadline = DEADLINE_SECS * scale
    alone, observed = await outages.black_hole(folder / "hole", secs, deadline_secs=deadline)
    print(f"black-holed, time between audio frames over {secs:g} s, median and p99:")
    print(f"  {alone.median:.2f} and {alone.p99:.2f} ms without an observer")
    print(f"  {observed.median:.2f} and {observed.p99:.2f} ms with one")
    print(f"  the ending took {observed.ending_secs:.2f} s of {deadline:g} s")
    kept = await outages.memory(folder / "memory", 20 * bound, max_waiting_bytes=bound)
    print(
        f"  memory grew by {kept.grown / MIB:.1f} MiB with {bound // MIB} MiB allowed, "
        f"while {20 * bound // MIB} MiB of audio came"
    )
    shared = await outages.memory(
        folder / "shared",
        bound,
        max_waiting_bytes=bound,
        max_process_waiting_bytes=BUDGET,
        calls=together,
    )
    lost = sorted(counts["process-memory-full"] for counts in shared.reasons)
    print(
        f"  {together} calls: memory grew by {shared.grown / MIB:.1f} MiB with {BUDGET // MIB} MiB "
        f"allowed, while {together * bound // MIB} MiB of audio came; "
        f"each lost {lost[0]} to {lost[-1]} chunks"
    )
    return (
        (whole, own) == (calls, together)
        and observed.ending_secs < deadline + 0.5
        and kept.grown < bound + MIB
        and shared.grown < BUDGET + together * MIB / 4
    )


async def main(scale: float) -> int:
    """Print the table and the figures."""
    logger.remove()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        right = [await table(folder, scale), await figures(folder, scale)]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1)))
