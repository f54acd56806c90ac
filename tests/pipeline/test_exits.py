"""A process that ends right after its call loses nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pipecat.pipeline.runner import PipelineRunner

from scenarios import exits

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.at_once(3)]


@pytest.mark.parametrize("spool", ["", pytest.param("spool", marks=pytest.mark.newest)])
@pytest.mark.parametrize("end", exits.ENDS)
async def test_a_process_that_ends_loses_nothing(tmp_path: Path, end: str, spool: str) -> None:
    """The end of the call and its whole recording arrive before the interpreter is gone."""
    if end == "cancelled while ending" and not hasattr(PipelineRunner, "add_workers"):
        pytest.skip("before 1.3.0 Pipecat hangs by itself when it is cancelled in its cleanup")
    spool_dir = str(tmp_path / spool) if spool else ""
    async with exits.roark(tmp_path / "calls") as local:
        assert await exits.arrives(local, f"call of {end}", end, spool_dir)
