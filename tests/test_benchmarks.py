"""The benchmarks measure, compare and write as they say; how long anything takes is no test."""

from __future__ import annotations

import pytest

from benchmarks.instructions import PLACE, complaints
from benchmarks.launch import OURS
from benchmarks.mix import POSITIONS, stored
from benchmarks.rounds import alternate, ratio
from benchmarks.table import BEGIN, END, Row, markdown, plain, written

MET = Row(1, "A callback", "1.4x", "peer 5x", met=True)
MISSED = Row(10, "With a spool", "1.2x", "1x", met=False)


def test_the_table_has_a_line_for_each_goal_in_order() -> None:
    """It says when it was taken, and what is met."""
    assert markdown([MISSED, MET], "2026-01-01, Python 3.11").splitlines() == [
        "2026-01-01, Python 3.11",
        "",
        "| goal | ours | beside | met |",
        "|---|---|---|---|",
        "| 1. A callback | 1.4x | peer 5x | yes |",
        "| 10. With a spool | 1.2x | 1x | **no** |",
    ]


def test_the_table_is_written_between_its_marks() -> None:
    """What was there is replaced, and nothing else."""
    readme = f"before\n{BEGIN}\nold \\1\n{END}\nafter\n"
    assert written(readme, "new \\1") == f"before\n{BEGIN}\nnew \\1\n{END}\nafter\n"
    with pytest.raises(ValueError, match="must hold"):
        written("no marks", "new")


def test_figures_are_aligned() -> None:
    """Names stand to the left, figures to the right."""
    assert plain(("name", "us"), [("a", 1.5), ("longer", 10)]).splitlines() == [
        "name     us",
        "a       1.5",
        "longer   10",
    ]


async def test_contenders_alternate() -> None:
    """Each round measures each contender once and begins with another one."""
    order = []

    async def measure(name: str) -> float:
        order.append(name)
        return {"a": 2.0, "b": 1.0}[name] * (1 + len(order) // 3)

    figures = await alternate(2, ["a", "b"], measure)
    assert order == ["a", "b", "b", "a"]
    assert figures == {"a": [2.0, 4.0], "b": [1.0, 2.0]}
    assert ratio(figures, "a", "b") == 2


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        ({"a callback": 90}, []),
        ({"a callback": 110}, []),
        ({"a callback": 112}, ["a callback takes 12% more instructions than recorded."]),
    ],
)
def test_more_instructions_than_recorded_are_refused(
    counted: dict[str, int], expected: list[str]
) -> None:
    """A tenth more passes, and so does less."""
    assert complaints({"a callback": 100}, counted) == expected


def test_instructions_that_are_not_recorded_are_refused() -> None:
    """The complaint names the command that records them."""
    (unknown,) = complaints({}, {"a callback": 1})
    (elsewhere,) = complaints(None, {"a callback": 1})
    assert PLACE in elsewhere
    assert all("--write" in complaint for complaint in (unknown, elsewhere))


def test_the_stored_call_is_whole() -> None:
    """It is in order, both speak in it, and every frame's way is inside the pipeline."""
    steps = stored()
    assert [step.at_ms for step in steps] == sorted(step.at_ms for step in steps)
    assert {"InputAudioRawFrame", "TTSAudioRawFrame"} <= {step.kind for step in steps}
    assert all(0 <= place < POSITIONS for step in steps for place in (step.origin, step.last))


@pytest.mark.process
async def test_a_process_of_its_own_measures() -> None:
    """What it found comes back."""
    options = {"rounds": 2, "pushes": 10, "firsts": 2}
    env = {"ROARK_BASE_URL": "http://127.0.0.1:9", "ROARK_API_KEY": "key"}
    found = await OURS.measure("hot_path", env, contenders=["empty", "turns"], **options)
    assert all(len(times["empty"]) == 2 for times in found["later"].values())
