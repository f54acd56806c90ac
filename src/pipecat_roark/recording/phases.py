"""Phases: calls that began together do their work one after another."""

from __future__ import annotations

from itertools import count

_GOLDEN = 0.618
"""Multiples of it spread evenly over a circle, however many there are."""
_numbers = count()


def next_phase() -> float:
    """Return a number between 0 and 1, far from those that were returned lately."""
    return _GOLDEN * next(_numbers) % 1
