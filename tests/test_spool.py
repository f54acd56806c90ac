"""The folders of a spool."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipecat_roark import spool
from pipecat_roark.spool import SpooledCall

if TYPE_CHECKING:
    from pathlib import Path


def test_a_call_is_private_and_comes_back(tmp_path: Path) -> None:
    """Nobody else reads its folder or its files, and a later process finds all of it."""
    umask = os.umask(0)
    try:
        call = SpooledCall.create(tmp_path / "spool", "call#1")
        call.write_chunk(0, b"\x01" * 400)
        call.write_tail(1, b"\x02" * 4)
    finally:
        os.umask(umask)
    call.release(done=False)
    (folder,) = spool.waiting(tmp_path / "spool")
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("000000.pcm", "000001.tail", "journal", "lock"), 0o600
    )
    taken = SpooledCall.take(folder)
    assert taken is not None
    assert taken.read().pipecat_call_id == "call#1"
    taken.adopt_tail()
    assert taken.chunks() == {0: 400, 1: 4}
    assert taken.read_chunk(1) == b"\x02" * 4
    taken.remove_chunk(0)
    taken.remove_chunk(0)
    assert taken.chunks() == {1: 4}
    taken.release(done=True)
    assert spool.waiting(tmp_path / "spool") == []


def test_a_call_has_one_owner(tmp_path: Path) -> None:
    """While a process holds it, nobody takes it; then somebody does, once."""
    call = SpooledCall.create(tmp_path, "call#1")
    (folder,) = spool.waiting(tmp_path)
    assert SpooledCall.take(folder) is None
    call.release(done=False)
    taken = SpooledCall.take(folder)
    assert taken is not None
    assert SpooledCall.take(folder) is None
    taken.release(done=True)


def test_the_tail_follows_the_chunk(tmp_path: Path) -> None:
    """What a chunk does not hold of the tail stays the tail."""
    call = SpooledCall.create(tmp_path, "call#1")
    call.write_tail(0, b"\x01\x01")
    call.write_tail(0, b"\x01\x01\x02\x02\x03\x03")
    call.write_chunk(0, b"\x01\x01\x02\x02")
    call.remove_chunk(0)
    call.adopt_tail()
    assert call.chunks() == {1: 2}
    assert call.read_chunk(1) == b"\x03\x03"
    call.adopt_tail()
    assert call.chunks() == {1: 2}
    call.release(done=True)


@pytest.mark.parametrize(
    ("tail", "chunks"), [(b"\x01\x01\x02\x02", {0: 2, 1: 2}), (b"\x01", {0: 2})]
)
def test_a_process_may_die_between_chunk_and_tail(
    tail: bytes, chunks: dict[int, int], tmp_path: Path
) -> None:
    """Nothing is there twice."""
    call = SpooledCall.create(tmp_path, "call#1")
    call.write_chunk(0, b"\x01\x01")
    call.write_tail(0, tail)
    call.adopt_tail()
    assert call.chunks() == chunks
    call.release(done=True)


def test_a_full_spool_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls together count; what is there stays."""
    monkeypatch.setattr(spool, "MAX_BYTES", 1000)
    first, second = (SpooledCall.create(tmp_path, f"call#{n}") for n in (1, 2))
    first.write_chunk(0, bytes(600))
    with pytest.raises(OSError, match="the spool is full"):
        second.write_chunk(0, bytes(600))
    second.write_chunk(0, bytes(400))
    assert (first.chunks(), second.chunks()) == ({0: 600}, {0: 400})
    for call in (first, second):
        call.release(done=True)


def test_a_spool_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Nothing is made of it."""
    assert spool.waiting(tmp_path / "spool") == []
    assert not (tmp_path / "spool").exists()
