"""A process that ends right after its call loses nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exits import ENDS, arrives

if TYPE_CHECKING:
    from pipecat_roark.local import LocalRoark


@pytest.mark.parametrize("end", ENDS)
async def test_a_process_that_ends_loses_nothing(local: LocalRoark, end: str) -> None:
    """The end of the call and its whole recording arrive before the interpreter is gone."""
    assert await arrives(local, f"call of {end}", end)
