"""The JSON that goes to Roark."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from enum import Enum, IntEnum
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from pipecat_roark import wire
from pipecat_roark.report import CallReport, ToolCall, ToolResult, Turn

AT = datetime(2026, 3, 1, 12, 0, 0, 250_999, tzinfo=timezone.utc)
LATER = AT + timedelta(seconds=2)
INDIA = timezone(timedelta(hours=5, minutes=30))


def strict(raw: bytes | str) -> Any:
    """Parse JSON as the standard has it: UTF-8, every name once, no NaN, no lone surrogate."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    text = raw.decode() if isinstance(raw, bytes) else raw
    value = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def test_call_started() -> None:
    """What is known is sent under Roark's names, in a compact form."""
    assert strict(wire.call_started("call-1", AT, "front-desk", "Desk", "Be kind.")) == {
        "event": "call-started",
        "pipecatCallId": "call-1",
        "eventTimestamp": "2026-03-01T12:00:00.250Z",
        "agentId": "front-desk",
        "agentName": "Desk",
        "agentPrompt": "Be kind.",
    }
    assert wire.call_started("c", AT, "a") == (
        b'{"event":"call-started","pipecatCallId":"c",'
        b'"eventTimestamp":"2026-03-01T12:00:00.250Z","agentId":"a"}'
    )


def test_call_ended_with_nothing_known() -> None:
    """A call of which nothing is known has times that are null, and a reason that says so."""
    assert strict(wire.call_ended(CallReport(pipecat_call_id="call-1"), AT)) == {
        "event": "call-ended",
        "pipecatCallId": "call-1",
        "eventTimestamp": "2026-03-01T12:00:00.250Z",
        "callStartedAt": None,
        "callEndedAt": None,
        "callEndedReason": "unknown",
    }


TURN = Turn(role="user", content="Hi", started_at=AT, ended_at=LATER)
CALL = ToolCall(tool_call_id="t1", name="look_up", arguments='{"q": 1}', called_at=AT)
REPORT = CallReport(
    pipecat_call_id="call-1",
    started_at=AT,
    ended_at=LATER,
    ended_reason="agent-ended",
    agent_spoke_first=False,
    sample_rate=24000,
    num_channels=2,
    turns=(
        replace(TURN, start_ms=0, end_ms=2000, user_id="caller", language="en-US"),
        replace(TURN, role="assistant", user_id="bot", language="en"),
    ),
    tool_calls=(
        replace(
            CALL,
            offset_ms=0,
            results=(ToolResult(content="a", returned_at=LATER, offset_ms=2000),),
        ),
        replace(
            CALL,
            tool_call_id="t2",
            results=(
                ToolResult(content="b", returned_at=AT),
                ToolResult(content="c", returned_at=LATER),
            ),
        ),
    ),
)


def test_call_ended_with_all_known() -> None:
    """Every field of the contract, and the optional ones only where they are known."""
    at, later = "2026-03-01T12:00:00.250Z", "2026-03-01T12:00:02.250Z"
    call = {"kind": "tool_call", "name": "look_up", "arguments": '{"q": 1}', "timestamp": at}
    assert strict(wire.call_ended(REPORT, LATER)) == {
        "event": "call-ended",
        "pipecatCallId": "call-1",
        "eventTimestamp": later,
        "callStartedAt": at,
        "callEndedAt": later,
        "callEndedReason": "agent-ended",
        "agentSpokeFirst": False,
        "recordingSampleRate": 24000,
        "recordingNumChannels": 2,
        "transcript": [
            {
                "role": "user",
                "content": "Hi",
                "timestamp": at,
                "endTimestamp": later,
                "audioOffsetMs": 0,
                "endAudioOffsetMs": 2000,
                "userId": "caller",
                "language": "en-US",
            },
            {"role": "assistant", "content": "Hi", "timestamp": at, "endTimestamp": later},
        ],
        "toolCalls": [
            {**call, "toolCallId": "t1", "audioOffsetMs": 0},
            {
                "kind": "tool_result",
                "toolCallId": "t1",
                "content": "a",
                "timestamp": later,
                "audioOffsetMs": 2000,
            },
            {**call, "toolCallId": "t2"},
            {"kind": "tool_result", "toolCallId": "t2", "content": "b", "timestamp": at},
            {"kind": "tool_result", "toolCallId": "t2", "content": "c", "timestamp": later},
        ],
    }


def test_chunk_upload() -> None:
    """The request for a URL is the same bytes each time."""
    assert wire.chunk_upload("call#1", 0) == (
        b'{"pipecatCallId":"call#1","chunkIndex":0,"contentType":"audio/pcm"}'
    )


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (AT, "2026-03-01T12:00:00.250Z"),
        (datetime(2026, 3, 1, 12, tzinfo=timezone.utc), "2026-03-01T12:00:00.000Z"),
        (datetime(2026, 3, 1, 2, tzinfo=INDIA), "2026-02-28T20:30:00.000Z"),
    ],
)
def test_timestamp(at: datetime, expected: str) -> None:
    """ISO 8601 in UTC, always of the same length."""
    assert wire.timestamp(at) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Grüße, 日本 😀 "\\\n\t\x00\u2028', 'Grüße, 日本 😀 "\\\n\t\x00\u2028'),
        ("\ud83d\ude00", "😀"),
        ("a\ud83db", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
    ],
)
def test_any_text_fits(text: str, expected: str) -> None:
    """Text arrives as it was; half a surrogate pair, which is no text, is marked."""
    assert strict(wire.call_started("c", AT, "a", agent_prompt=text))["agentPrompt"] == expected


@given(st.text(st.characters()))
def test_events_are_valid_json(text: str) -> None:
    """No text makes an event that a strict parser refuses."""
    turns = (replace(TURN, content=text, user_id=text),)
    report = CallReport(pipecat_call_id=text, ended_reason=text, turns=turns)
    strict(wire.call_ended(report, AT))


class Colour(Enum):
    """Not JSON by itself."""

    RED = "red"


class Named(str, Enum):  # the older kind, which Python 3.10 has
    """A string, but not by its `str()`."""

    RED = "red"


class Level(IntEnum):
    """A number."""

    HIGH = 3


@dataclass
class Point:
    """Structured."""

    x: int
    when: date


class Booking(BaseModel):
    """Structured, of pydantic."""

    guests: int
    on: date


class Rude:
    """Refuses to be looked at."""

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
    """Arguments and results hold any structure, as compact JSON."""
    assert wire.arguments_text(value) == expected
    assert wire.result_text(value) == expected
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
    """Strings are kept verbatim; other scalars are JSON as arguments, plain text as a result."""
    assert wire.arguments_text(value) == arguments
    assert wire.result_text(value) == result


def test_deep_nesting_is_cut() -> None:
    """A structure deeper than any tool means ends with a mark."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    text = wire.arguments_text(deep)
    strict(text)
    assert text == "[" * 32 + '"…"' + "]" * 32


def test_a_huge_structure_is_cut() -> None:
    """Neither a long list nor one that refers to itself a billion times holds the call."""
    began = perf_counter()
    assert wire.result_text(range(10)) == "range(0, 10)"
    wide = strict(wire.arguments_text([0] * 1_000_000))
    assert wide[-1] == "…"
    assert wide[:-1] == [0] * wire.MAX_TEXT
    named = strict(wire.arguments_text(dict.fromkeys(range(1_000_000))))
    assert len(named) == wire.MAX_TEXT + 1
    assert named["…"] == "…"
    doubled: list[object] = []
    for _ in range(30):
        doubled = [doubled, doubled]
    assert "…" in wire.arguments_text(doubled)
    assert perf_counter() - began < 5


@pytest.mark.parametrize("kind", [str, lambda text: [text]])
def test_a_long_result_is_cut(kind: Any) -> None:
    """Of a long result the beginning is kept, and the cut says how long it was."""
    text = wire.result_text(kind("x" * 1_000_000))
    assert wire.MAX_TEXT < len(text) < wire.MAX_TEXT + 50
    length = 1_000_000 if kind is str else 1_000_004
    assert text.endswith(f"x… [cut: {length} characters in all]")
    assert len(wire.result_text("x" * wire.MAX_TEXT)) == wire.MAX_TEXT


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
    """Whatever a tool takes or gives, the event is written and read back."""
    arguments = wire.arguments_text(value)
    if not isinstance(value, str):
        json.loads(arguments)
    result = ToolResult(content=wire.result_text(value), returned_at=AT)
    call = replace(CALL, arguments=arguments, results=(result,))
    strict(wire.call_ended(CallReport(pipecat_call_id="c", tool_calls=(call,)), AT))
