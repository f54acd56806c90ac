"""Tables of what was measured, on the screen and in the README."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


class Row(NamedTuple):
    """A goal, and where this library stands.

    Attributes:
        number: The goal's number.
        goal: What is to be reached.
        figure: What this library reaches.
        beside: What the floors and the peers reach.
        met: Whether the goal is met; None if that could not be measured.
    """

    number: int
    goal: str
    figure: str
    beside: str
    met: bool | None


_MET = {True: "yes", False: "**no**", None: "not measured"}


def plain(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return lines as aligned text: the first column to the left, all others to the right."""
    cells = [[*header], *([str(cell) for cell in line] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def markdown(rows: Iterable[Row], taken: str) -> str:
    """Return the goals as a Markdown table, under a line that says when and where it was taken."""
    lines = [taken, "", "| goal | ours | beside | met |", "|---|---|---|---|"]
    lines += [
        f"| {row.number}. {row.goal} | {row.figure} | {row.beside} | {_MET[row.met]} |"
        for row in sorted(rows)
    ]
    return "\n".join(lines)


def written(readme: str, table: str) -> str:
    """Return a README with this table between its marks.

    Raises:
        ValueError: If the README has no marks.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    new, count = pattern.subn(lambda _: f"{BEGIN}\n{table}\n{END}", readme)
    if count != 1:
        raise ValueError(f"README.md must hold {BEGIN} and {END} once.")
    return new
