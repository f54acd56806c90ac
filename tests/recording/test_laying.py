"""Where another recorder lays what reaches it; times are milliseconds."""

from __future__ import annotations

import pytest

from pipecat_roark.recording.laying import Laying

MS = 1_000_000


def hears(laying: Laying, begin: int, end: int, *, at: int | None = None) -> None:
    """Let frames of the user arrive as they are spoken, or all at one time."""
    for spoken in range(begin, end, 20):
        laying.add_frame("user", (spoken + 20 if at is None else at) * MS, 20 * MS)


def ahead(laying: Laying, *moments: int, speaker: str = "user") -> list[float]:
    """Return by how much a track is longer than the clock says, at these moments."""
    assert speaker in {"user", "bot"}
    return [laying.ahead(speaker, at * MS) / MS for at in moments]  # type: ignore[arg-type]


@pytest.fixture(params=[True, False])
def laying(request: pytest.FixtureRequest) -> Laying:
    """Return one that fills gaps, and one that doesn't."""
    return Laying(fills=request.param)


def test_nothing_is_ahead_before_the_first_frame(laying: Laying) -> None:
    """Nor with frames that come in time."""
    assert ahead(laying, 0, 500) == [0, 0]
    hears(laying, 0, 1000)
    assert ahead(laying, 0, 500, 1500) == [0, 0, 0]


@pytest.mark.parametrize(("fills", "later"), [(True, 480), (False, 0)])
def test_what_waited_in_a_stall_lies_behind_its_silence(fills: bool, later: int) -> None:  # noqa: FBT001
    """If it was filled, its audio is laid later than it was spoken, and so is all that follows."""
    laying = Laying(fills=fills)
    hears(laying, 0, 1000)
    hears(laying, 1000, 1500, at=1500)
    hears(laying, 1500, 3000)
    assert ahead(laying, 0, 980, 3000) == pytest.approx([0, 0, later], abs=100)
    assert ahead(laying, 1100) == ahead(laying, 3000)


def test_time_without_frames_is_in_one_of_them_alone() -> None:
    """A muted microphone is silence, or nothing."""
    for fills, expected in (True, 0), (False, -4000):
        laying = Laying(fills=fills)
        hears(laying, 0, 1000)
        hears(laying, 5000, 6000)
        assert ahead(laying, 500, 5500) == pytest.approx([0, expected], abs=20)


def test_what_waited_at_first_was_spoken_at_first(laying: Laying) -> None:
    """A backlog at the start has no silence in front of it."""
    hears(laying, 0, 1000, at=20)
    hears(laying, 20, 2000)
    assert ahead(laying, -500, 0, 1500) == pytest.approx([980] * 3, abs=100)


def test_an_idle_track_is_in_step_with_the_other() -> None:
    """The bot's track gets the same silence, and the bot follows it."""
    laying = Laying(fills=True)
    hears(laying, 0, 1000)
    hears(laying, 1000, 1500, at=1500)
    hears(laying, 1500, 3000)
    laying.add_frame("bot", 3040 * MS, 40 * MS)
    assert ahead(laying, 3000, speaker="bot") == pytest.approx([480], abs=100)


def test_what_is_handed_out_shows_which_it_is() -> None:
    """The error of the one that is right is smaller; both know how long the tracks are."""
    filling, leaving = Laying(fills=True), Laying(fills=False)
    for laying in filling, leaving:
        hears(laying, 0, 1000)
        hears(laying, 5000, 6000)
        laying.hand_out(6000 * MS)
        hears(laying, 6000, 7000)
    assert filling.error < leaving.error
    for laying in filling, leaving:
        assert ahead(laying, 6500) == pytest.approx([0], abs=20)
