"""The files of a spool: those that appear whole or not at all, and those that grow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PART = ".part"
"""The kind of a file that is not whole yet."""
_BINARY = getattr(os, "O_BINARY", 0)
"""Windows would write line ends of its own."""


class GrowingFile:
    """A file that is only appended to. It stays open, because opening takes longer than a write.

    Args:
        path: The file; it is made by the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def append(self, data: bytes) -> None:
        """Write at its end."""
        if self._file is None:
            self._file = _open(self.path, os.O_APPEND)
        _write(self._file, data)

    def close(self) -> None:
        """Close it; the next write opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def write_whole(path: Path, data: bytes) -> None:
    """Make a file, or replace it.

    Raises:
        OSError: Then nothing is changed.
    """
    part = path.with_suffix(_PART)
    file = _open(part, os.O_TRUNC)
    try:
        try:
            _write(file, data)
        finally:
            os.close(file)
        part.replace(path)
    except OSError:
        part.unlink()
        raise


def _open(path: Path, flags: int) -> int:
    """Open a file to read and write. If it is new, nobody else may read it."""
    return os.open(path, os.O_RDWR | os.O_CREAT | _BINARY | flags, 0o600)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
