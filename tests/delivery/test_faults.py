"""The fault table in a short form: every case at a twentieth of its time, and fewer calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipecat_roark.delivery.delivery import CHUNK_BYTES
from scenarios import outages
from scenarios.faults import CASES, Case, run, trusted

if TYPE_CHECKING:
    from pathlib import Path

SCALE = 0.05


@pytest.mark.live
@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES)
async def test_a_fault_costs_no_more_than_it_must(name: str, case: Case, tmp_path: Path) -> None:
    """What can arrive does, byte for byte; the receipt counts the rest; the ending is bounded."""
    with trusted():
        outcome = await run(name, case, tmp_path, SCALE)
    assert outcome.as_it_should(case), outcome


@pytest.mark.live
async def test_every_third_request_may_fail(tmp_path: Path) -> None:
    """Calls side by side arrive whole over a network that is hardly one."""
    assert await outages.flaky(tmp_path, 10, scale=SCALE) == 10


@pytest.mark.live
async def test_calls_of_one_process_share_nothing(tmp_path: Path) -> None:
    """One outage hits them all, and each arrives with its own words and sound."""
    assert await outages.crowd(tmp_path, 8, secs=1) == 8


@pytest.mark.live
async def test_a_black_hole_is_not_heard(tmp_path: Path) -> None:
    """An API that never answers does not slow the audio down, and the ending is bounded."""
    alone, observed = await outages.black_hole(tmp_path, 1.5, deadline_secs=0.5)
    assert abs(observed.median - alone.median) < 2
    assert observed.p99 < alone.p99 + 15
    assert 0.4 < observed.ending_secs < 1


@pytest.mark.live
async def test_memory_is_bounded_while_the_api_is_away(tmp_path: Path) -> None:
    """Twenty times the bound is captured, and no more than the bound is kept in memory."""
    bound = 2 * 2**20
    kept = await outages.memory(tmp_path, 20 * bound, max_waiting_bytes=bound)
    assert kept.grown < bound + 2**20


@pytest.mark.live
async def test_memory_is_bounded_for_all_calls_of_a_process(tmp_path: Path) -> None:
    """Fifty calls meet a black hole: memory stays in the budget, and each receipt has its share."""
    calls, own, budget = 50, 2 * 2**20, 48 * 2**20
    kept = await outages.memory(
        tmp_path, own, max_waiting_bytes=own, max_process_waiting_bytes=budget, calls=calls
    )
    connections = calls * 2**18  # of both sides: the server is in this process, too
    assert kept.grown < budget + connections
    lost = [counts["process-memory-full"] for counts in kept.reasons]
    assert sum(lost) == (calls * own - budget) // CHUNK_BYTES
    assert max(lost) - min(lost) <= 1
