"""Time that no machine disturbs, for calls that are held in real time.

The event loop of a call waits nearly always: for the next frame, or for a reply. On a machine that
is busy it wakes late, and what takes a moment takes long; tones come late then, and each test of a
time would have to be as lenient as the worst machine. Steady time goes on at the speed of real
time, but only while all event loops in it wait, and never past what one of them waits for.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator

_P = ParamSpec("_P")
_T = TypeVar("_T")

STEP_SECS = 0.0001
"""What the work between two waits takes at most, if nobody says otherwise; not nothing, as what
comes later has a later time."""
_BLOCKED_NS = 2_000_000_000
"""Work of so long waits for something; its time counts, or it would wait for ever."""
_NAMES = ("monotonic", "perf_counter", "time")
_CLOCKS: list[Callable[[], int]] = [getattr(time, f"{name}_ns") for name in _NAMES]
_real_ns = time.monotonic_ns
_real_sleep: Callable[[Any], None] = time.sleep


def work(secs: float) -> None:
    """Keep the machine busy."""
    until_ns = _real_ns() + round(secs * 1e9)
    while _real_ns() < until_ns:
        pass


class SteadyClock:
    """The time of all event loops that are in steady time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now_ns = self._real_ns = self._read_ns = _real_ns()
        self._step_ns = 0
        self._ahead_ns = [0] * len(_CLOCKS)
        self._due_ns: dict[int, float | None] = {}
        """What the event loop of each thread waits for; None while it works."""

    @contextmanager
    def joined(self, step_secs: float) -> Iterator[None]:
        """Let the event loop of this thread be in steady time."""
        with self._lock:
            if not self._due_ns:
                self._start(round(1e9 * step_secs))
            self._set(None)
        try:
            yield
        finally:
            with self._lock:
                self._move()
                del self._due_ns[threading.get_ident()]

    def is_joined(self) -> bool:
        """Return whether the event loop of this thread is in steady time."""
        return threading.get_ident() in self._due_ns

    def now_ns(self, clock: int) -> int:
        """Return what one of the clocks shows; no two readings are the same."""
        if not self._due_ns:
            return _CLOCKS[clock]()
        with self._lock:
            self._read_ns = max(self._at(_real_ns()), self._read_ns + 1)
            return self._read_ns + self._ahead_ns[clock]

    def secs(self, clock: int) -> float:
        """Return what one of the clocks shows, in seconds."""
        return self.now_ns(clock) / 1e9

    def sleep(self, secs: Any) -> None:
        """Let an event loop stand still on purpose: this takes time."""
        if not self.is_joined():
            _real_sleep(secs)
            return
        until = self.secs(0) + secs
        while (rest := until - self.secs(0)) > 0:
            self.wait(_real_sleep, rest)

    def wait(self, wait: Callable[[float | None], _T], secs: float | None) -> _T:
        """Wait as an event loop does: until something happens, or for so long."""
        with self._lock:
            self._set(math.inf if secs is None else 1e9 * secs)
        try:
            return wait(secs)
        finally:
            with self._lock:
                self._set(None)

    def _set(self, wait_ns: float | None) -> None:
        self._move()
        due_ns = None if wait_ns is None else self._now_ns + wait_ns
        self._due_ns[threading.get_ident()] = due_ns

    def _move(self) -> None:
        real_ns = _real_ns()
        self._now_ns, self._real_ns = self._at(real_ns), real_ns

    def _at(self, real_ns: int) -> int:
        passed_ns, dues = real_ns - self._real_ns, self._due_ns.values()
        if None in dues:
            return self._now_ns + min(passed_ns, self._step_ns) + max(passed_ns - _BLOCKED_NS, 0)
        first_ns = min((due_ns for due_ns in dues if due_ns is not None), default=math.inf)
        return self._now_ns + round(min(passed_ns, max(first_ns - self._now_ns, 0)))

    def _start(self, step_ns: int) -> None:
        self._move()
        self._step_ns = step_ns
        for number, clock in enumerate(_CLOCKS):
            self._ahead_ns[number] = clock() - self._now_ns


_CLOCK = SteadyClock()


def install() -> None:
    """Let the `time` module show steady time; outside of it, its clocks are those of the machine.

    What other modules have taken from it before shows real time for ever.
    """
    for clock, name in enumerate(_NAMES):
        setattr(time, f"{name}_ns", partial(_CLOCK.now_ns, clock))
        setattr(time, name, partial(_CLOCK.secs, clock))
    time.sleep = _CLOCK.sleep


@asynccontextmanager
async def steady_time(step_secs: float = STEP_SECS) -> AsyncIterator[None]:
    """Let this event loop be in steady time; if it is already, this changes nothing.

    Args:
        step_secs: What the work between two waits takes at most; the first event loop decides.
    """
    if _CLOCK.is_joined():
        yield
        return
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # noqa: SLF001
    select = selector.select
    with _CLOCK.joined(step_secs):
        selector.select = lambda secs=None: _CLOCK.wait(select, secs)
        try:
            yield
        finally:
            selector.select = select


def steadily(body: Callable[_P, Awaitable[_T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Return a coroutine function that runs another one in steady time."""

    @wraps(body)
    async def runs(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        async with steady_time():
            return await body(*args, **kwargs)

    return runs
