"""Where a recording must be silent for the turns that were redacted."""

from __future__ import annotations

from typing import Any

import pytest

from pipecat_roark import CallReport, Turn
from pipecat_roark.privacy.silenced import PAD_MS, place, silenced
from privacy.test_masks import at

RATE, BYTES_PER_MS = 24000, 96


def spans(*turns: Turn) -> list[tuple[float, float]]:
    """Return what is silenced, in milliseconds."""
    report = CallReport(pipecat_call_id="call-1", turns=turns, sample_rate=RATE, num_channels=2)
    return [(begin / BYTES_PER_MS, end / BYTES_PER_MS) for begin, end in silenced(report)]


def turn(start_ms: int | None, end_ms: int | None, **fields: Any) -> Turn:
    """Return a turn that was redacted."""
    values: dict[str, Any] = {"role": "user", "content": "", "silenced": True, **fields}
    return Turn(started_at=at(0), ended_at=at(1), start_ms=start_ms, end_ms=end_ms, **values)


def test_a_turn_is_silenced_with_its_edges() -> None:
    """More than they can be off; nothing lies before the beginning."""
    assert spans(turn(1000, 2000)) == [(1000 - PAD_MS, 2000 + PAD_MS)]
    assert spans(turn(100, 2000, role="assistant")) == [(0, 2000 + PAD_MS)]


def test_others_are_not() -> None:
    """Neither a turn that may be heard, nor one that is nowhere in the recording."""
    assert spans(turn(1000, 2000, silenced=False), turn(None, None)) == []


def test_an_undetected_turn_may_have_begun_much_earlier() -> None:
    """Its words came after they were spoken."""
    assert spans(turn(9000, 9000, detected=False)) == [(9000 - PAD_MS - 5000, 9000 + PAD_MS)]


def test_users_who_spoke_in_one_turn_are_silenced_together() -> None:
    """Where one stopped and the other began is a guess; a turn with a pause before it is apart."""
    first, third = turn(0, 1000, silenced=False), turn(2000, 3000, silenced=False)
    apart = turn(3100, 4000, silenced=False)
    answer = turn(3000, 5000, role="assistant", silenced=False)
    for others in ([apart], [answer, apart]):
        assert spans(first, turn(1000, 2000), third, *others) == [(0, 3000 + PAD_MS)]


@pytest.mark.parametrize("rate", [8000, 22050, 24000])
def test_places_are_those_of_whole_samples(rate: int) -> None:
    """Both channels of a sample are silenced."""
    report = CallReport(pipecat_call_id="call-1", sample_rate=rate, num_channels=2)
    for ms in range(1, 50, 7):
        assert place(report, ms) % 4 == 0
        assert abs(place(report, ms) - 4 * ms * rate / 1000) < 4


def test_without_a_recording_everything_is_at_its_beginning() -> None:
    """Nothing is recorded, so nothing is released."""
    assert place(CallReport(pipecat_call_id="call-1"), 5000) == 0
