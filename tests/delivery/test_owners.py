"""Two keys, one spool: a call is delivered with the key that it was captured for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pipecat_roark import RoarkObserver, wire
from pipecat_roark.delivery.recovery import Recovery, deliver_left
from pipecat_roark.local import LocalRoark
from pipecat_roark.spool import journal
from pipecat_roark.spool.folder import SpooledCall, waiting
from pipecat_roark.spool.owner import fingerprint
from scenarios.faults import AT, FOR_GOOD, answer, first
from support.calls import Call

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp.typedefs import Handler


async def talk(call: Call) -> None:
    """Hold a short call."""
    await call.bot_says("Hello.", secs=0.3)
    await call.quiet()
    await call.end()


async def hold(name: str, key: str, spool_dir: Path) -> RoarkObserver:
    """Hold a call of a tenant, whose id is its name."""
    roark = RoarkObserver(
        agent_id="desk", api_key=key, pipecat_call_id=name, spool_dir=spool_dir, deadline_secs=1
    )
    await Call([roark], [roark.audio_processor]).hold(talk)
    return roark


@pytest.mark.live
async def test_a_call_waits_for_its_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    """Another tenant's observer leaves it alone and says that it is there."""
    spool_dir, keys = tmp_path / "spool", dict[str, str]()

    @web.middleware
    async def note_keys(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "POST":
            keys[(await request.json())["pipecatCallId"]] = request.headers["x-roark-api-key"]
        return await handler(request)

    away = LocalRoark(tmp_path / "away", middlewares=[first(FOR_GOOD, answer(503))])
    async with away:
        monkeypatch.setenv("ROARK_BASE_URL", away.url)
        assert (await hold("call of a", "key-a", spool_dir)).receipt.spooled
    port = int(away.url.rpartition(":")[2])
    async with LocalRoark(tmp_path / "calls", port=port, middlewares=[note_keys]):
        await hold("call of b", "key-b", spool_dir)
        assert keys == {"call of b": "key-b"}
        assert [line for line in log if "1 calls in the spool" in line]
        await hold("call 2 of a", "key-a", spool_dir)
        assert keys == {"call of b": "key-b", "call of a": "key-a", "call 2 of a": "key-a"}
    assert list(spool_dir.iterdir()) == []


def left(spool_dir: Path, name: str, owner: str) -> None:
    """Leave a call in a spool."""
    call = SpooledCall.create(spool_dir, name, owner)
    call.append(journal.line(AT, started=wire.call_started(name, AT, "desk").decode()))
    call.release(done=False)


async def test_a_call_waits_for_its_own_roark(tmp_path: Path) -> None:
    """A call of a test bench is not delivered to the real one."""
    async with LocalRoark(tmp_path / "calls") as roark:
        left(tmp_path, "bench", fingerprint("key", "https://bench.roark.test"))
        left(tmp_path, "real", fingerprint("key", roark.url))
        recovery = Recovery(tmp_path, roark.url, "key")
        recovered = [call.pipecat_call_id async for call in recovery.deliver()]
        assert recovered == ["real"]
        assert roark.calls.keys() == {"real"}
    assert recovery.others == 1
    assert len(waiting(tmp_path)) == 1


def test_no_key_is_on_disk(tmp_path: Path) -> None:
    """Only its fingerprint is."""
    left(tmp_path, "call", fingerprint("rk-private", "https://roark.test"))
    (folder,) = waiting(tmp_path)
    written = (folder / "journal").read_text()
    assert fingerprint("rk-private", "https://roark.test") in written
    assert "private" not in written


async def test_many_calls_go_several_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    """The log shows the progress of a long delivery, and in the end all calls are at Roark."""
    monkeypatch.setattr("pipecat_roark.delivery.recovery.REPORT_SECS", 0)
    at_once = most = 0

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await handler(request)
        finally:
            at_once -= 1

    async with LocalRoark(tmp_path / "calls", middlewares=[count]) as roark:
        for number in range(12):
            left(tmp_path / "spool", f"call {number}", fingerprint("key", roark.url))
        recovery = Recovery(tmp_path / "spool", roark.url, "key", at_once=5)
        seen = [call async for call in recovery.deliver()]
        assert sorted(call.number for call in seen) == [*range(1, 13)]
        assert {call.of for call in seen} == {12}
        assert len(roark.calls) == 12
        assert 2 <= most <= 5
        for number in range(3):
            left(tmp_path / "spool", f"more {number}", fingerprint("key", roark.url))
        await deliver_left(tmp_path / "spool", roark.url, "key")
        assert len(roark.calls) == 15
    told = [line for line in log if "are dealt with" in line]
    assert [line.split()[1:4] for line in told] == [[str(n), "of", "3"] for n in (1, 2, 3)]


async def test_one_call_of_a_process_delivers_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one waits for its turn, and goes on if the first has ended."""
    monkeypatch.setattr("pipecat_roark.delivery.recovery.TAKE_OVER_SECS", 0.01)
    began = asyncio.Event()
    go_on = asyncio.Event()

    @web.middleware
    async def hold_up(request: web.Request, handler: Handler) -> web.StreamResponse:
        began.set()
        await go_on.wait()
        return await handler(request)

    async with LocalRoark(tmp_path / "calls", middlewares=[hold_up]) as roark:
        for number in range(3):
            left(tmp_path / "spool", f"call {number}", fingerprint("key", roark.url))
        of_first = asyncio.create_task(deliver_left(tmp_path / "spool", roark.url, "key"))
        await began.wait()
        of_second = asyncio.create_task(deliver_left(tmp_path / "spool", roark.url, "key"))
        await asyncio.sleep(0.1)
        assert not of_second.done()
        await deliver_left(tmp_path / "spool", roark.url, "another key")
        of_first.cancel()
        await asyncio.wait([of_first])
        go_on.set()
        await asyncio.wait_for(of_second, 10)
        assert len(roark.calls) == 3
    assert waiting(tmp_path / "spool") == []
