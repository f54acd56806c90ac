"""What all tests share."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from loguru import logger

from pipecat_roark import guard
from pipecat_roark.local import LocalRoark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _raise_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library's own errors fail a test instead of being logged."""
    monkeypatch.setattr(guard, "RERAISE", True)


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Collect what is logged at INFO and above by the library."""
    with _collected("INFO") as lines:
        yield lines


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """Collect what the library warns of."""
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
