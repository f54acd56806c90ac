"""Keeps the library's own errors out of the pipeline."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from types import TracebackType

RERAISE = False
"""Whether an error leaves its boundary all the same: the library's own tests must see it."""


class ErrorBoundary:
    """Catches the errors of a block, and logs each place or each kind once.

    The text of an error may contain what a caller said, so only its type and place are logged.

    Args:
        what: What continues without the block that failed, such as `call`.
        kind: What the block reads, such as the name of a frame's type; it is logged.
    """

    def __init__(self, what: str, kind: str | None = None) -> None:
        self._what = what
        self._kind = kind
        self._logged: set[str] = set()
        self._readings: dict[str, ErrorBoundary] = {}

    def reading(self, kind: str) -> ErrorBoundary:
        """Return this boundary for a block that reads something of the given kind."""
        boundary = self._readings.get(kind)
        if boundary is None:
            boundary = self._readings[kind] = ErrorBoundary(self._what, kind)
            boundary._logged = self._logged
        return boundary

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Catch an `Exception`; anything else, such as a cancellation, leaves the block."""
        if error is None:  # at almost every frame
            return False
        if not isinstance(error, Exception) or RERAISE:
            return False
        place = traceback.extract_tb(trace)[-1]
        where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        key = where
        if self._kind is not None:
            key, where = self._kind, f"{where} while reading {self._kind}"
        if key not in self._logged:
            self._logged.add(key)
            logger.warning(f"Roark: {where}; the {self._what} goes on without it.")
        return True
