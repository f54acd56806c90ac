"""The writer, on a machine in trouble."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

import pytest

from pipecat_roark import guard
from pipecat_roark.spool.folder import SpooledCall, waiting
from pipecat_roark.spool.tail import Tail
from pipecat_roark.spool.writer import SpoolWriter
from pipecat_roark.wire import CallEnded

if TYPE_CHECKING:
    from pathlib import Path


def chunks_in(spool_dir: Path) -> int:
    """Return how many chunks are in a spool."""
    return len([*spool_dir.glob("*/*.pcm")])


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
    assert "any more: Too many open files." in line
    await writer.close(done=True)


@pytest.mark.parametrize(("grown_secs", "made"), [(1000.0, 1), (0.0, 2)])
async def test_what_only_goes_on_can_wait(
    grown_secs: float, made: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audio of the bot comes 25 times a second; a draft for each would cost too much."""
    monkeypatch.setattr("pipecat_roark.spool.writer.NOTE_SECS", 0.001)
    monkeypatch.setattr("pipecat_roark.spool.writer.DRAFT_SECS", 0)
    monkeypatch.setattr("pipecat_roark.spool.writer.DRAFT_SHARE", 1e9)
    monkeypatch.setattr("pipecat_roark.spool.writer.GROWN_SECS", grown_secs)
    writer, drafts, looks = SpoolWriter(tmp_path, "call#1", owner="somebody"), 0, 0

    def draft(_: bool) -> CallEnded:  # noqa: FBT001
        nonlocal drafts
        drafts += 1
        return CallEnded()

    def tail(*_: object) -> Tail:
        nonlocal looks
        looks += 1
        return Tail()

    async def look() -> None:
        seen = looks
        while looks < seen + 3:  # noqa: ASYNC110  # the writer tells nobody
            await asyncio.sleep(0.001)

    writer.note_change()
    following = asyncio.create_task(writer.follow(draft, tail))
    await look()
    assert drafts == 1
    writer.note_change(growing=True)
    await look()
    assert drafts == made
    writer.note_change()
    await look()
    assert drafts == made + 1
    following.cancel()
    await asyncio.wait([following])
    await writer.close(done=True)


async def test_a_chunk_does_not_wake_the_thread_of_a_call_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on disk before it is sent, and with the next note at the latest."""
    monkeypatch.setattr("pipecat_roark.spool.writer.NOTE_SECS", 1000)
    writer = SpoolWriter(tmp_path, "call#1", owner="somebody")
    following = asyncio.create_task(writer.follow(lambda _: CallEnded(), lambda tail, _: tail))
    await asyncio.sleep(0.02)  # until it has begun
    writer.keep_chunk(1, bytes(4))
    await asyncio.sleep(0.05)
    assert chunks_in(tmp_path) == 0
    assert await writer.flushed()
    assert chunks_in(tmp_path) == 1
    following.cancel()
    await asyncio.wait([following])
    writer.keep_chunk(2, bytes(4))
    while chunks_in(tmp_path) < 2:  # noqa: ASYNC110  # the writer tells nobody
        await asyncio.sleep(0.001)
    await writer.close(done=True)


async def test_a_draft_that_fails_costs_the_draft_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    """The journal goes on to say that the call is alive."""
    monkeypatch.setattr(guard, "RERAISE", False)
    writer, asked = SpoolWriter(tmp_path, "call#1", owner="somebody"), asyncio.Event()

    def draft(_: bool) -> CallEnded:  # noqa: FBT001
        asked.set()
        raise ZeroDivisionError

    following = asyncio.create_task(writer.follow(draft, lambda tail, _: tail))
    await asked.wait()
    await asyncio.sleep(0)
    assert await writer.flushed()
    following.cancel()
    await asyncio.wait([following])
    (call,) = waiting(tmp_path)
    assert len((call / "journal").read_bytes().splitlines()) == 2
    assert "ZeroDivisionError" in warned[0]
    await writer.close(done=True)
