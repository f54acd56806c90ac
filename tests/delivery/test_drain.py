"""The loop that empties spools, with calls whose fate is scripted and waits that take no time."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipecat_roark.delivery.drain import REPORT_SECS, Drain
from pipecat_roark.delivery.recovery import Recovered, Recovery
from pipecat_roark.receipt import Loss, Receipt, Tally
from pipecat_roark.spool import journal
from pipecat_roark.spool.folder import SpooledCall, remove
from pipecat_roark.spool.owner import fingerprint
from pipecat_roark.spool.room import folders_of
from scenarios.faults import AT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

REJECTED = Loss(what="audio chunk", count=1, why="the store answered 400", reason="rejected")
URL, KEY = "https://roark.test", "key"
AWAY = Loss(what="call-ended", count=1, why="Roark answered 503", reason="unavailable")


def receipt(*spooled: Loss) -> Receipt:
    """Return the receipt of a call of which some things wait."""
    tally = Tally(captured=2, delivered=2 - len(spooled))
    return Receipt(
        events=tally,
        chunks=Tally(),
        captured_bytes=0,
        delivered_bytes=0,
        lost=(),
        spooled=spooled,
        ending_secs=0.1,
    )


class Scripted(Recovery):
    """A recovery that knows the fate of each call in each round: one word for each call."""

    def __init__(self, spool_dir: Path, *rounds: dict[str, str]) -> None:
        super().__init__(spool_dir, URL, KEY)
        self.tried: list[list[str]] = []
        self.rounds = [*rounds]
        self.on_arrival: Callable[[], object] = lambda: None
        for name in {name for fates in rounds for name in fates}:
            call = spool_dir / name
            call.mkdir(parents=True)
            (call / "journal").touch()
            (call / "000000.pcm").write_bytes(bytes(100))

    async def deliver(
        self, enough: Callable[[], bool] = lambda: False
    ) -> AsyncGenerator[Recovered, None]:
        tried: list[str] = []
        self.tried.append(tried)
        fates = self.rounds.pop(0) if self.rounds else {}
        for name, fate in fates.items():
            if enough():
                return
            tried.append(name)
            found = Recovered(number=1, of=len(fates), folder=name)
            if fate == "hangs":
                await asyncio.Event().wait()
            elif fate == "breaks":
                raise OSError
            elif fate == "arrives":
                self.on_arrival()
                for file in (self.spool_dir / name).iterdir():
                    file.unlink()
                (self.spool_dir / name).rmdir()
                yield _recovered(found, receipt())
            elif fate == "away":
                yield _recovered(found, receipt(AWAY))
            elif fate == "left":
                yield _recovered(found, receipt(REJECTED))
            elif fate == "damaged":
                self.unreadable.add(name)
                yield Recovered(number=1, of=1, folder=name, problem="it is damaged")
            else:
                yield found


def _recovered(found: Recovered, got: Receipt) -> Recovered:
    return Recovered(
        number=1, of=found.of, folder=found.folder, pipecat_call_id=found.folder, receipt=got
    )


class Stage:
    """A drain, and what it does: its waits and its lines."""

    def __init__(self, *recoveries: Recovery, **options: Any) -> None:
        self.naps: list[float] = []
        self.lines: list[str] = []
        self.on_nap: Callable[[], object] = lambda: None
        self.sleeps_on = False
        self.minutes = asyncio.Semaphore(0)
        self.drain = Drain(
            recoveries,
            say=self.lines.append,
            sleep=self.sleep,
            jitter=lambda _, most: most,
            **{"every_secs": 30, **options},
        )

    async def sleep(self, secs: float) -> None:
        """Wait for nothing, but for a minute until somebody lets it pass."""
        if secs == REPORT_SECS:
            await self.minutes.acquire()
            return
        self.naps.append(secs)
        self.on_nap()
        if self.sleeps_on:
            await asyncio.Event().wait()


async def test_it_goes_on_until_nothing_is_left(tmp_path: Path) -> None:
    """A call that somebody holds is looked at again in the next round; one line tells the end."""
    calls = Scripted(tmp_path, {"a": "arrives", "b": "held"}, {"b": "held"}, {"b": "arrives"})
    stage = Stage(calls)
    assert await stage.drain.empty() == 0
    assert calls.tried == [["a", "b"], ["b"], ["b"]]
    assert stage.naps == [30, 30]
    assert stage.lines == ["2 delivered, 0 waiting, 0 bytes"]


async def test_while_roark_is_away_waits_grow_for_all(tmp_path: Path) -> None:
    """One call is tried in each round, in none of the spools another one is begun."""
    away = {"a": "away", "b": "arrives"}
    one = Scripted(tmp_path / "1", *[away] * 4, {"a": "arrives"}, {"b": "away"})
    other = Scripted(tmp_path / "2", *[{"c": "held", "d": "left"}] * 5)
    stage = Stage(one, other)
    stage.on_nap = lambda: stage.drain.stop() if len(stage.naps) == 6 else None
    assert await stage.drain.watch() == 1
    assert one.tried == [["a"]] * 5 + [["b"]]
    assert other.tried[4] == ["c", "d"]
    assert stage.naps == [1, 2, 4, 8, 30, 1]


async def test_the_wait_for_roark_has_a_bound(tmp_path: Path) -> None:
    """And a lower one, so that chance spreads the drains of a fleet and none asks at once."""
    bounds: list[tuple[float, float]] = []

    def jitter(least: float, most: float) -> float:
        bounds.append((least, most))
        return most - 0.5

    calls = Scripted(tmp_path, *[{"a": "away"}] * 9)
    stage = Stage(calls)
    drain = Drain([calls], say=stage.lines.append, sleep=stage.sleep, jitter=jitter)
    stage.on_nap = lambda: drain.stop() if len(stage.naps) == 8 else None
    assert await drain.watch() == 1
    assert bounds == [(most / 2, most) for most in (1, 2, 4, 8, 16, 32, 60, 60)]
    assert stage.lines == ["0 delivered, 1 waiting, the oldest for 0 min, 100 bytes; Roark is away"]


async def test_a_stop_finishes_what_was_begun(tmp_path: Path) -> None:
    """No other call is begun, nothing is removed, and what is left is the status."""
    old = [f"{number:020d}-abc" for number in (1, 2)]
    calls = Scripted(tmp_path, dict.fromkeys(old, "arrives"))
    owner = fingerprint(KEY, URL)
    (tmp_path / old[1] / "journal").write_bytes(journal.header(AT, "call", owner))
    stage = Stage(calls, max_age_secs=1)
    calls.on_arrival = stage.drain.stop
    assert await stage.drain.watch() == 1
    assert calls.tried == [old[:1]]
    assert stage.lines[0].startswith("1 delivered, 1 waiting, the oldest for ")


async def test_a_timeout_leaves_what_was_begun(tmp_path: Path) -> None:
    """It is a bound, whatever Roark does."""
    stage = Stage(Scripted(tmp_path, {"a": "hangs"}))
    assert await stage.drain.empty(7) == 1
    assert stage.naps == [7]
    assert stage.lines == ["0 delivered, 1 waiting, the oldest for 0 min, 100 bytes"]


async def test_a_line_a_minute(tmp_path: Path) -> None:
    """It tells what waits, how old it is, and what is held or can't be read."""
    old = f"{time.time_ns() - 600 * 10**9:020d}-abc"
    fates = {"gone": "arrives", "b": "held", "c": "damaged", old: "away", "d": "arrives"}
    stage = Stage(Scripted(tmp_path, fates))
    stage.sleeps_on = True
    running = asyncio.create_task(stage.drain.watch())
    while not stage.naps:  # noqa: ASYNC110  # until the first round is over
        await asyncio.sleep(0.001)
    for number in (1, 2):
        stage.minutes.release()
        while len(stage.lines) < number:  # noqa: ASYNC110  # a thread counts
            await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stage.lines[1] == (
        "1 delivered, 2 waiting, the oldest for 10 min, 200 bytes; 1 held by others; "
        "1 unreadable; Roark is away"
    )


async def test_once_tries_all(tmp_path: Path) -> None:
    """Also while Roark is away. A call that can't be read has a status of its own."""
    fates = {"a": "away", "b": "arrives", "c": "held"}
    shown: list[str] = []
    stage = Stage(Scripted(tmp_path, fates))
    assert await stage.drain.once(lambda call: shown.append(call.folder)) == 1
    assert shown == ["a", "b", "c"]
    stage = Stage(Scripted(tmp_path / "other", {"d": "damaged"}))
    assert await stage.drain.once(lambda _: None) == 2
    assert stage.lines == []


async def test_calls_that_cannot_be_read_keep_nobody_waiting(tmp_path: Path) -> None:
    """Nothing else is left, so it ends, and says why not all is well."""
    stage = Stage(Scripted(tmp_path, {"a": "damaged", "b": "arrives"}))
    assert await stage.drain.empty() == 2
    assert stage.lines == ["1 delivered, 0 waiting, 0 bytes; 1 unreadable"]


async def test_an_error_of_the_disk_ends_it(tmp_path: Path) -> None:
    """It does not turn in circles over a folder that it may not read."""
    with pytest.raises(OSError, match=r"^$"):
        await Stage(Scripted(tmp_path, {"a": "breaks"})).drain.watch()


def made(spool_dir: Path, age_secs: float, owner: str, text: bytes = b"") -> Path:
    """Make a call that began some time ago; return its folder."""
    call = SpooledCall.create(spool_dir, "call", owner)
    call.append(text)
    (call.path / "000000.pcm").write_bytes(bytes(100))
    call.release(done=False)
    name = f"{time.time_ns() - int(age_secs * 1e9):020d}-{os.urandom(4).hex()}"
    return call.path.rename(spool_dir / name)


async def test_old_calls_are_removed_only_if_that_was_asked_for(
    tmp_path: Path, warned: list[str]
) -> None:
    """They are tried before. What is held, unreadable, of another key or young stays."""
    owner = fingerprint(KEY, URL)
    old = [made(tmp_path, 7300, owner) for _ in range(2)]
    young, foreign = made(tmp_path, 7100, owner), made(tmp_path, 9000, "somebody else")
    unreadable, held = made(tmp_path, 9000, owner), made(tmp_path, 9000, owner)
    (unreadable / "journal").write_bytes(b"?\n")
    nameless = tmp_path / "nameless"
    nameless.mkdir()
    (nameless / "journal").write_bytes((young / "journal").read_bytes())
    holder = SpooledCall.lock(held)
    assert holder is not None

    recovery = Scripted(tmp_path)
    stage = Stage(recovery)
    recovery.rounds = [{old[0].name: "away"}]
    assert await stage.drain.once(lambda _: None) == 1
    assert all(path.exists() for path in old)
    stage = Stage(recovery, max_age_secs=7200)
    recovery.rounds = [{old[0].name: "away"}]
    assert await stage.drain.once(lambda _: None) == 1
    assert recovery.tried[-1] == [old[0].name]
    left = {path.name for path in folders_of(tmp_path)}
    assert left == {path.name for path in (young, foreign, unreadable, held, nameless)}
    (line,) = warned
    assert line == (
        f"WARNING 2 calls in the spool {tmp_path} began more than 7200 s ago and are removed. They "
        "are not at Roark, or not whole: 200 bytes of their audio are lost."
    )
    assert await stage.drain.once(lambda _: None) == 1
    assert len(warned) == 1
    assert remove(held) is None
    holder.release(done=False)
    assert remove(held) == 100
