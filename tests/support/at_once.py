"""Tests that mostly wait in real time, held at once: those of a module that are marked `at_once`.

The first of them to run holds them all, so many at a time; then each passes or fails by itself.
They share an event loop and a local Roark, in which each looks at its own calls. Each has log lines
and a folder of its own. A test that needs another fixture is held by itself.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from inspect import iscoroutinefunction, signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from support.steady import steadily, steady_time
from support.surroundings import TEST, collected, reachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    import pytest

    from pipecat_roark.local import LocalRoark

FIXTURES = ("local", "log", "warned", "tmp_path")
PLACES = 12
"""How many tests share the event loop at a time, if a module doesn't say otherwise."""
APART_SECS = 0.1
"""Calls begin one after another: a beginning stops the event loop for a moment."""

_T = TypeVar("_T")


async def apart(waits: Coroutine[Any, Any, _T]) -> _T:
    """Run what lets its event loop stand still on one of its own, in a thread."""
    return await asyncio.to_thread(asyncio.run, steadily(lambda: waits)())


def is_for_it(test: pytest.Function) -> bool:
    """Return whether a test is marked, needs no other fixture, and will not be skipped."""
    skipped = any(mark.args[0] for mark in test.iter_markers("skipif"))
    marked = test.get_closest_marker("at_once") is not None
    if not marked or skipped or not iscoroutinefunction(test.obj):
        return False
    return {*signature(test.obj).parameters} <= {*FIXTURES, *params_of(test)}


def params_of(test: pytest.Function) -> dict[str, Any]:
    """Return the values of a test's parameters."""
    return dict(test.callspec.params) if hasattr(test, "callspec") else {}


def places_of(test: pytest.Function) -> int:
    """Return how many tests may be held at a time, by the mark of one of them."""
    mark = test.get_closest_marker("at_once")
    return int(mark.args[0]) if mark and mark.args else PLACES


class AtOnce:
    """Tests of a module that are held at once, instead of each when its turn comes.

    Args:
        tests: The tests.
    """

    def __init__(self, tests: list[pytest.Function]) -> None:
        self._outcomes: dict[pytest.Function, asyncio.Task[None]] = {}
        self._bodies: dict[pytest.Function, Callable[..., Awaitable[None]]] = {}
        (places,) = {places_of(test) for test in tests}
        self._places, self._door = asyncio.Semaphore(places), asyncio.Lock()
        for test in tests:
            self._bodies[test] = test.obj
            test.obj = self._outcome_of(test)

    def _outcome_of(self, test: pytest.Function) -> Callable[..., Awaitable[None]]:
        async def outcome(**_: object) -> None:
            if not self._outcomes:
                await self._hold_all()
            self._outcomes[test].result()

        return outcome

    async def _hold_all(self) -> None:
        with TemporaryDirectory() as folder:
            async with steady_time(), reachable(Path(folder)) as local:
                for test in self._bodies:
                    self._outcomes[test] = asyncio.create_task(self._hold(test, local))
                await asyncio.wait(self._outcomes.values())

    async def _hold(self, test: pytest.Function, local: LocalRoark) -> None:
        TEST.set(test)
        async with self._places:
            async with self._door:
                await asyncio.sleep(APART_SECS)
            await self._run(test, local)

    async def _run(self, test: pytest.Function, local: LocalRoark) -> None:
        with ExitStack() as stack:
            given = {
                "local": local,
                "log": stack.enter_context(collected("INFO")),
                "warned": stack.enter_context(collected("WARNING")),
                "tmp_path": Path(stack.enter_context(TemporaryDirectory())),
                **params_of(test),
            }
            body = self._bodies[test]
            await body(**{name: given[name] for name in signature(body).parameters})
