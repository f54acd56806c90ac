"""A pytest plugin: the fixture `local_roark`, a Roark on this machine for the test of a bot.

pytest loads this module at its start, in every project that has the package installed. So it
imports nothing but pytest: the package is loaded when a test asks for the fixture, and the coverage
that a project measures is not disturbed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipecat_roark.local import ThreadedRoark

_MARKER = "local_roark"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(allow_problems=False): with True, a test with the fixture {_MARKER} passes "
        "although the bot's requests broke the wire contract",
    )


@pytest.fixture
def local_roark(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ThreadedRoark]:
    """Run a Roark on this machine, which the bots of the test deliver their calls to.

    It has a thread of its own, so it serves sync and async tests, and bots in other processes.
    `ROARK_BASE_URL` and `ROARK_API_KEY` lead to it, and there is no spool. At the end, the test
    fails if a request broke the wire contract, unless it is marked with
    `@pytest.mark.local_roark(allow_problems=True)`.
    """
    from pipecat_roark.local import ThreadedRoark  # noqa: PLC0415 - see the top of the file

    allow_problems = _allows_problems(request)
    monkeypatch.delenv("ROARK_SPOOL_DIR", raising=False)
    with ThreadedRoark(tmp_path / "calls") as roark:
        monkeypatch.setenv("ROARK_BASE_URL", roark.url)
        monkeypatch.setenv("ROARK_API_KEY", "key-of-the-test")
        yield roark
    if roark.problems and not allow_problems:
        pytest.fail("\n".join(["The local Roark found problems:", *roark.problems]), pytrace=False)


def _allows_problems(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker(_MARKER)
    options = dict(marker.kwargs) if marker else {}
    allowed = bool(options.pop("allow_problems", False))
    if options or (marker and marker.args):
        pytest.fail(f"@pytest.mark.{_MARKER} takes allow_problems=True alone", pytrace=False)
    return allowed
