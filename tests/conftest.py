"""Fixtures and settings of all tests."""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import settings
from loguru import logger

from pipecat_roark import guard
from pipecat_roark.local import LocalRoark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


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


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Collect the lines that the library logs at INFO or above."""
    with _collected("INFO") as lines:
        yield lines


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """Collect the lines that the library logs at WARNING or above."""
    with _collected("WARNING") as lines:
        yield lines


@contextmanager
def _collected(level: str) -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(
        lambda message: lines.append(str(message).rstrip()),
        level=level,
        format="{level} {message}",
        filter="pipecat_roark",
    )
    yield lines
    logger.remove(sink)


@pytest_asyncio.fixture
async def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalRoark]:
    """Run a local Roark and point the library at it."""
    async with LocalRoark(tmp_path / "calls") as roark:
        monkeypatch.setenv("ROARK_BASE_URL", roark.url)
        monkeypatch.setenv("ROARK_API_KEY", "key-of-the-tests")
        yield roark
