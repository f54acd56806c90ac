"""What is on the disk and at Roark of a redacted call whose process was killed at a random moment.

    uv run tests/benchmarks/disclosure.py [RUNS]

Something secret is said, and heard as a tone, again and again. Prints where it was found, if
it was, and exits with 1 then.

Before that it prints the pace of the output, whose frames are 40 ms long, beside functions for
`redact` that fail in one way or another.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipecat_roark import RoarkObserver
from scenarios import disclosure, exits, outages

if TYPE_CHECKING:
    from pipecat_roark import ToolCall, Turn

CALL_SECS = 12.0
SLOW_SECS = 0.02


def raises(_: Turn | ToolCall) -> Turn | ToolCall:
    """Raise an error."""
    raise ValueError


def sleeps(item: Turn | ToolCall) -> Turn | ToolCall:
    """Take a second."""
    time.sleep(1)
    return item


HOOKS: dict[str, dict[str, Any]] = {
    "no function": {},
    "one that returns": {"redact": disclosure.redacted},
    "one that raises": {"redact": raises},
    "one that takes a second": {"redact": sleeps},
    "one that returns nonsense": {"redact": lambda _: 7},
}


async def show_paces(folder: Path) -> None:
    """Print how far apart the frames of an output are, for each function."""
    print(f"{'redact':<26} {'median, ms':>10} {'p99, ms':>8}")
    async with exits.roark(folder, SLOW_SECS) as local:
        os.environ["ROARK_BASE_URL"] = local.url
        for name, options in HOOKS.items():
            roark = RoarkObserver(agent_id="front-desk", api_key="key", **options)
            pace = await outages.pacing(CALL_SECS, roark)
            print(f"{name:<26} {pace.median:>10.2f} {pace.p99:>8.2f}")


async def main(runs: int) -> int:
    """Kill that many calls."""
    logger.remove()
    with tempfile.TemporaryDirectory() as folder:
        await show_paces(Path(folder) / "paces")
        async with exits.roark(Path(folder) / "calls", SLOW_SECS) as local:

            async def found(run: int, secs: float) -> set[str]:
                return await disclosure.leaked(local, Path(folder) / str(run), f"call {run}", secs)

            clean = await exits.kill_at_random(runs, CALL_SECS, found)
    print(f"{clean} of {runs} killed calls left nothing secret")
    return 0 if clean == runs else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))
