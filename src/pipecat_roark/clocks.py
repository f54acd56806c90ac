"""The clocks of the pipelines that show one call, read as one.

Each worker of a runner has a clock with a zero of its own. The first clock that anybody shows is
the call's; the times of another one are moved by the difference between both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.clocks.base_clock import BaseClock


class Clocks:
    """Converts the times of several pipelines to those of the first one, in nanoseconds."""

    def __init__(self) -> None:
        self._first: BaseClock | None = None
        self._shifts: dict[BaseClock, int] = {}

    def now(self) -> int:
        """Return the time of the call; zero while there is no clock."""
        return self._first.get_time() if self._first else 0

    def shift(self, clock: BaseClock) -> int:
        """Return what must be added to a time of a clock, which runs by now."""
        if self._first is None:
            self._first = clock
        if clock is self._first:
            return 0
        if clock not in self._shifts:
            # Once, so that times of one clock keep their distance.
            self._shifts[clock] = self._first.get_time() - clock.get_time()
        return self._shifts[clock]

    def reader(self, clock: BaseClock) -> Callable[[], int]:
        """Return a function that returns the time of the call, for a clock that may not run yet."""
        if self._first is None:
            self._first = clock
        if clock is self._first:
            return clock.get_time
        return lambda: clock.get_time() + self.shift(clock)
