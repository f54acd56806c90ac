"""What of a call is at Roark when its process was killed at a random moment.

    uv run tests/benchmarks/crashes.py [RUNS]

Prints what was wrong with each call, if anything, and how many were right; exits with 1 if not all.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from loguru import logger

sys.path.insert(0, str(Path(__file__).parents[1]))

from scenarios import crashes, exits


async def main(runs: int) -> int:
    """Kill that many calls."""
    logger.remove()
    with tempfile.TemporaryDirectory() as folder:
        async with crashes.roark(Path(folder) / "calls") as local:

            async def faults(run: int, secs: float) -> list[str]:
                spool_dir = Path(folder) / f"spool {run}"
                return await crashes.missing(local, spool_dir, f"call {run}", secs)

            right = await exits.kill_at_random(runs, crashes.CALL_SECS, faults)
    print(f"{right} of {runs} killed calls arrived as they must")
    return 0 if right == runs else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))
