"""A local Roark beside a test: the one call, and faults."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from pipecat_roark.local import ThreadedRoark
from support import pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def http(roark: ThreadedRoark) -> Iterator[httpx.Client]:
    """Send requests as a bot does."""
    with httpx.Client(base_url=roark.url) as http:
        yield http


def test_finished_call_has_turns_tools_and_audio(roark: ThreadedRoark, http: httpx.Client) -> None:
    """What was said, called and heard can be asserted on."""
    pages.send_call(http, "call-1")
    call = roark.call()
    assert call.stored is roark.calls["call-1"]
    assert [turn.role for turn in call.turns[:2]] == ["assistant", "user"]
    assert (call.tools[0].name, call.reason) == ("get_weather", "client-disconnected")
    assert call.audio is not None
    assert call.audio.level("user", 4300, 6200) > 0.3
    assert call.audio.level("user", 0, 4000) == 0
    assert call.audio.level("assistant", 700, 3300) > 0.3
    assert roark.problems == ()


def test_wait_for_a_call_that_does_not_end(roark: ThreadedRoark, http: httpx.Client) -> None:
    """The error lists the problems of the call, and of requests of none."""
    http.post(pages.EVENTS, json={}, headers=pages.KEYS)
    http.post(pages.EVENTS, json={**pages.started("call-1"), "mood": 1}, headers=pages.KEYS)
    with pytest.raises(TimeoutError, match=r"0\.01 s; problems: event: .*; .*'mood': unknown"):
        roark.call(timeout=0.01)


def test_silent_wait_says_that_there_were_no_problems(roark: ThreadedRoark) -> None:
    """A bot that never called is told apart from one whose requests were wrong."""
    with pytest.raises(TimeoutError, match="no call has ended within 0 s; problems: none"):
        roark.call(timeout=0)


def test_several_calls_are_no_one_call(roark: ThreadedRoark, http: httpx.Client) -> None:
    """Which one is meant can't be known."""
    for call_id in ("call-1", "call-2"):
        pages.send_call(http, call_id)
    with pytest.raises(ValueError, match="there are 2 calls"):
        roark.call()


def test_failures_come_as_often_as_asked(roark: ThreadedRoark, http: httpx.Client) -> None:
    """Errors come instead of answers, one after the other, and the page has none."""

    def status() -> int:
        return http.post(pages.EVENTS, json=pages.started("call-1"), headers=pages.KEYS).status_code

    roark.fail()
    roark.fail(429, times=2)
    assert http.get("/api/calls").status_code == 200
    assert [status() for _ in range(4)] == [503, 429, 429, 200]
    assert roark.problems == ()


def test_slow_answers_are_late(roark: ThreadedRoark) -> None:
    """A client that doesn't wait so long gives up; the next request is answered at once."""
    roark.slow(30, times=1)
    with (
        httpx.Client(base_url=roark.url, timeout=0.05) as impatient,
        pytest.raises(httpx.ReadTimeout),
    ):
        impatient.post(pages.EVENTS, json=pages.started("call-1"), headers=pages.KEYS)
    with httpx.Client(base_url=roark.url) as http:
        roark.slow(0)
        pages.send_event(http, pages.started("call-1"))


def test_a_server_that_is_gone_comes_back(roark: ThreadedRoark, http: httpx.Client) -> None:
    """Connections are refused for a while; then the same port takes calls again."""
    roark.gone(0.2)
    with pytest.raises(httpx.ConnectError):
        http.get("/")
    while True:
        try:
            pages.send_call(http, "call-1")
        except httpx.ConnectError:
            continue
        break
    assert roark.call().stored.complete
    roark.gone(3600)  # the end of the test does not wait for it


def test_a_port_in_use_is_an_error(roark: ThreadedRoark, tmp_path: Path) -> None:
    """A second server on the same port raises, and leaves no thread."""
    threads = threading.active_count()
    with pytest.raises(OSError, match="in use"):
        ThreadedRoark(tmp_path, port=int(roark.url.rpartition(":")[2])).start()
    assert threading.active_count() == threads


async def test_async_tests_can_use_it(roark: ThreadedRoark) -> None:
    """It has a loop of its own, so a test's loop may be busy."""
    async with httpx.AsyncClient(base_url=roark.url) as http:
        await http.post(pages.EVENTS, json=pages.started("call-1"), headers=pages.KEYS)
        end = pages.ended("call-1", toolCalls=[*pages.tool_records()])
        await http.post(pages.EVENTS, json=end, headers=pages.KEYS)
    assert (await asyncio.to_thread(roark.call)).audio is None
