"""The command that delivers spools, as a process, against a Roark on this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from pipecat_roark.local import LocalRoark
from pipecat_roark.spool.folder import waiting
from scenarios import exits
from scenarios.fleets import Door, deliver, leave

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.live]
PATIENCE_SECS = 120
NAMES = [f"call-{number}" for number in range(12)]


async def output(process: asyncio.subprocess.Process) -> list[str]:
    """Return what a process prints until it ends."""
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECS)
    return out.decode().splitlines()


async def test_two_drainers_share_a_spool_that_crashes_left(tmp_path: Path) -> None:
    """Roark is away and comes back: each call arrives once, whole, and the spool is empty."""
    spool_dir, door = tmp_path / "spool", Door()
    door.is_open = False
    async with LocalRoark(tmp_path / "calls", middlewares=[door.middleware]) as roark:
        for number in range(2):
            await exits.killed(1.5, roark, spool_dir, "scenarios.crashes", f"crashed-{number}")
        for name in NAMES:
            leave(spool_dir, roark.url, name, chunks=2)
        door.refused.clear()
        argv = (str(spool_dir), "--until-empty", "--every", "0.2", "--timeout", "100s")
        drainers = [await deliver(roark.url, *argv) for _ in range(2)]
        await asyncio.wait_for(door.refused.wait(), PATIENCE_SECS)
        door.is_open = True
        lines = [await output(drainer) for drainer in drainers]
        assert [drainer.returncode for drainer in drainers] == [0, 0], lines
        assert waiting(spool_dir) == []
        assert roark.calls.keys() == {*NAMES, "crashed-0", "crashed-1"}
        for call in roark.calls.values():
            assert call.complete, call.problems
        assert {*door.came.values()} == {1}, "a request came twice"
    delivered = [int(said[-1].split()[0]) for said in lines]
    assert sum(delivered) == len(NAMES) + 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
async def test_sigterm_finishes_the_call_at_hand(tmp_path: Path) -> None:
    """It is whole at Roark; no other one was begun, and the others wait."""
    spool_dir, door = tmp_path / "spool", Door(secs=0.3)
    async with LocalRoark(tmp_path / "calls", middlewares=[door.middleware]) as roark:
        for name in NAMES:
            leave(spool_dir, roark.url, name, chunks=9)
        drainer = await deliver(roark.url, str(spool_dir), "--watch")
        await asyncio.wait_for(door.began.wait(), PATIENCE_SECS)
        drainer.send_signal(signal.SIGTERM)
        lines = await output(drainer)
        assert drainer.returncode == 1
        (name,) = roark.calls
        assert roark.calls[name].complete
        assert len(roark.calls[name].chunks) == 9
    assert len(waiting(spool_dir)) == len(NAMES) - 1
    (line,) = lines
    assert line.startswith("1 delivered, 11 waiting, the oldest for 0 min, ")


async def test_several_folders_and_one_that_is_not_there_yet(tmp_path: Path) -> None:
    """A drainer of a node may start before the first pod."""
    async with LocalRoark(tmp_path / "calls") as roark:
        spools = [tmp_path / name for name in ("a", "b")]
        argv = [str(spool) for spool in spools]
        early = await deliver(roark.url, *argv, "--watch", "--every", "0.1s")
        for spool, name in zip(spools, NAMES, strict=False):
            leave(spool, roark.url, name, chunks=1)
        for name in NAMES[:2]:
            await asyncio.wait_for(roark.wait_for_end(name), PATIENCE_SECS)
        early.terminate()
        await output(early)
        late = await deliver(roark.url, *argv, "--until-empty")
        await output(late)
        assert late.returncode == 0
