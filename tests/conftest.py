"""Fixtures and settings of all tests."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from importlib.metadata import version
from inspect import iscoroutinefunction
from itertools import groupby
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import settings

from pipecat_roark import guard
from support.at_once import AtOnce, is_for_it
from support.steady import install, steadily
from support.surroundings import collected, reachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from pipecat_roark.local import LocalRoark

install()  # before Pipecat takes a clock for itself

# Few examples at the desk, many where nobody waits. No deadline: the machine may be busy.
settings.register_profile("desk", max_examples=50, deadline=None)
settings.register_profile("many", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("many" if os.environ.get("CI") else "desk")


def pytest_configure(config: pytest.Config) -> None:
    """Leave out the test of a bot where Python is too old for the Pipecat of that bot."""
    if sys.version_info < (3, 11):
        config.option.ignore = [config.rootpath / "examples/test_bot.py"]


def pytest_report_header() -> str:
    """Name the Pipecat that is tested."""
    return f"pipecat-ai: {version('pipecat-ai')}"


@pytest.fixture(autouse=True)
def _raise_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make errors of the library fail a test: outside of tests they are only logged."""
    monkeypatch.setattr(guard, "RERAISE", True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests have steady time, and those of a module that are for it be held at once.

    Other processes have real time, so a test that starts some has it, too.
    """
    tests = [test for test in items if isinstance(test, pytest.Function)]
    for _, of_module in groupby(filter(is_for_it, tests), key=lambda test: test.path):
        AtOnce([*of_module])
    for test in tests:
        if iscoroutinefunction(test.obj) and not test.get_closest_marker("process"):
            test.obj = steadily(test.obj)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Iterator[None]:
    """Leave what has been imported out of garbage collections: each would stop calls for 0.1 s."""
    gc.freeze()
    try:
        return (yield)
    finally:
        gc.unfreeze()


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Collect the lines that the library logs at INFO or above."""
    with collected("INFO") as lines:
        yield lines


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """Collect the lines that the library logs at WARNING or above."""
    with collected("WARNING") as lines:
        yield lines


@pytest_asyncio.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalRoark]:
    """Run a local Roark and point the library at it."""
    async with reachable(tmp_path / "calls") as roark:
        yield roark


@pytest.fixture(scope="session")
def chromium() -> str:
    """Find the Chromium of the system; without one, the test is skipped, or fails in CI."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("There is no chromium, and REQUIRE_BROWSER is set.")
        pytest.skip("There is no chromium on this machine.")
    return path
