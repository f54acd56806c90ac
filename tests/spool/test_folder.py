"""The folders of a spool."""

from __future__ import annotations

import errno
import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from pipecat_roark.spool import journal
from pipecat_roark.spool.folder import SpooledCall, waiting

AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


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
    (folder,) = waiting(tmp_path / "spool")
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("000000.pcm", "000001.tail", "journal", "lock"), 0o600
    )
    taken = SpooledCall.lock(folder)
    assert taken is not None
    assert taken.read().pipecat_call_id == "call#1"
    taken.adopt_tail()
    assert taken.chunks() == {0: 400, 1: 4}
    assert taken.read_chunk(1) == b"\x02" * 4
    taken.remove_chunk(0)
    taken.remove_chunk(0)
    assert taken.chunks() == {1: 4}
    taken.release(done=True)
    assert waiting(tmp_path / "spool") == []


def test_a_call_has_one_owner(tmp_path: Path) -> None:
    """While a process holds it, nobody takes it; then somebody does, once."""
    call = SpooledCall.create(tmp_path, "call#1")
    (folder,) = waiting(tmp_path)
    assert SpooledCall.lock(folder) is None
    call.release(done=False)
    taken = SpooledCall.lock(folder)
    assert taken is not None
    assert SpooledCall.lock(folder) is None
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
    assert not list(call.path.glob("*.tail"))
    call.adopt_tail()
    assert call.chunks() == {1: 2}
    call.release(done=True)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """Whoever holds many calls one after the other runs out of nothing."""
    before = len(list(Path("/dev/fd").iterdir()))
    call = held(tmp_path, "call-started", live=True)
    assert SpooledCall.lock(call.path) is None
    call.release(done=False)
    taken = SpooledCall.lock(call.path)
    assert taken is not None
    taken.release(done=True)
    assert len(list(Path("/dev/fd").iterdir())) == before


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


def held(spool_dir: Path, *arrived: str, live: bool = False, chunks: int = 2) -> SpooledCall:
    """Put a call with a few chunks into a spool."""
    call = SpooledCall.create(spool_dir, "call")
    for index in range(chunks):
        call.write_chunk(index, bytes(100))
    for what in arrived:
        call.append(journal.line(AT, arrived=what))
    if not live:
        call.release(done=False)
    return call


def test_a_full_spool_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls together count; one of which nothing arrived keeps its audio, and so a live one."""
    monkeypatch.setattr("pipecat_roark.spool.folder.MAX_BYTES", 1000)
    left = held(tmp_path)
    live = held(tmp_path, "call-started", live=True)
    own = held(tmp_path, "call-started", live=True, chunks=6)
    with pytest.raises(OSError, match="the spool is full"):
        own.write_chunk(6, bytes(1))
    assert [len(call.chunks()) for call in (left, live, own)] == [2, 2, 6]
    for call in (live, own):
        call.release(done=True)


def test_calls_that_began_to_arrive_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first, no more than need be, and the length of what goes is kept."""
    monkeypatch.setattr("pipecat_roark.spool.folder.MAX_BYTES", 1000)
    (tmp_path / "0-strange" / "journal").mkdir(parents=True)
    (tmp_path / "1-damaged").mkdir()
    (tmp_path / "1-damaged" / "journal").touch()
    untouched = held(tmp_path)
    older, newer = held(tmp_path, "call-started"), held(tmp_path, "call-started", chunks=4)
    own = held(tmp_path, live=True)
    own.write_chunk(2, bytes(300))
    assert [len(call.chunks()) for call in (untouched, older, newer)] == [2, 0, 3]
    assert older.read().absent == {0: 100, 1: 100}
    assert newer.read().absent == {0: 100}
    own.release(done=True)
    assert [SpooledCall.lock(call.path) is not None for call in (older, newer)] == [True, True]


def test_a_file_that_finds_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half of it is there, and what was known of it makes room for others."""
    call = held(tmp_path, live=True, chunks=0)
    call.write_tail(0, b"\x01" * 200)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("pipecat_roark.spool.folder._write", fail)
    with pytest.raises(OSError, match="full"):
        call.write_chunk(0, b"\x01" * 200)
    monkeypatch.undo()
    assert sorted(path.name for path in call.path.iterdir()) == ["journal", "lock"]
    call.release(done=True)


def test_a_spool_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Nothing is made of it."""
    assert waiting(tmp_path / "spool") == []
    assert not (tmp_path / "spool").exists()
