"""Keeps the library's own errors out of the pipeline."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from types import TracebackType

RERAISE = False
"""Whether errors are raised all the same: the library's own tests must see them."""


class ErrorBoundary:
    """Swallows errors of a block, and says so once.

    The text of an error may hold what a caller said, so only its type and place are logged.

    Args:
        what: What goes without the frame that failed.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._told: set[str] = set()

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Swallow an `Exception`; anything else, such as a cancellation, goes on."""
        if not isinstance(error, Exception) or RERAISE:
            return False
        place = traceback.extract_tb(trace)[-1]
        where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        if where not in self._told:
            self._told.add(where)
            logger.warning(f"Roark: {where}; the {self._what} goes on without it.")
        return True
