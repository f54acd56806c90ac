"""Locks, and systems that have none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import pytest

from pipecat_roark.spool import lock
from pipecat_roark.spool.folder import SpooledCall
from pipecat_roark.spool.lock import NoLocksError

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    """Until it is released."""
    held = lock.acquire(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        lock.acquire(tmp_path / "lock")
    held.release()
    lock.acquire(tmp_path / "lock").release()


def test_a_process_that_dies_releases_its_lock(tmp_path: Path) -> None:
    """The system does that."""
    script = """
import os, sys
from pathlib import Path
from pipecat_roark.spool import lock
held = lock.acquire(Path(sys.argv[1]))
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script, tmp_path / "lock"], check=True, timeout=60)  # noqa: S603
    lock.acquire(tmp_path / "lock").release()


@pytest.fixture(params=["ENOLCK", "ENOSYS", "EOPNOTSUPP", "no fcntl"])
def without_locks(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Take the locks away, in one of several ways."""
    if request.param == "no fcntl":
        return lambda: monkeypatch.setattr(lock, "FileLock", filelock.SoftFileLock)
    fcntl = pytest.importorskip("fcntl")
    number = getattr(errno, request.param)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return lambda: monkeypatch.setattr(fcntl, "flock", fail)


def test_without_locks_nothing_is_left_behind(
    tmp_path: Path, without_locks: Callable[[], None]
) -> None:
    """Neither a folder nor a descriptor."""
    before = len(list(Path("/dev/fd").iterdir()))
    without_locks()
    for _ in range(11):
        with pytest.raises(NoLocksError):
            SpooledCall.create(tmp_path / "spool", "call#1", "somebody")
    assert not (tmp_path / "spool").exists() or list((tmp_path / "spool").iterdir()) == []
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_lock_that_fails_otherwise_is_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor is free, for example: that may pass."""
    (tmp_path / "lock").mkdir()
    with pytest.raises(OSError, match="lock") as raised:
        lock.acquire(tmp_path / "lock")
    assert not isinstance(raised.value, NoLocksError)
    monkeypatch.setattr(
        "pipecat_roark.spool.folder.acquire", lambda _: lock.acquire(tmp_path / "lock")
    )
    with pytest.raises(OSError, match="lock"):
        SpooledCall.create(tmp_path / "spool", "call#1", "somebody")
    assert list((tmp_path / "spool").iterdir()) == []
