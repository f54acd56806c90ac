"""The memory that the calls of a process share: bounded, fair, and the same for all threads."""

from __future__ import annotations

import gc
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_roark.budget import PROCESS, Budget, Kept, Share
from pipecat_roark.silence import silence

SIZE = 100
PCM = b"\1" * SIZE
FULL = "process-memory-full"


def share(budget: Budget, parts: float = 10, own: float = 1000) -> Share:
    """Return what a call has, with bounds in parts."""
    return Share(int(own * SIZE), int(parts * SIZE), budget)


def keep(call: Share, count: int = 1) -> list[Kept]:
    """Keep some parts, one after another."""
    return [kept for _ in range(count) for kept in call.keep([PCM])]


def here(kept: list[Kept]) -> list[bool]:
    """Return which parts are in memory."""
    return [part.take() is not None for part in kept]


def test_the_bound_holds_for_all_calls_together() -> None:
    """What comes above it is not kept, and says why. Room that is free again is used again."""
    budget = Budget()
    one, other = share(budget), share(budget)
    parts = [*keep(one, 5), *keep(other, 5)]
    (late,) = keep(one)
    assert budget.used == 10 * SIZE
    assert (late.take(), late.size, late.missing.reason) == (None, 0, FULL)
    assert here(parts) == [True] * 10
    for part in parts[5:]:
        part.free()
        part.free()
    assert budget.used == 5 * SIZE
    assert here(keep(one, 6)) == [True] * 5 + [False]


def test_a_call_alone_keeps_its_own_bound() -> None:
    """A buffer of any size is accepted while nothing waits; the process has its bound all the same.

    A buffer above the call's bound is not kept at all.
    """
    call = share(Budget(), parts=4, own=2)
    assert here(call.keep([PCM] * 6)) == [True] * 4 + [False] * 2
    late = call.keep([PCM] * 2)
    assert [part.missing.reason for part in late] == ["memory-full"] * 2
    assert here(late) == [False] * 2


def test_the_greatest_gives_way_to_one_that_has_less() -> None:
    """Its newest audio goes first, until both have the same."""
    budget = Budget()
    greedy, modest = share(budget), share(budget)
    much = keep(greedy, 10)
    little = keep(modest, 7)
    assert here(little) == [True] * 5 + [False] * 2
    assert here(much) == [True] * 5 + [False] * 5
    assert {part.missing.reason for part in much[5:]} == {FULL}
    assert greedy.used == modest.used == 5 * SIZE


def test_what_is_sent_does_not_give_way() -> None:
    """Its memory is not free before it has arrived."""
    budget = Budget()
    greedy, modest = share(budget), share(budget)
    much = keep(greedy, 10)
    assert here(much[1:]) == [True] * 9
    assert here(keep(modest, 2)) == [True, False]
    assert much[0].take() is None
    assert budget.used == 10 * SIZE


def test_nothing_gives_way_in_vain() -> None:
    """If what may give way is not enough, it stays."""
    budget = Budget()
    one, other, third = (share(budget) for _ in range(3))
    (small,) = one.keep([PCM[:10]])
    assert here(keep(other, 4)) == [True] * 4
    assert here(keep(one, 5)) == [True] * 5
    assert here(third.keep([PCM + PCM[:10]])) == [False]
    assert budget.used == 9 * SIZE + 10
    assert here([small]) == [True]


def test_silence_takes_no_room() -> None:
    """However much of it waits."""
    call = share(Budget(), parts=1)
    parts = call.keep([bytes(SIZE)] * 5)
    assert all(part.is_silence for part in parts)
    assert [part.take() for part in parts] == [silence(SIZE)] * 5
    (speech,) = keep(call)
    assert not speech.is_silence
    assert here([speech]) == [True]
    assert here(call.keep([bytes(SIZE)])) == [True]


def test_of_different_bounds_the_smallest_holds() -> None:
    """It takes nothing away: what waits gives way to calls that have less, and to nobody else."""
    budget = Budget()
    wide, narrow = share(budget, parts=20), share(budget, parts=4)
    much = keep(wide, 12)
    assert here(keep(narrow, 2)) == [True] * 2
    assert budget.used == 12 * SIZE
    assert here(keep(wide)) == [False]
    assert sum(here(much)) == 10
    narrow.close()
    assert here(keep(wide, 11)) == [True] * 10 + [False]


def test_without_any_bound_nothing_is_kept() -> None:
    """Zero means none."""
    assert here(keep(share(Budget(), parts=0))) == [False]


def test_a_call_that_is_over_has_no_share() -> None:
    """Its room is free, and what comes later finds none."""
    budget = Budget()
    call = share(budget)
    keep(call, 10)
    call.close()
    assert budget.used == 0
    assert here(keep(call)) == [False]
    assert here(keep(share(budget), 10)) == [True] * 10


def test_a_call_that_was_forgotten_has_no_share() -> None:
    """Its event loop was closed in the middle, so nobody ended it."""
    budget = Budget()
    keep(share(budget), 10)
    gc.collect()
    assert budget.used == 0
    assert here(keep(share(budget), 10)) == [True] * 10


def test_by_default_the_process_is_shared() -> None:
    """Calls that know nothing of each other have one budget."""
    before = PROCESS.used
    calls = [Share(), Share()]
    for call in calls:
        keep(call)
    assert PROCESS.used == before + 2 * SIZE
    for call in calls:
        call.close()
    assert PROCESS.used == before


_STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["keep", "keep", "keep", "take", "free"])),
    max_size=60,
)


@given(_STEPS)
def test_whatever_calls_do_shares_are_fair(
    steps: list[tuple[int, str]],
) -> None:
    """Nothing is refused while a call that has clearly more could give way."""
    budget = Budget()
    calls = [share(budget, parts=8) for _ in range(5)]
    waiting: list[list[Kept]] = [[] for _ in calls]
    for number, step in steps:
        call, mine = calls[number], waiting[number]
        if step == "keep":
            (part,) = keep(call)
            mine.append(part)
            if not part.size:
                assert budget.used == 8 * SIZE
                others = [one.used for one in calls if one.loose]
                assert max(others, default=0) <= call.used + SIZE
        elif mine and step == "take":
            mine[0].take()
        elif mine:
            mine.pop(0).free()
        assert budget.used == sum(part.size for parts in waiting for part in parts) <= 8 * SIZE


@pytest.mark.parametrize("step", ["keep", "take", "free", "close", "used"])
def test_threads_wait_for_each_other(step: str) -> None:
    """Event loops in several threads share the count: each step of one is whole for the others."""
    budget = Budget()
    call = share(budget)
    (part,) = keep(call)
    steps = {"keep": lambda: keep(call), "take": part.take, "free": part.free, "close": call.close}
    other = threading.Thread(target=steps.get(step, lambda: budget.used))
    with budget.lock:
        other.start()
        other.join(0.02)
        assert other.is_alive()
        assert budget.used == SIZE
    other.join()


def test_threads_share_it() -> None:
    """Whatever they keep, send and end meanwhile, the count is right."""
    budget, wrong = Budget(), list[int]()

    def hold() -> None:
        call = share(budget)
        parts: list[Kept] = []
        for number in range(500):
            parts += keep(call)
            if number % 3 == 0:
                parts[0].take()
            if len(parts) > 4:
                parts.pop(0).free()
            if (used := budget.used) > 10 * SIZE or call.used < 0:
                wrong.append(used)
        call.close()

    threads = [threading.Thread(target=hold) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert budget.used == 0
