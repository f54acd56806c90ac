"""The lock of one call: the system releases it when the process that holds it dies."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from filelock import FileLock, SoftFileLock, Timeout

if TYPE_CHECKING:
    from pathlib import Path

    from filelock import BaseFileLock

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system without locks answers."""


class NoLocksError(OSError):
    """No lock can be had here, so that nobody could tell whether a call is being delivered."""


def acquire(path: Path) -> BaseFileLock:
    """Lock a file without waiting.

    Raises:
        BlockingIOError: If somebody else holds the lock.
        NoLocksError: If this system, or the file system, has no locks.
        OSError: If the file can't be opened.
    """
    check()
    # Not bound to a thread: whoever closes a call need not be who opened it.
    lock = FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BlockingIOError(errno.EAGAIN, "somebody else holds the lock") from None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise NoLocksError(
                error.errno, f"its file system has no locks ({error.strerror})"
            ) from error
        raise
    return lock


def check() -> None:
    """Check that this system has locks.

    Raises:
        NoLocksError: If it has none.
    """
    # Where it has none, the library offers a file whose existence is the lock; that one outlives
    # a process that dies.
    if issubclass(FileLock, SoftFileLock):
        raise NoLocksError(errno.ENOSYS, "this system has no file locks")
