"""How many calls arrive whole when their process ends right after them.

    uv run tests/benchmarks/exits.py [RUNS]

Prints a line for each way of ending; exits with 1 if a call was lost.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from scenarios.exits import ENDS, arrives, roark

AT_ONCE = 2


async def main(runs: int) -> int:
    """Run every way of ending `runs` times."""
    lost = 0
    places = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory() as folder:
        async with roark(Path(folder)) as local:

            async def once(end: str, run: int) -> bool:
                async with places:
                    return await arrives(local, f"{end} {run}", end)

            for end in ENDS:
                whole = sum(await asyncio.gather(*(once(end, run) for run in range(runs))))
                print(f"{end:22} {whole} of {runs} calls arrived whole")
                lost += runs - whole
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)))
