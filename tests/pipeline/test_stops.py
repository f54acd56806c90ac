"""A process that is stopped while a call runs: what arrives, with a spool and without."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from pipecat_roark.delivery.recovery import Recovery
from pipecat_roark.local import LocalRoark
from scenarios.stops import WORDS, stop

if TYPE_CHECKING:
    from pathlib import Path

    from pipecat_roark.local import StoredCall

pytestmark = pytest.mark.process


def words(call: StoredCall) -> list[tuple[str, str]]:
    """Return who said what, by the end of a call that arrived whole."""
    assert call.complete, call.problems
    assert call.ended is not None
    assert call.recording is not None
    return [(turn["role"], turn["content"]) for turn in call.ended["transcript"]]


def reason(call: StoredCall) -> str:
    """Return why a call ended."""
    assert call.ended is not None
    return str(call.ended["callEndedReason"])


async def deliver(spool: Path, url: str) -> None:
    """Deliver what is left in a spool."""
    async for _ in Recovery(spool, url, "key").deliver():
        pass


async def test_roark_is_there(local: LocalRoark, tmp_path: Path) -> None:
    """With Pipecat's handler the call arrives whole, and at a session's limit it does, too.

    Without one SIGTERM kills at once: then a spool brings what was finished, and nothing else does.
    """
    spool = tmp_path / "spool"
    gone = await asyncio.gather(
        stop(local.url, "runner", "runner"),
        stop(local.url, "host", "host"),
        stop(local.url, "bare", "bare"),
        stop(local.url, "bare", "spooled", spool=spool),
    )
    assert all(gone)
    calls = local.calls
    assert [words(calls[name]) for name in ("runner", "host")] == [WORDS, WORDS]
    assert "process-died" not in {reason(calls[name]) for name in ("runner", "host")}
    assert {name for name, call in calls.items() if call.ended} == {"runner", "host"}
    await deliver(spool, local.url)
    calls = local.calls
    assert words(calls["spooled"]) == WORDS
    assert reason(calls["spooled"]) == "process-died"
    assert {name for name, call in calls.items() if call.ended} == {"runner", "host", "spooled"}


async def test_roark_is_away(tmp_path: Path) -> None:
    """A deadline below the grace lets the process end by itself; a spool has it all either way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    short, long = tmp_path / "short", tmp_path / "long"
    gone = await asyncio.gather(
        stop(url, "runner", "lost", deadline_secs=1),
        stop(url, "runner", "short", spool=short, deadline_secs=1),
        stop(url, "runner", "long", spool=long, deadline_secs=30, grace_secs=2),
    )
    assert [*gone] == [True, True, False]
    async with LocalRoark(tmp_path / "calls", port=port) as local:
        await deliver(short, local.url)
        await deliver(long, local.url)
        assert local.calls.keys() == {"short", "long"}
        assert [words(call) for call in local.calls.values()] == [WORDS, WORDS]
        assert "process-died" not in {reason(call) for call in local.calls.values()}
