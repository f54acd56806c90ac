"""What a piece of work costs, counted so that it is the same on every machine."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Cost:
    """How many functions were called, of Python and of C."""

    calls: int = 0


@contextmanager
def counted() -> Iterator[Cost]:
    """Count the calls that this thread makes inside the block."""
    cost = Cost()
    before = sys.getprofile()

    def count(_frame: object, event: str, _arg: object) -> None:
        cost.calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        yield cost
    finally:
        sys.setprofile(before)
