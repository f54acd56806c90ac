"""Rounds in which contenders alternate, so that what the machine does meets all of them."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

Figure = TypeVar("Figure")


async def alternate(
    rounds: int, contenders: Sequence[str], measure: Callable[[str], Awaitable[Figure]]
) -> dict[str, list[Figure]]:
    """Measure each contender once a round; each round begins with another one."""
    figures: dict[str, list[Figure]] = {name: [] for name in contenders}
    for number in range(rounds):
        first = number % len(contenders)
        for name in (*contenders[first:], *contenders[:first]):
            figures[name].append(await measure(name))
    return figures


def ratio(figures: Mapping[str, Sequence[float]], name: str, beside: str) -> float:
    """Return the median of the ratios of two contenders, round by round."""
    return median(ours / other for ours, other in zip(figures[name], figures[beside], strict=True))


def warm(secs: float = 0.2) -> None:
    """Keep the processor busy until it has its speed."""
    until = time.perf_counter() + secs
    while time.perf_counter() < until:
        pass
