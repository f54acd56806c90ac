"""The folders of a spool."""

from __future__ import annotations

import errno
import os
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from pipecat_roark.spool import journal
from pipecat_roark.spool.folder import (
    STALE_SECS,
    SpooledCall,
    owner_of,
    remove_remains,
    waiting,
)
from support.tails import records_of

OWNER = "somebody"
AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def test_a_call_is_private_and_comes_back(tmp_path: Path) -> None:
    """Only its user can read its folder and files, and a later process finds all of it."""
    umask = os.umask(0)
    try:
        call = SpooledCall.create(tmp_path / "spool", "call#1", OWNER)
        call.write_chunk(0, b"\x01" * 400)
        call.write_tail(1, records_of(b"\x02" * 404))
    finally:
        os.umask(umask)
    call.release(done=False)
    (folder,) = waiting(tmp_path / "spool")
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("000000.pcm", "000001.ends", "journal", "lock"), 0o600
    )
    taken = SpooledCall.lock(folder)
    assert taken is not None
    assert taken.read().pipecat_call_id == "call#1"
    taken.adopt_tail(400)
    assert taken.chunks() == {0: 400, 1: 400, 2: 4}
    assert taken.read_chunk(1) + taken.read_chunk(2) == b"\x02" * 404
    taken.remove_chunk(0)
    taken.remove_chunk(0)
    assert taken.chunks() == {1: 400, 2: 4}
    taken.release(done=True)
    assert waiting(tmp_path / "spool") == []


def test_a_call_has_one_owner(tmp_path: Path) -> None:
    """While one process holds it, no other can lock it; afterwards exactly one can."""
    call = SpooledCall.create(tmp_path, "call#1", OWNER)
    (folder,) = waiting(tmp_path)
    assert SpooledCall.lock(folder) is None
    call.release(done=False)
    taken = SpooledCall.lock(folder)
    assert taken is not None
    assert SpooledCall.lock(folder) is None
    taken.release(done=True)


@pytest.mark.parametrize("begun", [True, False])
def test_the_tail_follows_the_chunk(begun: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """What a chunk does not hold of the tail stays the tail."""
    call = SpooledCall.create(tmp_path, "call#1", OWNER)
    one, two, three = b"\x01" * 4, b"\x02" * 4, b"\x03" * 4
    call.write_tail(0, records_of(one))
    call.write_tail(0, records_of(one + two + three))
    for index, chunk in enumerate((one, two)):
        call.write_chunk(index, chunk)
        call.remove_chunk(index)
    if begun:
        call.write_tail(2, records_of(three))
    assert len(list(call.path.glob("*.ends"))) == 1
    call.adopt_tail(400)
    assert call.chunks() == {2: 4}
    assert call.read_chunk(2) == three
    assert not list(call.path.glob("*.ends"))
    call.adopt_tail(400)
    assert call.chunks() == {2: 4}
    call.release(done=True)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """A process that holds many calls one after the other does not run out of descriptors."""
    before = len(list(Path("/dev/fd").iterdir()))
    call = spooled_call(tmp_path, "call-started", live=True)
    call.write_tail(2, records_of(b"\x01" * 4))
    assert SpooledCall.lock(call.path) is None
    call.release(done=False)
    taken = SpooledCall.lock(call.path)
    assert taken is not None
    taken.release(done=True)
    assert len(list(Path("/dev/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("tail", "chunks"), [(b"\x01" * 4 + b"\x02" * 4, {0: 4, 1: 4}), (b"\x01" * 4, {0: 4})]
)
def test_a_process_may_die_between_chunk_and_tail(
    tail: bytes, chunks: dict[int, int], tmp_path: Path
) -> None:
    """Nothing is there twice."""
    call = SpooledCall.create(tmp_path, "call#1", OWNER)
    call.write_chunk(0, b"\x01" * 4)
    call.write_tail(0, records_of(tail))
    call.adopt_tail(400)
    assert call.chunks() == chunks
    call.release(done=True)


def spooled_call(
    spool_dir: Path, *arrived: str, live: bool = False, chunks: int = 2
) -> SpooledCall:
    """Put a call with a few chunks into a spool."""
    call = SpooledCall.create(spool_dir, "call", OWNER)
    for index in range(chunks):
        call.write_chunk(index, bytes(100))
    for what in arrived:
        call.append(journal.line(AT, arrived=what))
    if not live:
        call.release(done=False)
    return call


def test_a_full_spool_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls together count; one of which nothing arrived keeps its audio, and so a live one."""
    monkeypatch.setattr("pipecat_roark.spool.room.MAX_BYTES", 1000)
    left = spooled_call(tmp_path)
    live = spooled_call(tmp_path, "call-started", live=True)
    own = spooled_call(tmp_path, "call-started", live=True, chunks=6)
    with pytest.raises(OSError, match="the spool is full"):
        own.write_chunk(6, bytes(1))
    assert [len(call.chunks()) for call in (left, live, own)] == [2, 2, 6]
    for call in (live, own):
        call.release(done=True)


def test_calls_that_began_to_arrive_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first, no more than need be, and the length of what goes is kept."""
    monkeypatch.setattr("pipecat_roark.spool.room.MAX_BYTES", 1000)
    (tmp_path / "0-strange" / "journal").mkdir(parents=True)
    (tmp_path / "1-damaged").mkdir()
    (tmp_path / "1-damaged" / "journal").touch()
    untouched = spooled_call(tmp_path)
    older, newer = (
        spooled_call(tmp_path, "call-started"),
        spooled_call(tmp_path, "call-started", chunks=4),
    )
    own = spooled_call(tmp_path, live=True)
    own.write_chunk(2, bytes(300))
    assert [len(call.chunks()) for call in (untouched, older, newer)] == [2, 0, 3]
    assert older.read().absent == {0: 100, 1: 100}
    assert newer.read().absent == {0: 100}
    own.release(done=True)
    assert [SpooledCall.lock(call.path) is not None for call in (older, newer)] == [True, True]


def test_a_file_that_finds_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No part of it is left, and its tail is removed, too."""
    call = spooled_call(tmp_path, live=True, chunks=0)
    call.write_tail(0, records_of(b"\x01" * 200))

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("pipecat_roark.spool.files._write", fail)
    with pytest.raises(OSError, match="full"):
        call.write_chunk(0, b"\x01" * 200)
    monkeypatch.undo()
    assert sorted(path.name for path in call.path.iterdir()) == ["journal", "lock"]
    call.release(done=True)


def test_a_tail_that_finds_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what was written before, nor what a chunk left of it; the next one is there again."""
    call = spooled_call(tmp_path, live=True, chunks=0)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    for chunks in (0, 1):
        call.write_tail(0, records_of(b"\x01" * 8))
        for index in range(chunks):
            call.write_chunk(index, b"\x01" * 4)
            call.remove_chunk(index)
        with monkeypatch.context() as patch:
            patch.setattr("pipecat_roark.spool.files._write", fail)
            with pytest.raises(OSError, match="full"):
                call.write_tail(chunks, records_of(b"\x02" * 4))
        assert not list(call.path.glob("*.ends"))
    call.write_tail(1, records_of(b"\x03" * 4))
    call.adopt_tail(400)
    assert call.read_chunk(1) == b"\x03" * 4
    call.release(done=True)


def test_a_spool_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Nothing is made of it."""
    assert waiting(tmp_path / "spool") == []
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("secs", [STALE_SECS - 10, STALE_SECS + 10])
def test_remains_are_removed(tmp_path: Path, secs: float) -> None:
    """A folder without a journal is no call; it may become one while it is young."""
    began = time.time_ns() - int(secs * 1e9)
    folder = tmp_path / f"{began:020d}-abcd1234"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "000001.ends").touch()
    strange = tmp_path / "strange"
    strange.mkdir()
    call = spooled_call(tmp_path)
    remove_remains(tmp_path)
    assert strange.exists()
    assert call.path.exists()
    assert folder.exists() is (secs < STALE_SECS)


def test_remains_that_somebody_holds_stay(tmp_path: Path) -> None:
    """The other process is about to write the journal, or to remove the folder itself."""
    folder = tmp_path / f"{0:020d}-abcd1234"
    folder.mkdir()
    held_now = SpooledCall.lock(folder)
    assert held_now is not None
    remove_remains(tmp_path)
    assert folder.exists()
    held_now.release(done=False)
    remove_remains(tmp_path)
    assert not folder.exists()
    remove_remains(tmp_path / "no spool")


def test_a_call_that_cannot_begin_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its folder nor its lock."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("pipecat_roark.spool.files._write", fail)
    with pytest.raises(OSError, match="full"):
        SpooledCall.create(tmp_path, "call", OWNER)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    """Another process has just delivered the call."""
    with pytest.raises(FileNotFoundError):
        SpooledCall.lock(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("first_line", "owner"),
    [
        (journal.header(AT, "call", OWNER), OWNER),
        (b'{"at":"now","version":1,"pipecatCallId":"call"}\n', ""),
        (b"", None),
        (b"[]\n", None),
        (b'{"at":"no', None),
        (b"\xff\n", None),
    ],
)
def test_a_journal_says_whose_call_it_is(
    tmp_path: Path, first_line: bytes, owner: str | None
) -> None:
    """The first line has the owner. That of 0.3.0 has none, and a damaged one can't be read."""
    (tmp_path / "journal").write_bytes(first_line)
    assert owner_of(tmp_path) == owner
    (tmp_path / "journal").unlink()
    assert owner_of(tmp_path) is None


def test_a_call_is_gone_as_soon_as_it_begins_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies while it removes a call leaves nothing that is delivered again."""
    call = spooled_call(tmp_path, live=True)

    def fail(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("shutil.rmtree", fail)
    with pytest.raises(PermissionError):
        call.release(done=True)
    assert call.path.exists()
    assert waiting(tmp_path) == []
