"""Writes the README's compatibility table from the reports of the version matrix.

`uv run tox run` tests the whole matrix and then runs this.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- matrix -->", "<!-- /matrix -->"


def rows(reports: Path) -> list[tuple[str, str, int, int]]:
    """Return Pipecat, Python, tests passed and tests failed, for each report of the matrix."""
    found = []
    for report in reports.glob("*.xml"):
        python, pipecat = report.stem.removeprefix("py").split("-pipecat", 1)
        suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314  # pytest's own report
        assert suite is not None
        count = {
            name: int(suite.attrib[name]) for name in ("tests", "skipped", "failures", "errors")
        }
        failed = count["failures"] + count["errors"]
        found.append((pipecat, python, count["tests"] - count["skipped"] - failed, failed))
    return sorted(found, key=lambda row: ([*map(int, row[0].split("."))], int(row[1])))


def table(found: list[tuple[str, str, int, int]]) -> str:
    """Return the rows as a Markdown table, below the line that Pipecat asks integrations for."""
    tested = list(dict.fromkeys(pipecat for pipecat, *_, failed in found if not failed))
    range_ = " to ".join(f"v{pipecat}" for pipecat in dict.fromkeys([*tested[:1], *tested[-1:]]))
    lines = [f"Tested with Pipecat {range_}.", ""] if tested else []
    lines += ["| Python | Pipecat | tests that fail |", "|---|---|---|"]
    for python in sorted({python for _, python, *_ in found}, key=int):
        mine = [row for row in found if row[1] == python]
        passed = ", ".join(pipecat for pipecat, *_, failed in mine if not failed)
        failed = ", ".join(f"{pipecat} ({count})" for pipecat, *_, count in mine if count)
        lines.append(f"| {python[0]}.{python[1:]} | {passed} | {failed or 'none'} |")
    return "\n".join(lines)


def main(reports: Path) -> int:
    """Print the table and put it into the README. Return 1 if any test failed or none ran."""
    found = rows(reports)
    text = table(found)
    print(text)
    readme = ROOT / "README.md"
    old = readme.read_text(encoding="utf-8")
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    new = re.sub(pattern, lambda _: f"{BEGIN}\n{text}\n{END}", old, flags=re.DOTALL)
    readme.write_text(new, encoding="utf-8")
    return 0 if found and not any(failed for *_, failed in found) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
