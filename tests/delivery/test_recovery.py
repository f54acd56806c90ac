"""Calls that a spool saves, delivered over HTTP to a local Roark."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pipecat_roark import Loss, RoarkObserver, Tally, wire
from pipecat_roark.budget import Share
from pipecat_roark.delivery import recovery
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.delivery.recovery import Recovered, Recovery
from pipecat_roark.local import LocalRoark
from pipecat_roark.report import CallReport
from pipecat_roark.spool import journal
from pipecat_roark.spool.folder import SpooledCall, waiting
from pipecat_roark.spool.owner import fingerprint
from pipecat_roark.spool.writer import SpoolWriter
from scenarios import crashes, fleets
from scenarios.faults import AT, FOR_GOOD, KEY, answer, first, hang
from support.calls import Call
from support.tails import records_of, tail_of

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp.typedefs import Handler

    from pipecat_roark.receipt import Receipt

OWNER = "somebody"
PCM = [bytes([n, 0]) * 4000 for n in range(1, 6)]
ENDED = CallReport(
    pipecat_call_id="call#1", started_at=AT, ended_at=AT, sample_rate=24000, num_channels=2
)


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    """Return a spool that is not there yet."""
    return tmp_path / "spool"


async def hold(roark: LocalRoark, spool_dir: Path, **options: Any) -> Receipt:
    """Deliver a call with a spool."""
    options = {"deadline_secs": 0.4, **options}
    delivery = Delivery(
        RoarkClient(roark.url, KEY, "call#1", answer_secs=options["deadline_secs"] / 4),
        label="call#1",
        spool=SpoolWriter(spool_dir, "call#1", owner=fingerprint(KEY, roark.url)),
        **options,
    )
    delivery.begin(wire.call_started("call#1", AT, "front-desk"))
    for pcm in PCM:
        delivery.add_audio(pcm)
    await delivery.finish(wire.call_ended(ENDED, AT))
    return delivery.receipt


async def deliver(roark: LocalRoark, spool_dir: Path, **options: Any) -> list[Recovered]:
    """Deliver what is left in a spool, whose calls were captured for another port."""
    recovery = Recovery(spool_dir, roark.url, KEY, any_key=True, **options)
    return [call async for call in recovery.deliver()]


def back(folder: Path, away: LocalRoark) -> LocalRoark:
    """Return a Roark that is well, in the place of one that was away."""
    return LocalRoark(folder, port=int(away.url.rpartition(":")[2]))


def left_in(spool_dir: Path, pattern: str = "*") -> list[Path]:
    """Return what is in a spool."""
    return list(spool_dir.glob(pattern))


async def assert_whole(roark: LocalRoark) -> None:
    """Check that the call arrived as it was captured."""
    call = await roark.wait_for_end("call#1", timeout=0.1)
    assert call.complete, call.problems
    assert [call.chunks[index].read_bytes() for index in range(len(PCM))] == PCM


async def test_a_call_that_arrives_leaves_nothing(tmp_path: Path, spool_dir: Path) -> None:
    """The spool is empty when the call is at Roark."""
    async with LocalRoark(tmp_path / "calls") as roark:
        receipt = await hold(roark, spool_dir, deadline_secs=5)
        await assert_whole(roark)
    assert receipt.whole
    assert left_in(spool_dir) == []


async def test_audio_behind_the_end_is_not_kept(tmp_path: Path, spool_dir: Path) -> None:
    """It is counted as lost, and no folder is left behind."""
    async with LocalRoark(tmp_path / "calls") as roark:
        spool = SpoolWriter(spool_dir, "call#1", owner=OWNER)
        delivery = Delivery(RoarkClient(roark.url, KEY, "call#1"), label="call#1", spool=spool)
        delivery.begin(wire.call_started("call#1", AT, "front-desk"))
        await delivery.finish(wire.call_ended(ENDED, AT))
        delivery.add_audio(PCM[0])
    assert [gap.what for gap in delivery.receipt.lost + delivery.receipt.spooled] == ["audio chunk"]
    assert left_in(spool_dir) == []


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (first(FOR_GOOD, hang), "no answer from Roark in time"),
        (first(FOR_GOOD, answer(503)), "Roark answered 503"),
        (first(FOR_GOOD, answer(401)), "Roark answered 401"),
    ],
    ids=["hangs", "503", "401"],
)
async def test_what_the_deadline_leaves_is_delivered_later(
    fault: Any, why: str, tmp_path: Path, spool_dir: Path, log: list[str]
) -> None:
    """Nothing is lost: the log says what waits, and the next delivery sends all of it."""
    async with LocalRoark(tmp_path / "away", middlewares=[fault]) as away:
        # Each chunk is tried.
        receipt = await hold(away, spool_dir, deadline_secs=3, jitter=min)
    assert receipt.lost == ()
    assert not receipt.whole
    assert {(gap.what, gap.count) for gap in receipt.spooled} == {
        ("call-started", 1),
        ("audio chunk", 5),
        ("call-ended", 1),
    }
    assert f"In the spool: 5 x audio chunk ({why}), " in log[-1]
    reason = "key-refused" if why.endswith("401") else "unavailable"
    assert [gap.reason for gap in receipt.spooled if gap.what == "audio chunk"] == [reason]
    async with LocalRoark(tmp_path / "calls") as roark:
        (recovered,) = await deliver(roark, spool_dir)
        await assert_whole(roark)
    assert recovered.pipecat_call_id == "call#1"
    assert recovered.receipt is not None
    assert recovered.receipt.whole
    assert recovered.receipt.chunks == Tally(captured=5, delivered=5)
    assert left_in(spool_dir) == []


async def test_only_what_is_missing_is_sent_again(tmp_path: Path, spool_dir: Path) -> None:
    """What arrived before the API went away is neither kept nor sent twice."""
    uploads, away = 0, True

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal uploads
        uploads += request.method == "PUT"
        if request.method == "PUT" and away and uploads > 2:
            return await answer(503)(request, handler)
        return await handler(request)

    async with LocalRoark(tmp_path / "calls", middlewares=[middleware]) as roark:
        receipt = await hold(roark, spool_dir)
        assert receipt.chunks.delivered == 2
        assert len(left_in(spool_dir, "*/*.pcm")) == 3
        uploads, away = 0, False
        (recovered,) = await deliver(roark, spool_dir)
        await assert_whole(roark)
    assert uploads == 3
    assert recovered.receipt is not None
    assert recovered.receipt.events == Tally(captured=1, delivered=1)


@pytest.mark.live
@pytest.mark.parametrize("memory", [Share(0), Share(max_process_bytes=0)])
async def test_audio_over_a_bound_is_read_back(
    memory: Share, tmp_path: Path, spool_dir: Path
) -> None:
    """With a spool, memory that is full costs no audio."""
    async with LocalRoark(tmp_path / "calls", middlewares=[first(2, answer(503))]) as roark:
        receipt = await hold(roark, spool_dir, memory=memory, deadline_secs=5)
        await assert_whole(roark)
    assert receipt.whole


async def test_what_never_arrives_is_not_kept(tmp_path: Path, spool_dir: Path) -> None:
    """It is lost, and no later delivery tries it again."""
    async with LocalRoark(tmp_path / "calls", middlewares=[first(1, answer(404))]) as roark:
        receipt = await hold(roark, spool_dir, deadline_secs=5)
    assert receipt.spooled == ()
    assert {gap.what for gap in receipt.lost} == {"call-started", "audio chunk", "call-ended"}
    assert left_in(spool_dir) == []


@pytest.mark.live
async def test_an_api_that_is_still_away_loses_nothing(tmp_path: Path, spool_dir: Path) -> None:
    """What can't be delivered now stays, however often it is tried."""
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, answer(503))]) as away:
        await hold(away, spool_dir)
        for _ in range(2):
            (recovered,) = await deliver(away, spool_dir, deadline_secs=0.2)
            assert recovered.receipt is not None
            assert recovered.receipt.lost == ()
            assert len(recovered.receipt.spooled) == 3
    async with LocalRoark(tmp_path / "calls") as roark:
        await deliver(roark, spool_dir)
        await assert_whole(roark)


async def test_a_spool_is_delivered_once(tmp_path: Path, spool_dir: Path) -> None:
    """Of several at the same time, one delivers each call; a call that runs is not touched."""
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    live = SpooledCall.create(spool_dir, "call#2", OWNER)
    async with LocalRoark(tmp_path / "calls") as roark:
        found = await asyncio.gather(*(deliver(roark, spool_dir) for _ in range(5)))
        await assert_whole(roark)
        assert roark.calls.keys() == {"call#1"}
    delivered = [call for calls in found for call in calls if call.receipt is not None]
    assert len(delivered) == 1
    live.release(done=True)


async def test_a_call_may_be_delivered_meanwhile(
    tmp_path: Path, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is gone when it is looked at is nothing to speak of."""
    monkeypatch.setattr("pipecat_roark.delivery.recovery.waiting", lambda _: [spool_dir / "gone"])
    async with LocalRoark(tmp_path / "calls") as roark:
        assert await deliver(roark, spool_dir) == []


async def test_what_cannot_be_read_costs_nothing_else(
    tmp_path: Path, spool_dir: Path, log: list[str]
) -> None:
    """A newer journal, an empty one and a folder in its place stay, and each is logged."""
    for name, content in {
        "0-newer": journal.line(AT, version=9, pipecatCallId="call#9"),
        "1-empty": b"",
    }.items():
        (spool_dir / name).mkdir(parents=True)
        (spool_dir / name / "journal").write_bytes(content)
    (spool_dir / "2-strange" / "journal").mkdir(parents=True)
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    log.clear()
    async with LocalRoark(tmp_path / "calls") as roark:
        calls = await deliver(roark, spool_dir)
        await assert_whole(roark)
    problems = {call.folder: call.problem for call in calls if call.problem}
    assert problems == {
        "0-newer": "it is of version 9, and this one reads 1",
        "1-empty": "its first line is damaged",
        "2-strange": "Is a directory",
    }
    assert len([line for line in log if "can't be read and stays there" in line]) == 3
    for name in ("0-newer", "1-empty"):
        taken = SpooledCall.lock(spool_dir / name)
        assert taken is not None
        taken.release(done=False)
    assert {path.name for path in left_in(spool_dir)} == problems.keys()


async def test_a_chunk_that_cannot_be_read_is_silence(tmp_path: Path, spool_dir: Path) -> None:
    """Its length is known, so that nothing after it shifts, and its loss is counted."""
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    (chunk,) = left_in(spool_dir, "*/000002.pcm")
    chunk.unlink()
    chunk.mkdir()
    size = chunk.stat().st_size
    async with LocalRoark(tmp_path / "calls") as roark:
        (recovered,) = await deliver(roark, spool_dir)
        call = await roark.wait_for_end("call#1")
    assert call.chunks[2].read_bytes() == bytes(size)
    assert [call.chunks[index].read_bytes() for index in (0, 1, 3, 4)] == [*PCM[:2], *PCM[3:]]
    assert recovered.receipt is not None
    assert recovered.receipt.lost == (
        Loss(
            what="audio chunk",
            count=1,
            why="sent as silence: it can't be read from the spool",
            reason="spool-unreadable",
        ),
    )


async def test_a_disk_that_fails_costs_the_spool_alone(
    tmp_path: Path, spool_dir: Path, log: list[str]
) -> None:
    """The call is delivered without the spool, and one warning says that it is not kept."""
    await asyncio.to_thread(spool_dir.write_text, "in the way")
    async with LocalRoark(tmp_path / "calls") as roark:
        receipt = await hold(roark, spool_dir, deadline_secs=5)
        await assert_whole(roark)
    assert receipt.whole
    assert [line for line in log if "any more: File exists." in line] == [log[0]]


async def test_a_spool_without_locks_is_said_once(
    tmp_path: Path, spool_dir: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All calls arrive, one warning is logged for all of them, and no folder is left."""
    fcntl = pytest.importorskip("fcntl")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    for number in range(3):
        async with LocalRoark(tmp_path / f"calls {number}") as roark:
            receipt = await hold(roark, spool_dir, deadline_secs=5)
            await assert_whole(roark)
        assert receipt.whole
    (line,) = [line for line in log if line.startswith("WARNING")]
    assert line == (
        f"WARNING No call is kept in the spool {spool_dir}: its file system has no locks "
        "(No locks available). What Roark doesn't take in time is lost."
    )
    assert left_in(spool_dir) == []


@pytest.mark.parametrize("why", ["the spool is full", "No space left on device"])
async def test_a_full_disk_costs_what_finds_no_room(
    why: str, tmp_path: Path, spool_dir: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other chunks are kept; those without room become silence, unless they arrive in time."""
    if why == "the spool is full":
        monkeypatch.setattr("pipecat_roark.spool.room.MAX_BYTES", 2 * len(PCM[0]))
    else:
        make_room_for(2, monkeypatch)
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, answer(503))]) as away:
        receipt = await hold(away, spool_dir)
    assert receipt.lost == (
        Loss(what="audio chunk", count=3, why="no room in the spool", reason="spool-full"),
    )
    assert {(gap.what, gap.count) for gap in receipt.spooled} == {
        ("call-started", 1),
        ("audio chunk", 2),
        ("call-ended", 1),
    }
    assert f"Audio of call call#1 finds no room in the spool: {why}." in log[0]
    assert "Lost: 3 x audio chunk (no room in the spool). In the spool: 2 x audio" in log[-1]
    assert len(log) == 3
    async with LocalRoark(tmp_path / "calls") as roark:
        (recovered,) = await deliver(roark, spool_dir)
        call = await roark.wait_for_end("call#1")
    assert call.complete
    silence = bytes(len(PCM[0]))
    assert [call.chunks[index].read_bytes() for index in range(5)] == [*PCM[:2], *3 * [silence]]
    assert recovered.receipt is not None
    assert recovered.receipt.chunks == Tally(captured=5, delivered=2)
    assert left_in(spool_dir) == []


async def test_a_full_disk_costs_nothing_that_arrives(
    tmp_path: Path, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory still has the audio, and no later delivery replaces it with silence."""
    make_room_for(0, monkeypatch)
    away = True

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if away and b"call-ended" in await request.read():
            return await answer(503)(request, handler)
        return await handler(request)

    async with LocalRoark(tmp_path / "calls", middlewares=[middleware]) as roark:
        receipt = await hold(roark, spool_dir)
        assert receipt.chunks == Tally(captured=5, delivered=5)
        assert receipt.lost == ()
        assert [gap.what for gap in receipt.spooled] == ["call-ended"]
        away = False
        (recovered,) = await deliver(roark, spool_dir)
        await assert_whole(roark)
    assert recovered.receipt is not None
    assert recovered.receipt.chunks == Tally()


def make_room_for(chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full for more audio."""
    write, left = os.write, chunks

    def fill(file: int, data: bytes) -> int:
        nonlocal left
        if len(data) == len(PCM[0]):
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    monkeypatch.setattr(os, "write", fill)


@pytest.mark.parametrize("arrived", [True, False])
async def test_an_event_of_any_name_is_delivered(
    tmp_path: Path, spool_dir: Path, *, arrived: bool
) -> None:
    """The recovery sends and counts every event that the journal keeps."""
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    (written,) = left_in(spool_dir, "*/journal")
    with written.open("ab") as file:
        file.write(journal.line(AT, **journal.event("call-paused", b'{"event":"call-paused"}')))
        if arrived:
            file.write(journal.line(AT, arrived="call-paused"))
    bodies: list[bytes] = []

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        bodies.append(body := await request.read())
        return web.Response() if b"call-paused" in body else await handler(request)

    async with LocalRoark(tmp_path / "calls", middlewares=[middleware]) as roark:
        (recovered,) = await deliver(roark, spool_dir)
    assert bodies.count(b'{"event":"call-paused"}') == (0 if arrived else 1)
    assert recovered.receipt is not None
    assert recovered.receipt.whole
    assert recovered.receipt.events == Tally(
        captured=2 + (not arrived), delivered=2 + (not arrived)
    )


async def test_a_chunk_that_arrived_is_not_sent_again(tmp_path: Path, spool_dir: Path) -> None:
    """Not even if the process died before its file was removed."""
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    (written,) = left_in(spool_dir, "*/journal")
    with written.open("ab") as file:
        file.write(journal.line(AT, arrived=3))
    async with LocalRoark(tmp_path / "calls") as roark:
        await deliver(roark, spool_dir)
        call = await roark.wait_for_end("call#1")
    assert call.chunks.keys() == {0, 1, 2, 4}
    assert left_in(spool_dir) == []


async def test_a_call_that_arrived_is_not_sent_again(tmp_path: Path, spool_dir: Path) -> None:
    """Its process died after `call-ended` had arrived, before the folder was removed."""
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    (written,) = left_in(spool_dir, "*/journal")
    with written.open("ab") as file:
        file.write(journal.line(AT, arrived="call-ended"))
    async with LocalRoark(tmp_path / "calls") as roark:
        assert await deliver(roark, spool_dir) == []
        assert roark.calls == {}
    assert left_in(spool_dir) == []


@pytest.mark.parametrize("live", [False, True])
async def test_who_is_cancelled_leaves_a_call_to_others(
    tmp_path: Path, spool_dir: Path, monkeypatch: pytest.MonkeyPatch, *, live: bool
) -> None:
    """Even in the moment when it is taken over, in a thread."""
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    (folder,) = waiting(spool_dir)
    other = SpooledCall.lock(folder) if live else None
    take, took, go_on = SpooledCall.lock, threading.Event(), threading.Event()

    def dawdle(path: Path) -> SpooledCall | None:
        call = take(path)
        took.set()
        assert go_on.wait(5)
        return call

    monkeypatch.setattr(SpooledCall, "lock", dawdle)
    delivering = asyncio.create_task(recovery.deliver_left(spool_dir, away.url, KEY))
    assert await asyncio.to_thread(took.wait, 5)
    delivering.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    if other is not None:
        other.release(done=False)
    async with LocalRoark(tmp_path / "calls") as roark:
        await deliver(roark, spool_dir)
        await assert_whole(roark)


@pytest.mark.live
async def test_a_tail_without_room_is_said_once(
    local: LocalRoark,
    spool_dir: Path,
    warned: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The call goes on, and arrives."""

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SpooledCall, "write_tail", fail)
    roark = RoarkObserver(agent_id="front-desk", spool_dir=spool_dir)
    await Call([roark], [roark.audio_processor]).hold(talk)
    assert (await local.wait_for_end(roark.pipecat_call_id)).complete
    (line,) = warned
    assert "finds no room in the spool: No space left on device." in line
    assert left_in(spool_dir) == []


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [("DISK_SECS", 0.05, "the disk doesn't answer"), ("MAX_BACKLOG", 2, "the disk can't keep up")],
)
async def test_a_slow_disk_is_not_waited_for(  # noqa: PLR0913, PLR0917
    limit: str,
    value: float,
    why: str,
    tmp_path: Path,
    spool_dir: Path,
    log: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The call goes on without the spool."""
    release = asyncio.Event()
    write, loop = SpooledCall.append, asyncio.get_running_loop()

    def dawdle(call: SpooledCall, lines: bytes) -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        write(call, lines)

    monkeypatch.setattr(SpooledCall, "append", dawdle)
    monkeypatch.setattr(f"pipecat_roark.spool.writer.{limit}", value)
    async with LocalRoark(tmp_path / "calls") as roark:
        holding = asyncio.create_task(hold(roark, spool_dir, deadline_secs=5))
        await asyncio.sleep(0.2)
        release.set()
        receipt = await holding
        await assert_whole(roark)
    assert receipt.whole
    assert f"any more: {why}." in log[0]


async def talk(call: Call) -> None:
    """Hold a short call."""
    await call.bot_says("Hello.", secs=0.3)
    await call.quiet()
    await asyncio.sleep(0.3)
    await call.end()


@pytest.mark.live
async def test_the_next_observer_delivers_what_is_left(
    tmp_path: Path, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside its own call, from the same spool."""
    monkeypatch.setenv("ROARK_API_KEY", KEY)
    monkeypatch.setenv("ROARK_SPOOL_DIR", str(spool_dir))
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        monkeypatch.setenv("ROARK_BASE_URL", away.url)
        left = RoarkObserver(agent_id="front-desk", pipecat_call_id="left", deadline_secs=0.3)
        await Call([left], [left.audio_processor]).hold(talk)
    assert {gap.what for gap in left.receipt.spooled} == {
        "call-started",
        "audio chunk",
        "call-ended",
    }
    async with back(tmp_path / "calls", away) as roark:
        monkeypatch.setenv("ROARK_BASE_URL", roark.url)
        own = RoarkObserver(agent_id="front-desk", pipecat_call_id="own")
        await Call([own], [own.audio_processor]).hold(talk)
        for name in ("left", "own"):
            call = await roark.wait_for_end(name)
            assert call.complete, call.problems
            assert call.ended is not None
            assert [turn["content"] for turn in call.ended["transcript"]] == ["Hello."]
            assert call.recording is not None
    assert left_in(spool_dir) == []


async def test_a_call_that_meets_a_dead_api_lets_the_others_rest(
    tmp_path: Path, spool_dir: Path, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call that can't be delivered is the last one that is tried."""
    monkeypatch.setattr(recovery, "DEADLINE_SECS", 0.1)
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, answer(503))]) as away:
        for _ in range(2):
            await hold(away, spool_dir, deadline_secs=0.1)
        warned.clear()
        await recovery.deliver_left(spool_dir, away.url, KEY)
    assert len([line for line in warned if "is not whole at Roark" in line]) == 1
    assert len(waiting(spool_dir)) == 2


async def test_a_call_of_another_process_holds_up_no_other(tmp_path: Path, spool_dir: Path) -> None:
    """It is skipped."""
    other = SpooledCall.create(spool_dir, "call#0", OWNER)
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    async with back(tmp_path / "calls", away) as roark:
        await recovery.deliver_left(spool_dir, roark.url, KEY)
        await assert_whole(roark)
    assert waiting(spool_dir) == [other.path]
    other.release(done=True)


@pytest.mark.live
async def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path, spool_dir: Path) -> None:
    """What is noted behind it can be read."""
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    (written,) = left_in(spool_dir, "*/journal")
    before = [line for line in written.read_bytes().splitlines() if b'"ended"' not in line]
    written.write_bytes(b"\n".join([*before, b'{"at":"2026-03-01T12:00:00.000Z","arr']))
    assert not journal.replay(written.read_bytes()).finished
    faults = [first(FOR_GOOD, answer(503), "call-ended")]
    async with LocalRoark(tmp_path / "calls", middlewares=faults) as roark:
        await deliver(roark, spool_dir, deadline_secs=0.3)
    noted = journal.replay(written.read_bytes())
    assert noted.finished
    assert noted.arrived == {"call-started", 0, 1, 2, 3, 4}


async def test_a_tail_behind_the_end_is_no_chunk(tmp_path: Path, spool_dir: Path) -> None:
    """All audio of a call that came to its end is in its chunks."""
    async with LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, hang)]) as away:
        await hold(away, spool_dir)
    (folder,) = waiting(spool_dir)
    with (folder / "journal").open("ab") as file:
        file.write(journal.line(AT, set={"recordingSampleRate": 24000}))
    (folder / "000005.ends").write_bytes(records_of(PCM[0]))
    async with LocalRoark(tmp_path / "calls") as roark:
        await deliver(roark, spool_dir)
        await assert_whole(roark)
        assert roark.calls["call#1"].chunks.keys() == set(range(5))


@pytest.mark.live
@pytest.mark.parametrize("kept", ["tail", "chunk"])
async def test_audio_alone_is_a_call(kept: str, spool_dir: Path) -> None:
    """The draft tells of the recording as soon as there is one, and is not made for nothing.

    A call in which nothing happens still gives signs of life.
    """
    writer, audio, drafts = SpoolWriter(spool_dir, "call#1", owner=OWNER), b"", 0

    def draft(recorded: bool) -> wire.CallEnded:  # noqa: FBT001
        nonlocal drafts
        drafts += 1
        event = wire.call_ended_event(ENDED, AT)
        if not recorded:
            del event["recordingSampleRate"]
        return event

    following = asyncio.create_task(
        writer.follow(draft, lambda *_: tail_of(audio if kept == "tail" else b""))
    )
    writer.note_change()
    await asyncio.sleep(0.6)
    audio = PCM[0]
    if kept == "chunk":
        writer.keep_chunk(0, audio)
    await asyncio.sleep(1.2)
    following.cancel()
    await asyncio.wait([following])
    await writer.close(done=False)
    (written,) = left_in(spool_dir, "*/journal")
    data = written.read_bytes()
    assert journal.replay(data).recorded
    assert drafts == 2
    began, died = (
        datetime.fromisoformat(moment.replace("Z", "+00:00"))
        for moment in (
            json.loads(data.splitlines()[0])["at"],
            json.loads(journal.replay(data).ended)["callEndedAt"],
        )
    )
    assert timedelta(seconds=1.2) < died - began < timedelta(seconds=2.5)


@pytest.mark.live
async def test_an_observer_lives_without_its_spool(
    local: LocalRoark, tmp_path: Path, log: list[str]
) -> None:
    """A folder that can't be created is logged once, and the call arrives."""
    (tmp_path / "file").touch()
    roark = RoarkObserver(agent_id="front-desk", spool_dir=tmp_path / "file" / "spool")
    await Call([roark], [roark.audio_processor]).hold(talk)
    assert (await local.wait_for_end(roark.pipecat_call_id)).complete
    assert len([line for line in log if "any more: Not a dir" in line]) == 1


@pytest.mark.process
@pytest.mark.parametrize("secs", [0.0, 1.0, 3.5])
async def test_a_killed_process_loses_next_to_nothing(
    secs: float, tmp_path: Path, spool_dir: Path
) -> None:
    """Its finished turns and tool calls arrive, and its audio but for the last moment, once."""
    async with crashes.roark(tmp_path / "calls") as local:
        assert await crashes.missing(local, spool_dir, "call", secs) == []


async def test_what_the_store_refuses_again_and_again_is_given_up_by_the_next(
    tmp_path: Path, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first delivery leaves it in the spool; the next one counts it as lost and goes on."""
    monkeypatch.setattr("pipecat_roark.delivery.retry.WAIT_INITIAL", 0.001)
    faults = [first(FOR_GOOD, answer(413), "upload")]
    async with LocalRoark(tmp_path / "calls", middlewares=faults) as roark:
        receipt = await hold(roark, spool_dir, deadline_secs=5)
        assert receipt.lost == ()
        assert {(gap.what, gap.count) for gap in receipt.spooled} == {
            ("audio chunk", 5),
            ("call-ended", 1),
        }
        (recovered,) = await deliver(roark, spool_dir)
        call = await roark.wait_for_end("call#1")
    assert call.ended is not None
    assert recovered.receipt is not None
    assert [(loss.count, loss.reason) for loss in recovered.receipt.lost] == [(5, "rejected")]
    assert left_in(spool_dir) == []


async def test_an_error_of_ours_loses_nothing(
    tmp_path: Path, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only Roark's own no is final: the call waits in the spool."""

    async def fail(*_: object) -> None:
        raise ValueError

    async with LocalRoark(tmp_path / "calls") as roark:
        with monkeypatch.context() as patch:
            patch.setattr(RoarkClient, "upload_chunk", fail)
            receipt = await hold(roark, spool_dir)
        assert receipt.lost == ()
        assert [gap.reason for gap in receipt.spooled if gap.what == "audio chunk"] == [
            "internal-error"
        ]
        await deliver(roark, spool_dir)
        await assert_whole(roark)


async def test_no_other_call_is_begun_when_it_is_enough(tmp_path: Path, spool_dir: Path) -> None:
    """The one that was begun is finished."""
    async with LocalRoark(tmp_path / "calls") as roark:
        for number in range(6):
            fleets.leave(spool_dir, roark.url, f"call-{number}", chunks=1)
        recovery = Recovery(spool_dir, roark.url, fleets.KEY)
        done = [call async for call in recovery.deliver(lambda: bool(roark.calls))]
        assert len(done) == len(roark.calls) == 1
        assert roark.calls["call-0"].complete
        assert len(waiting(spool_dir)) == 5
        assert [call async for call in recovery.deliver(lambda: True)] == []


async def test_a_call_that_cannot_be_read_is_one_warning(
    tmp_path: Path, spool_dir: Path, warned: list[str]
) -> None:
    """However often it is tried; when it can be read, it is delivered."""
    async with LocalRoark(tmp_path / "calls") as roark:
        fleets.leave(spool_dir, roark.url, "call-0", chunks=1)
        (folder,) = waiting(spool_dir)
        file = folder / "journal"
        whole = await asyncio.to_thread(file.read_bytes)
        await asyncio.to_thread(file.write_bytes, b"?\n")
        recovery = Recovery(spool_dir, roark.url, fleets.KEY)
        for _ in range(2):
            (call,) = [call async for call in recovery.deliver()]
            assert call.problem
            assert recovery.unreadable == {folder.name}
        assert len(warned) == 1
        await asyncio.to_thread(file.write_bytes, whole)
        (call,) = [call async for call in recovery.deliver()]
        assert call.receipt is not None
        assert call.receipt.whole
        assert recovery.unreadable == set()
