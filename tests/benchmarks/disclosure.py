"""What is on the disk and at Roark of a redacted call whose process was killed at a random moment.

    uv run tests/benchmarks/disclosure.py [RUNS]

Something secret is said, and heard as a tone, again and again. Prints where it was found, if
it was, and exits with 1 then.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

from loguru import logger

sys.path.insert(0, str(Path(__file__).parents[1]))

from scenarios import disclosure, exits

AT_ONCE = 2
CALL_SECS = 12.0
SLOW_SECS = 0.02


async def main(runs: int) -> int:
    """Kill that many calls."""
    logger.remove()
    places = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory() as folder:
        async with exits.roark(Path(folder) / "calls", SLOW_SECS) as local:

            async def once(run: int) -> bool:
                secs = random.uniform(0, CALL_SECS)  # noqa: S311
                async with places:
                    found = await disclosure.leaked(
                        local, Path(folder) / str(run), f"call {run}", secs
                    )
                if found:
                    print(f"killed after {secs:.3f} s: {', '.join(sorted(found))}")
                return not found

            clean = sum(await asyncio.gather(*(once(run) for run in range(runs))))
    print(f"{clean} of {runs} killed calls left nothing secret")
    return 0 if clean == runs else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))
