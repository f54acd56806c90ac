"""The files of other people are those that they published, with their licences."""

from __future__ import annotations

import pytest

import vendored

ROWS = vendored.rows()
WEB = vendored.ROOT / "src" / "pipecat_roark" / "local" / "web"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["to"].rpartition("/")[2])
def test_file_is_as_published(row: dict[str, str]) -> None:
    """The file has the SHA-256 that the table notes, and the table has its licence."""
    assert vendored.sha256(vendored.ROOT / row["to"]) == row["sha256"]
    assert row["version"]
    assert row["licence"]


def test_table_has_every_file() -> None:
    """No file of other people is there without a row, and each package brings its licence."""
    folders = {(vendored.ROOT / row["to"]).parent for row in ROWS}
    there = {path.relative_to(vendored.ROOT).as_posix() for f in folders for path in f.iterdir()}
    assert there == {row["to"] for row in ROWS}
    shipped = {row["package"] for row in ROWS if row["to"].startswith("src/")}
    assert shipped | {"preact"} == {row["package"] for row in ROWS if "LICENSE" in row["to"]}


def test_page_loads_each_script_once() -> None:
    """Every script of the page is loaded, and no script that is not there."""
    html = (WEB / "index.html").read_text()
    scripts = [path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js")]
    assert sorted(scripts) == sorted(
        part.partition('"')[0] for part in html.split('<script defer src="web/')[1:]
    )
