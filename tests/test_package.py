"""What is published: the sdist and the wheel as they are built here, without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

import matrix
import pipecat_roark
import vendored

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
GITHUB = ROOT / ".github"

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist and the wheel; return their folder."""
    folder = tmp_path_factory.mktemp("dist")
    _run("hatchling", "build", "--directory", str(folder))
    return folder


def _run(*command: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_START"}
    ran = subprocess.run(  # noqa: S603 - this interpreter, fixed programs
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _names(folder: Path) -> set[str]:
    """Return what of the source belongs into a wheel."""
    return {
        path.relative_to(SOURCE).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_registry_takes_them(built: Path) -> None:
    """The description can be rendered, and the metadata is valid."""
    files = [str(path) for path in sorted(built.iterdir())]
    assert len(files) == 2
    _run("twine", "check", "--strict", *files)


def test_the_wheel_has_the_library_and_nothing_else(built: Path) -> None:
    """Code, types and the page; no test, no example."""
    (wheel,) = built.glob("*.whl")
    info = f"pipecat_roark-{pipecat_roark.__version__}.dist-info"
    expected = _names(SOURCE / "pipecat_roark") | {"pipecat_roark_pytest.py"}
    expected |= {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    expected |= {f"{info}/licenses/{path}" for path in ("LICENSE", *_vendored_licences())}
    assert set(zipfile.ZipFile(wheel).namelist()) == expected
    assert "pipecat_roark/py.typed" in expected
    assert wheel.stat().st_size < 400_000


def _vendored_licences() -> set[str]:
    return {row["to"] for row in vendored.rows() if row["to"].endswith(".LICENSE.txt")}


def test_the_metadata_names_every_licence(built: Path) -> None:
    """That of the library and those of what the page brings along."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert {*(metadata.get_all("License-File") or [])} == {"LICENSE", *_vendored_licences()}
    shipped = " AND ".join(row["licence"] for row in vendored.rows() if row["to"][:4] == "src/")
    used = {"MIT", *shipped.split(" AND ")}
    assert {*str(metadata["License-Expression"]).split(" AND ")} == used
    assert metadata.get_all("Project-URL")


def test_the_sdist_can_be_tested(built: Path) -> None:
    """It brings tests, examples and changelog, and nothing of a desk."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CHANGELOG.md", "LICENSE", "tests/test_package.py", "examples/bot.py"} <= names
    assert {name.partition("/")[0] for name in names} == {
        *("src", "tests", "examples", "CHANGELOG.md", "README.md", "LICENSE", "pyproject.toml"),
        *(".env.example", ".gitignore", "PKG-INFO"),
    }


def test_classifiers_are_what_is_tested() -> None:
    """Each Python of the matrix is named, and no other."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = set(re.findall(r"Python :: (\d\.\d+)", text))
    tested = {f"3.{minor}" for minor in re.findall(r'"py3(\d+)-pipecat', text)}
    assert named == tested


def test_workflows_do_what_is_checked_here() -> None:
    """CI runs the one script; a release is checked, and published without a stored token."""
    check = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text())["jobs"]["check"]
    assert check["steps"][-1] == {"run": ".ci/run"}
    publish = yaml.safe_load((GITHUB / "workflows" / "publish.yml").read_text())["jobs"]
    commands = [step["run"] for step in publish["build"]["steps"] if "run" in step]
    assert any("twine check --strict" in command for command in commands)
    assert publish["publish"]["permissions"] == {"id-token": "write"}
    assert publish["publish"]["steps"][-1]["with"] == {"attestations": True}


def test_hooks_are_the_checks_of_ci() -> None:
    """Each hook runs a command of `.ci/run`."""
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    script = (ROOT / ".ci" / "run").read_text()
    for hook in repo["hooks"]:
        assert hook["entry"].removesuffix(" --force-exclude") in script


def test_the_matrix_writes_what_pipecat_asks_for() -> None:
    """The table begins with the oldest and the newest release that passed."""
    rows = [("0.0.86", "310", 3, 0), ("1.0.0", "311", 3, 0), ("1.14.0", "312", 2, 1)]
    assert matrix.table(rows).splitlines()[0] == "Tested with Pipecat v0.0.86 to v1.0.0."
    assert matrix.table(rows[:1]).splitlines()[0] == "Tested with Pipecat v0.0.86."
    assert matrix.table(rows[2:]).startswith("| Python |")


def test_the_matrix_has_a_row_for_each_python() -> None:
    """It names what passed, and what failed."""
    rows = [("0.0.86", "310", 3, 0), ("1.0.0", "312", 2, 1), ("1.14.0", "312", 4, 0)]
    assert matrix.table(rows).splitlines()[-2:] == [
        "| 3.10 | 0.0.86 | none |",
        "| 3.12 | 1.14.0 | 1.0.0 (1) |",
    ]
