"""Fixtures and settings of all tests."""

from __future__ import annotations

import gc
import os
from importlib.metadata import version
from itertools import groupby
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import settings

from pipecat_roark import guard
from support.at_once import AtOnce, is_for_it
from support.surroundings import collected, reachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from pipecat_roark.local import LocalRoark


# Few examples at the desk, many where nobody waits. No deadline: the machine may be busy.
settings.register_profile("desk", max_examples=50, deadline=None)
settings.register_profile("many", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("many" if os.environ.get("CI") else "desk")


def pytest_report_header() -> str:
    """Name the Pipecat that is tested."""
    return f"pipecat-ai: {version('pipecat-ai')}"


@pytest.fixture(autouse=True)
def _raise_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make errors of the library fail a test: outside of tests they are only logged."""
    monkeypatch.setattr(guard, "RERAISE", True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of a module that are marked `at_once` be held at once."""
    tests = [test for test in items if isinstance(test, pytest.Function) and is_for_it(test)]
    for _, of_module in groupby(tests, key=lambda test: test.path):
        AtOnce([*of_module])


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
