"""The writer, on a machine in trouble."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from pipecat_roark.spool.folder import SpooledCall, waiting
from pipecat_roark.spool.writer import SpoolWriter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["create", "append", "write_chunk"])
async def test_a_machine_without_room_for_a_moment_costs_no_spool(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    """No descriptor is free, for example: the thread waits for one, and the call does not."""
    left, work = 3, getattr(SpooledCall, name)

    def fail(*args: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return work(*args)

    monkeypatch.setattr(SpooledCall, name, fail)
    writer = SpoolWriter(tmp_path, "call#1", owner="somebody")
    writer.keep_event("call-started", b"{}")
    writer.keep_chunk(0, bytes(100))
    assert await writer.flushed()
    assert left < 0
    assert await writer.read_chunk(0) == bytes(100)
    assert writer.unkept == 0
    assert warned == []
    await writer.close(done=True)
    assert waiting(tmp_path) == []


async def test_a_machine_that_stays_in_trouble_costs_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    """One warning says so."""
    monkeypatch.setattr("pipecat_roark.spool.writer._PATIENCE_SECS", 0.1)

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(SpooledCall, "create", fail)
        writer = SpoolWriter(tmp_path, "call#1", owner="somebody")
        writer.keep_chunk(0, bytes(100))
        assert not await writer.flushed()
    (line,) = warned
    assert "not kept in the spool any more: Too many open files." in line
    await writer.close(done=True)
