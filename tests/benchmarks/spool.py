"""Goal 10: what a spool adds to goals 1 to 7, which measure it beside themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.table import Row

if TYPE_CHECKING:
    from benchmarks.bench import Bench

LIMIT = 1.05


async def row(bench: Bench) -> Row:
    """Judge what the other goals have measured."""
    figures = "; ".join(f"{number}: {times:.2f}x" for number, times in sorted(bench.spool.items()))
    return Row(
        10,
        "With a spool: goals 1 to 7 within 5 % of those without",
        figures or "goals 1 to 7 were not measured",
        "ours without a spool 1x",
        max(bench.spool.values()) <= LIMIT if bench.spool else None,
    )
