"""What of a call is at Roark when its process was killed at a random moment.

    uv run tests/benchmarks/crashes.py [RUNS]

Prints what was wrong with each call, if anything, and how many were right; exits with 1 if not all.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

from loguru import logger

sys.path.insert(0, str(Path(__file__).parents[1]))

from scenarios import crashes

AT_ONCE = 2


async def main(runs: int) -> int:
    """Kill that many calls."""
    logger.remove()
    places = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory() as folder:
        async with crashes.roark(Path(folder) / "calls") as local:

            async def once(run: int) -> bool:
                secs = random.uniform(0, crashes.CALL_SECS)  # noqa: S311
                async with places:
                    spool_dir = Path(folder) / f"spool {run}"
                    faults = await crashes.missing(local, spool_dir, f"call {run}", secs)
                for fault in faults:
                    print(f"killed after {secs:.3f} s: {fault}")
                return not faults

            right = sum(await asyncio.gather(*(once(run) for run in range(runs))))
    print(f"{right} of {runs} killed calls arrived as they must")
    return 0 if right == runs else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))
