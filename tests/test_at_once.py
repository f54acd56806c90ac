"""Tests that are held at once are as good as if each were held when its turn comes."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from support.at_once import AtOnce, apart
from support.steady import work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat_roark.local import LocalRoark

ours = logger.patch(lambda record: record.update({"name": "pipecat_roark.call"}))


@pytest.fixture
def held(request: pytest.FixtureRequest) -> Callable[..., list[Callable[[], Awaitable[None]]]]:
    """Let tests be held at once, and return how each of them is run."""

    def hold(*bodies: Callable[..., Awaitable[None]]) -> list[Callable[[], Awaitable[None]]]:
        tests = [
            pytest.Function.from_parent(request.node.parent, name=body.__name__, callobj=body)
            for body in bodies
        ]
        AtOnce(tests)
        return [test.obj for test in tests]

    return hold


async def test_each_passes_or_fails_by_itself(
    held: Callable[..., list[Callable[[], Awaitable[None]]]],
) -> None:
    """They run side by side, each with its own lines."""
    here = [asyncio.Event(), asyncio.Event()]

    async def passes(local: LocalRoark, warned: list[str]) -> None:
        here[0].set()
        await asyncio.wait_for(here[1].wait(), 10)
        ours.warning("one")
        await asyncio.sleep(0)
        assert local.calls == {}
        assert warned == ["WARNING one"]

    async def fails(warned: list[str]) -> None:
        here[1].set()
        await asyncio.wait_for(here[0].wait(), 10)
        ours.warning("two")
        assert warned == ["WARNING one"]

    first, second = held(passes, fails)
    await first()
    with pytest.raises(AssertionError, match="two"):
        await second()


async def test_they_have_steady_time(
    held: Callable[..., list[Callable[[], Awaitable[None]]]],
) -> None:
    """Also on an event loop in a thread of its own."""

    async def takes_none() -> float:
        began = time.monotonic()
        work(0.2)
        await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def here() -> None:
        assert await takes_none() == pytest.approx(0.05, abs=0.01)

    async def elsewhere() -> None:
        assert await apart(takes_none()) == pytest.approx(0.05, abs=0.01)

    for test in held(here, elsewhere):
        await test()


async def test_a_thread_of_its_own_counts_for_all(
    held: Callable[..., list[Callable[[], Awaitable[None]]]],
) -> None:
    """It knows of no test; a line that it logs must not go by unseen."""

    async def hears(warned: list[str]) -> None:
        thread = threading.Thread(target=ours.warning, args=("from a thread",))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert warned == ["WARNING from a thread"]

    (test,) = held(hears)
    await test()
