"""A process that ends right after its call loses nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import exits

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("end", exits.ENDS)
async def test_a_process_that_ends_loses_nothing(tmp_path: Path, end: str) -> None:
    """The end of the call and its whole recording arrive before the interpreter is gone."""
    async with exits.roark(tmp_path) as local:
        assert await exits.arrives(local, f"call of {end}", end)
