"""Delivery over HTTP to a local Roark, with faults in between."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from loguru import logger

from pipecat_roark import wire
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.local import LocalRoark
from pipecat_roark.report import CallReport
from scenarios.faults import answer, first, hang, reset

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp.typedefs import Handler

AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
PCM = [bytes([n, 0]) * 4000 for n in range(1, 6)]
KEY = "rk-private"


def started(call_id: str) -> bytes:
    """Encode the start of a call."""
    return wire.call_started(call_id, AT, "front-desk", agent_prompt="private")


def ended(call_id: str) -> bytes:
    """Encode the end of a call that was recorded."""
    report = CallReport(
        pipecat_call_id=call_id, started_at=AT, ended_at=AT, sample_rate=24000, num_channels=2
    )
    return wire.call_ended(report, AT)


async def hold(roark: LocalRoark, call_id: str, **options: Any) -> float:
    """Deliver a call with a few chunks; returns the seconds that its ending took."""
    patience = options.get("deadline_secs", 10) * 0.6
    client = RoarkClient(roark.url, KEY, call_id, answer_secs=patience)
    delivery = Delivery(client, label=call_id, **{"jitter": min, **options})
    delivery.begin(started(call_id))
    for pcm in PCM:
        delivery.add_audio(pcm)
        await asyncio.sleep(0.01)
    began = asyncio.get_running_loop().time()
    await delivery.finish(ended(call_id))
    return asyncio.get_running_loop().time() - began


async def assert_whole(roark: LocalRoark, call_id: str) -> None:
    """Check that a call arrived as it was captured."""
    call = await roark.wait_for_end(call_id, timeout=0.1)
    assert call.complete, call.problems
    assert [call.chunks[index].read_bytes() for index in range(len(PCM))] == PCM


async def test_a_healthy_api_ends_at_once(tmp_path: Path) -> None:
    """A call that goes well ends at once."""
    async with LocalRoark(tmp_path) as roark:
        assert await hold(roark, "call#1") < 5
        await assert_whole(roark, "call#1")


@pytest.mark.live
@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ((99, hang), "5 x audio chunk (no answer from Roark in time), 1 x call-ended ("),
        ((99, answer(503)), "5 x audio chunk (Roark answered 503), 1 x call-ended ("),
        ((99, answer(404)), "5 x audio chunk (Roark answered 404), 1 x call-ended ("),
        ((99, answer(403), "upload"), "5 x audio chunk (the object store answered 403)."),
        ((99, answer(503), "call-started"), "1 x call-started (Roark answered 503)."),
    ],
)
async def test_an_api_that_is_away_is_said(
    fault: tuple[Any, ...], line: str, tmp_path: Path, warned: list[str]
) -> None:
    """The ending keeps its deadline, and one line says what is missing and why."""
    async with LocalRoark(tmp_path, middlewares=[first(*fault)]) as roark:
        took = await hold(roark, "call#1", deadline_secs=0.8, jitter=max)
    assert took < 5
    (said,) = [line for line in warned if "Local Roark" not in line]
    assert said.startswith(f"WARNING Call call#1 is not whole at Roark. Lost: {line}")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_said(status: int, tmp_path: Path, warned: list[str]) -> None:
    """After the first refusal no new request is sent."""
    knocks = 0

    async def refuse(*_: Any) -> web.StreamResponse:
        nonlocal knocks
        knocks += 1
        return web.Response(status=status)

    async with LocalRoark(tmp_path, middlewares=[first(99, refuse)]) as roark:
        assert await hold(roark, "call#1") < 5
    assert 1 <= knocks <= 4  # the start and three chunks may be under way at that time
    cause, losses = warned
    assert cause.startswith(f"WARNING Roark answered {status}: the API key is wrong, or bound")
    assert losses.startswith("WARNING Call call#1 is not whole at Roark. Lost: ")


async def test_no_log_shows_anything_private(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, through retries and losses, neither key nor URL, prompt nor audio is seen."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level=0)
    caplog.set_level(logging.DEBUG)
    url = asyncio.get_running_loop().create_future()

    @web.middleware
    async def spy(request: web.Request, handler: Handler) -> web.StreamResponse:
        reply = await handler(request)
        if request.path.startswith("/upload/") and not url.done():
            url.set_result(request.path)
        return reply

    faults = [spy, first(2, answer(503, KEY)), first(1, reset), first(3, answer(403), "upload")]
    async with LocalRoark(tmp_path, middlewares=faults) as roark:
        await hold(roark, "call#1")
        await assert_whole(roark, "call#1")
    async with LocalRoark(tmp_path, middlewares=[first(99, answer(401, KEY))]) as roark:
        await hold(roark, "call#2")
    logger.remove(sink)
    said = [str({**record.__dict__, "text": record.getMessage()}) for record in caplog.records]
    assert said
    assert len(lines) >= 2
    for private in ("private", url.result(), str(PCM[0][:8])):
        assert [line for line in [*said, *lines] if private in line] == []


@pytest.mark.process
@pytest.mark.parametrize("state", ["ending", "opening", "waiting for its next try"])
async def test_a_loop_that_closes_makes_no_noise(state: str, tmp_path: Path) -> None:
    """A process that leaves in the middle of the ending says what is lost, and nothing else."""
    script = """
import asyncio, sys, warnings
from loguru import logger
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import Delivery
logger.remove()
logger.add(sys.stdout, level="WARNING", format="{message}", filter="pipecat_roark")
warnings.simplefilter("always")
url, secs = sys.argv[1:]
async def main():
    delivery = Delivery(RoarkClient(url, "key", "call"), label="call")
    delivery.begin(b"{}")
    for _ in range(5):
        delivery.add_audio(b"\\1\\1")
    ending = asyncio.create_task(delivery.finish(b"{}"))
    await asyncio.sleep(float(secs))
print("imported", file=sys.stderr)
asyncio.run(main())
"""
    fault = answer(429, retry_after="60") if state.startswith("waiting") else hang
    secs = "0" if state == "opening" else "1.5"
    async with LocalRoark(tmp_path, middlewares=[first(99, fault)]) as roark:
        left = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script, roark.url, secs],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    why = "Roark answered 429" if state.startswith("waiting") else "no time was left"
    assert left.stdout == (
        f"Call call is not whole at Roark. Lost: 5 x audio chunk ({why}), "
        f"1 x call-ended (no time was left), 1 x call-started ({why}).\n"
    )
    assert left.stderr.partition("imported\n")[2] == ""
    assert left.returncode == 0
