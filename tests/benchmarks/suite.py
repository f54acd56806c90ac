"""Measures this library side by side with floors and peers.

    uv run tests/benchmarks/suite.py               # all goals, about 20 minutes
    uv run tests/benchmarks/suite.py --only 1,4    # some of them
    uv run tests/benchmarks/suite.py --write       # also writes the README's table
    uv run tests/benchmarks/suite.py --short       # few rounds: to see that it runs

Contenders alternate in rounds, and the median of their ratios counts. Peers run in environments of
their own; where they can't be had, they are left out. Exits with 1 if a later sight of a frame
costs more than twice an empty callback, or if something can't be measured. Whether the other goals
are met depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import platform
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from loguru import logger

from benchmarks import table
from benchmarks.bench import Bench
from benchmarks.launch import NEWEST, OLD, PEERS, ROOT, MeasuringError
from benchmarks.table import Row

if TYPE_CHECKING:
    from benchmarks.launch import Environment

GOALS = {
    1: "hot_path",
    2: "attached",
    3: "stalls",
    4: "recorder",
    5: "ending",
    6: "memory",
    7: "many_calls",
    8: "imports",
    9: "survival",
    10: "spool",
}


async def prepared(*, short: bool) -> tuple[list[Environment], Environment | None]:
    """Return the environments of the peers, or of one; and of this library on an old Pipecat."""
    places = (*(PEERS[1:2] if short else PEERS), OLD)
    ready = await asyncio.gather(*(peer.prepare() for peer in places))
    for peer, environment in zip(places, ready, strict=True):
        where = f"Pipecat {environment.pipecat}" if environment else "left out: can't be had here"
        print(f"{peer.name}: {where}")
    return [environment for environment in ready[:-1] if environment], ready[-1]


async def judged(bench: Bench, number: int) -> Row:
    """Measure one goal, and judge it. One that can't be measured is a failure."""
    began = time.monotonic()
    print(f"\n{number}. {GOALS[number]}", flush=True)
    try:
        row: Row = await importlib.import_module(f"benchmarks.{GOALS[number]}").row(bench)
    except MeasuringError as error:
        bench.failures.append(str(error))
        row = Row(number, GOALS[number], str(error), "", met=None)
    print(f"{row.figure}  ({time.monotonic() - began:.0f} s)", flush=True)
    return row


async def main(options: argparse.Namespace) -> int:
    """Measure, and print the table; 1 if there are failures."""
    logger.remove()
    logging.getLogger("aiohttp.server").disabled = True  # its faults are made on purpose
    os.environ["ROARK_API_KEY"] = "benchmark"
    bench = Bench(options.short, *await prepared(short=options.short))
    rows = [await judged(bench, number) for number in options.only]
    text = table.markdown(rows, taken(bench))
    print(f"\n{text}")
    if options.write:
        readme = ROOT / "README.md"
        old = readme.read_text(encoding="utf-8")
        readme.write_text(table.written(old, text), encoding="utf-8")
    for failure in bench.failures:
        print(f"FAILED: {failure}")
    return int(bool(bench.failures))


def taken(bench: Bench) -> str:
    """Return when and where the figures were taken, and by whom."""
    peers = ", ".join(f"{peer.name} on {peer.pipecat}" for peer in bench.peers) or "none"
    return (
        f"{datetime.now(timezone.utc):%Y-%m-%d}, Python {platform.python_version()}, "
        f"Pipecat {NEWEST}, {os.cpu_count()} cores. Peers, with their Pipecat: {peers}."
    )


def numbers(text: str) -> list[int]:
    """Return the goals of a list like `1,4`."""
    return [number for number in map(int, text.split(",")) if number in GOALS]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure beside floors and peers.")
    parser.add_argument("--short", action="store_true", help="few rounds: to see that it runs")
    parser.add_argument("--write", action="store_true", help="write the table into the README")
    parser.add_argument(
        "--only", type=numbers, default=[*GOALS], metavar="1,4", help="these goals only"
    )
    given = parser.parse_args()
    if given.write and (given.short or given.only != [*GOALS]):
        parser.error("only a whole run writes the table")
    sys.exit(asyncio.run(main(given)))
