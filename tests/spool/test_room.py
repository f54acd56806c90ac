"""How much a spool may hold, with a bounded amount of work for each chunk."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from pipecat_roark.spool import room as room_module
from pipecat_roark.spool.folder import SpooledCall
from pipecat_roark.spool.room import COUNT_SECS, FULL_SECS, SEARCH_SECS, Room, folders_of

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time that it was set to."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the time of all rooms, and let a spool hold a thousand bytes."""
    clock = Clock()
    monkeypatch.setattr(room_module, "time", clock)
    monkeypatch.setattr(room_module, "MAX_BYTES", 1000)
    return clock


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Collect the folders that are looked into when a spool is counted."""
    looks: list[Path] = []
    sizes = room_module.sizes_in

    def look(folder: Path) -> object:
        looks.append(folder)
        return sizes(folder)

    monkeypatch.setattr(room_module, "sizes_in", look)
    return looks


def fill(spool_dir: Path, calls: int, size: int) -> None:
    """Put calls with one chunk each into a spool."""
    for number in range(calls):
        folder = spool_dir / f"{number:05d}"
        folder.mkdir(parents=True)
        (folder / "000000.pcm").write_bytes(bytes(size))


def give_nothing(_: Path, size: int) -> int:
    """Keep everything."""
    assert size > 0
    return 0


def test_a_chunk_costs_no_more_in_a_spool_of_thousands(
    tmp_path: Path, looks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All calls are looked at once, not once for each chunk."""
    fill(tmp_path, 1000, 1)
    monkeypatch.setattr(room_module, "COUNT_SECS", 600)
    call = SpooledCall.create(tmp_path, "call", "somebody")
    for index in range(100):
        call.write_chunk(index, bytes(10))
        call.remove_chunk(index)
    assert len(looks) == 1001
    call.release(done=True)


def test_what_others_write_is_counted_from_time_to_time(
    tmp_path: Path, clock: Clock, looks: list[Path]
) -> None:
    """Other processes do not report what they write."""
    room = Room(tmp_path)
    fill(tmp_path, 1, 900)
    room.reserve(50, give_nothing)
    room.reserve(50, give_nothing)
    room.give_back(100)
    assert len(looks) == 1
    clock.now += COUNT_SECS
    room.reserve(1, give_nothing)
    assert len(looks) == 2


def test_a_spool_that_seems_full_is_counted_before_anything_gives_way(
    tmp_path: Path, clock: Clock
) -> None:
    """Other processes remove what arrived, too."""
    fill(tmp_path, 10, 100)
    room = Room(tmp_path)
    with pytest.raises(OSError, match="the spool is full"):
        room.reserve(1, give_nothing)
    (tmp_path / "00000" / "000000.pcm").unlink()
    clock.now += FULL_SECS
    room.reserve(1, give_nothing)


def test_a_full_spool_is_not_searched_for_every_chunk(
    tmp_path: Path, clock: Clock, looks: list[Path]
) -> None:
    """Calls that gave no room a moment ago are not asked again."""
    fill(tmp_path, 100, 10)
    room = Room(tmp_path)
    asked: list[Path] = []

    def ask(path: Path, _: int) -> int:
        asked.append(path)
        return 0

    for _ in range(50):
        with pytest.raises(OSError, match="the spool is full"):
            room.reserve(1, ask)
    assert asked == sorted(folders_of(tmp_path))
    assert len(looks) == 100
    clock.now += FULL_SECS
    with pytest.raises(OSError, match="the spool is full"):
        room.reserve(1, ask)
    assert len(asked) == 200


def test_a_search_is_bounded_and_goes_on_from_there(tmp_path: Path, clock: Clock) -> None:
    """A chunk that finds no room in time is not kept; the next one asks other calls."""
    fill(tmp_path, 100, 10)
    room = Room(tmp_path)
    asked: list[Path] = []

    def dawdle(path: Path, size: int) -> int:
        asked.append(path)
        clock.now += SEARCH_SECS / 2
        return size if path.name == "00003" else 0

    with pytest.raises(OSError, match="the spool is full"):
        room.reserve(1, dawdle)
    assert [path.name for path in asked] == ["00000", "00001"]
    clock.now -= SEARCH_SECS
    room.reserve(1, dawdle)
    room.reserve(1, dawdle)
    assert [path.name for path in asked[2:]] == ["00002", "00003", "00003"]


def test_a_folder_may_vanish_while_it_is_counted(tmp_path: Path, clock: Clock) -> None:  # noqa: ARG001
    """Its call has just arrived."""
    assert list(room_module.sizes_in(tmp_path / "gone")) == []
    assert list(folders_of(tmp_path / "gone")) == []
    fill(tmp_path, 1, 999)
    (tmp_path / "file").touch()
    Room(tmp_path).reserve(1, give_nothing)


def test_room_that_was_not_used_is_given_back(
    tmp_path: Path,
    clock: Clock,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A chunk that the disk did not take, and one that arrived, leave room for others."""
    call = SpooledCall.create(tmp_path, "call", "somebody")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipecat_roark.spool.files._write", fail)
        with pytest.raises(OSError, match="No space left"):
            call.write_chunk(0, bytes(1000))
    for _ in range(3):
        call.write_chunk(0, bytes(1000))
        call.remove_chunk(0)
    call.release(done=True)
