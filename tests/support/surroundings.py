"""What a test finds around itself: a local Roark, and the lines that the library logs."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from pipecat_roark.local import LocalRoark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

TEST: ContextVar[object] = ContextVar("test", default=None)
"""Which of the tests that are held at once is running: each collects its own lines."""


@asynccontextmanager
async def reachable(folder: Path) -> AsyncIterator[LocalRoark]:
    """Run a local Roark and point the library at it."""
    async with LocalRoark(folder) as roark:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ROARK_BASE_URL", roark.url)
            patch.setenv("ROARK_API_KEY", "key-of-the-tests")
            yield roark


@contextmanager
def collected(level: str | int) -> Iterator[list[str]]:
    """Collect the lines that the library logs at a level or above."""
    lines: list[str] = []
    counts = (TEST.get(), None)  # a thread of the library's own knows of no test
    sink = logger.add(
        lambda message: lines.append(str(message).rstrip()),
        level=level,
        format="{level} {message}",
        filter=lambda record: (
            f"{record['name']}.".startswith("pipecat_roark.") and TEST.get() in counts
        ),
    )
    yield lines
    logger.remove(sink)
