"""SIGTERM to a process in which calls run, as a machine that is shut down sends it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

if sys.version_info < (3, 11):
    pytest.skip("the runner is that of Pipecat 1.14: Python 3.11", allow_module_level=True)

from offline.caller import Caller, Line
from pipecat_roark.delivery.recovery import Recovery
from scenarios.bots import ENDS_CALLS
from support import telephone
from support.programs import dial, free_port, serving

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from pipecat_roark.local import LocalRoark, StoredCall

pytestmark = pytest.mark.process

GRACE_SECS = 30.0
"""A process that ends by itself is gone by then. A host gives 10; this machine may be busy."""
SHORT_SECS = 2.0
"""A grace for a process that would not end in any."""
QUESTION = Line("weather", telephone.SPEECH / "weather.wav")
WORDS = [("user", "Question 1."), ("assistant", "Answer 1.")]


def words(call: StoredCall) -> list[tuple[str, str]]:
    """Return who said what, by the end of a call that arrived whole."""
    assert call.complete, call.problems
    assert call.ended is not None
    assert call.recording is not None
    return [(turn["role"], turn["content"]) for turn in call.ended["transcript"]]


async def ask(caller: Caller, port: int) -> None:
    """Call the bot of a development runner, ask a question, and hear the answer."""
    await dial(caller, port)
    await asyncio.sleep(0.3)
    await caller.say(QUESTION)
    await caller.listen(pause=0.3)


@asynccontextmanager
async def runner(
    local: LocalRoark, callers: Sequence[Caller], **env: str
) -> AsyncIterator[Process]:
    """Run a bot of the development runner, in calls that have had a question and an answer.

    Without callers, it is a bot that the runner has started as a task, as it does for Daily.
    """
    port = free_port()
    command = ("-m", "scenarios.bots", "--host", "127.0.0.1", "--port", str(port))
    async with serving(*command, port=port, url=local.url, **env) as process:
        await asyncio.gather(*(ask(caller, port) for caller in callers))
        if not callers:
            async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                start = f"http://127.0.0.1:{port}/start"
                (await http.post(start, json={"transport": "daily"})).raise_for_status()
            await asyncio.sleep(5)  # until both sides have spoken
        process.terminate()
        yield process
    for caller in callers:
        await caller.hang_up()


async def test_the_development_runner_ends_its_calls(local: LocalRoark, tmp_path: Path) -> None:
    """The handler of examples/end_calls.py ends the calls before the server, and they arrive whole.

    Without it the server waits for the one kind and dies at once with the other, and what a spool
    has is all that arrives.
    """
    spool = tmp_path / "spool"

    async def ends() -> None:
        async with runner(local, [Caller(), Caller()], **{ENDS_CALLS: "1"}) as process:
            await asyncio.wait_for(process.wait(), GRACE_SECS)

    async def waits() -> None:
        async with runner(local, [Caller()], ROARK_SPOOL_DIR=str(spool)) as process:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), SHORT_SECS)

    async def ends_a_task() -> None:
        async with runner(local, [], **{ENDS_CALLS: "1"}) as process:
            await asyncio.wait_for(process.wait(), GRACE_SECS)

    async def dies_with_a_task() -> None:
        async with runner(local, [], ROARK_SPOOL_DIR=str(spool)) as process:
            await asyncio.wait_for(process.wait(), GRACE_SECS)

    await asyncio.gather(ends(), ends_a_task(), waits(), dies_with_a_task())
    ended = [call for call in local.calls.values() if call.ended is not None]
    assert [words(call) for call in ended] == [WORDS, WORDS, WORDS]
    async for _ in Recovery(spool, local.url, "key").deliver():
        pass
    killed = [call for call in local.calls.values() if call not in ended]
    assert [words(call) for call in killed] == [WORDS, WORDS]
    for call in killed:
        assert call.ended is not None
        assert call.ended["callEndedReason"] == "process-died"


async def workers(port: int) -> None:
    """Wait until both workers of a server answer."""
    seen = set[int]()
    while len(seen) < 2:
        async with httpx.AsyncClient(trust_env=False) as http:
            seen.add((await http.get(f"http://127.0.0.1:{port}/", timeout=60)).json())


async def test_a_server_with_workers_ends_its_calls(local: LocalRoark) -> None:
    """Uvicorn closes the sockets of both its workers, and waits until their bots are through."""
    port, callers, calls = free_port(), list[telephone.Caller](), list[asyncio.Task[None]]()
    command = ("-m", "scenarios.bots", "workers", str(port))
    async with serving(*command, port=port, url=local.url) as process:
        await workers(port)
        while len({call_id.partition("-")[0] for call_id in local.calls}) < 2:
            assert len(calls) < 20, "one worker takes all calls"
            for _ in range(2):  # at the same moment, so that one worker hardly takes both
                callers.append(telephone.Caller([(0.3, telephone.recorded("weather"))], stays=60))
                calls.append(asyncio.create_task(callers[-1].call(f"ws://127.0.0.1:{port}/")))
            await asyncio.sleep(0.5)
        while not all(caller.hears for caller in callers):  # noqa: ASYNC110  # of another thread
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)  # until the last answer has been heard
        process.terminate()
        await asyncio.wait_for(process.wait(), GRACE_SECS)
        await asyncio.gather(*calls, return_exceptions=True)
    assert len(local.calls) == len(calls)
    for call in local.calls.values():
        assert words(call) == WORDS
        assert call.ended is not None
        assert call.ended["callEndedReason"] == "client-disconnected"
