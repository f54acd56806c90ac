"""Any value as plain JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timezone
from enum import Enum, IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from pipecat_roark import plain, wire
from pipecat_roark.report import CallReport, ToolCall, ToolResult
from support.cost import counted
from support.strict import strict

AT = datetime(2026, 3, 1, 12, 0, 0, 250_999, tzinfo=timezone.utc)


class Colour(Enum):
    """An enum, which JSON doesn't have."""

    RED = "red"


class Named(str, Enum):  # the older kind, which Python 3.10 has
    """A string whose `str()` is not its value."""

    RED = "red"


class Level(IntEnum):
    """An enum of numbers."""

    HIGH = 3


@dataclass
class Point:
    """A dataclass."""

    x: int
    when: date


class Booking(BaseModel):
    """A model of pydantic."""

    guests: int
    on: date


class Rude:
    """An object that can't be shown as text."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class Torn(dict[str, object]):
    """A mapping that can't be read."""

    def items(self) -> Any:
        """Fail."""
        raise RuntimeError("no")


@dataclass
class Half:
    """A dataclass with a property that can't be read."""

    x: int = 1

    def __getattribute__(self, name: str) -> Any:
        """Fail at `x`."""
        if name == "x":
            raise RuntimeError("no")
        return super().__getattribute__(name)


LOOP: list[object] = [1]
LOOP.append(LOOP)
NAMED_LOOP: dict[str, object] = {"me": {}}
NAMED_LOOP["me"] = NAMED_LOOP
TWICE = [1]

STRUCTURES = [
    ({"a": [1, 2.5, True, None, "ü"]}, '{"a":[1,2.5,true,null,"ü"]}'),
    ([], "[]"),
    (
        {1: "a", None: "b", Colour.RED: "c", (1, 2): "d"},
        '{"1":"a","None":"b","red":"c","[1, 2]":"d"}',
    ),
    ((1, 2), "[1,2]"),
    ({3}, "[3]"),
    (frozenset({3}), "[3]"),
    ([float("nan"), float("inf"), -float("inf")], '["nan","inf","-inf"]'),
    ([10**600], f"[{10**600}]"),
    ([1 << 20_000], f'["{hex(1 << 20_000)}"]'),
    ([b"ok", bytearray(b"\xff")], '["ok","\ufffd"]'),
    (
        [AT, AT.date(), AT.time()],
        '["2026-03-01T12:00:00.250999+00:00","2026-03-01","12:00:00.250999"]',
    ),
    ([Colour.RED, Named.RED, Level.HIGH], '["red","red",3]'),
    (Point(1, AT.date()), '{"x":1,"when":"2026-03-01"}'),
    (Booking(guests=2, on=AT.date()), '{"guests":2,"on":"2026-03-01"}'),
    ([RootModel[int](5)], "[5]"),
    (LOOP, '[1,"…"]'),
    (NAMED_LOOP, '{"me":"…"}'),
    ([TWICE, TWICE], "[[1],[1]]"),
    ([Rude(), 1], '["<Rude>",1]'),
    ({"a": Torn(b=1), "c": Half()}, '{"a":"<Torn>","c":"<Half>"}'),
    ([Point, Booking], f'["{Point}","{Booking}"]'),
]


@pytest.mark.parametrize(("value", "expected"), STRUCTURES)
def test_structures_become_json(value: object, expected: str) -> None:
    """Any structure becomes compact JSON, as arguments and as a result."""
    assert plain.arguments_text(value) == expected
    assert plain.result_text(value) == expected
    strict(expected)


@pytest.mark.parametrize(
    ("value", "arguments", "result"),
    [
        (None, "{}", ""),
        ('{"a": 1', '{"a": 1', '{"a": 1'),
        ("", "", ""),
        (True, "true", "True"),
        (7, "7", "7"),
        (Level.HIGH, "3", "3"),
        (2.50, "2.5", "2.5"),
        (float("nan"), '"nan"', "nan"),
        (Colour.RED, '"red"', "red"),
        (Named.RED, "red", "red"),
        (b"raw", '"raw"', "raw"),
        (AT.date(), '"2026-03-01"', "2026-03-01"),
        (Rude(), '"<Rude>"', "<Rude>"),
        (ValueError("wrong"), '"wrong"', "wrong"),
    ],
)
def test_scalars(value: object, arguments: str, result: str) -> None:
    """A string stays as it is; another scalar becomes JSON in arguments and text in a result."""
    assert plain.arguments_text(value) == arguments
    assert plain.result_text(value) == result


def test_deep_nesting_is_cut() -> None:
    """A structure that is nested very deeply ends with a mark."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    text = plain.arguments_text(deep)
    strict(text)
    assert text == "[" * 32 + '"…"' + "]" * 32


@pytest.mark.live
def test_a_huge_structure_is_cut() -> None:
    """A huge list, or one that expands to a billion items, is cut in bounded time."""
    assert plain.result_text(range(10)) == "range(0, 10)"
    wide = strict(plain.arguments_text([0] * 1_000_000))
    assert wide[-1] == "…"
    assert wide[:-1] == [0] * plain.MAX_TEXT
    named = strict(plain.arguments_text(dict.fromkeys(range(1_000_000))))
    assert len(named) == plain.MAX_TEXT + 1
    assert named["…"] == "…"
    doubled: list[object] = []
    for _ in range(30):
        doubled = [doubled, doubled]
    with counted() as cost:
        assert "…" in plain.arguments_text(doubled)
    assert cost.calls < 100 * plain.MAX_TEXT


@pytest.mark.parametrize("kind", [str, lambda text: [text]])
def test_a_long_result_is_cut(kind: Any) -> None:
    """A long result keeps its beginning, and ends with its full length."""
    text = plain.result_text(kind("x" * 1_000_000))
    assert plain.MAX_TEXT < len(text) < plain.MAX_TEXT + 50
    length = 1_000_000 if kind is str else 1_000_004
    assert text.endswith(f"x… [cut: {length} characters in all]")
    assert len(plain.result_text("x" * plain.MAX_TEXT)) == plain.MAX_TEXT


def test_long_arguments_are_cut() -> None:
    """Arguments have the bound of results; a structure remains JSON, and its texts are cut."""
    text = plain.arguments_text("x" * 1_000_000)
    assert text.endswith("x… [cut: 1000000 characters in all]")
    assert len(text) < plain.MAX_TEXT + 50
    long = {"page": "x" * 1_000_000, "note": "y", "n": 1}
    cut = strict(plain.arguments_text(long))
    assert cut["page"] == "x" * plain.MAX_TEXT + "…"
    assert len(plain.arguments_text([long] * 5)) < plain.MAX_TEXT + 500
    assert strict(plain.arguments_text([{"note": "y", "n": 1}])) == [{"note": "y", "n": 1}]


ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.binary(),
        st.datetimes(),
        st.just(Rude()),
        st.sampled_from([*Colour, *Named, *Level]),
    ),
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(st.one_of(st.text(), st.integers()), inner),
        st.tuples(inner, inner),
    ),
)


@given(ANYTHING)
def test_nothing_fails(value: object) -> None:
    """An event with any arguments and any result is valid JSON."""
    arguments = plain.arguments_text(value)
    if not isinstance(value, str):
        json.loads(arguments)
    result = ToolResult(content=plain.result_text(value), returned_at=AT)
    call = ToolCall(
        tool_call_id="t1", name="look_up", arguments=arguments, called_at=AT, results=(result,)
    )
    strict(wire.call_ended(CallReport(pipecat_call_id="c", tool_calls=(call,)), AT))
