"""The JSON that the library sends to Roark."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipecat_roark import wire
from pipecat_roark.local import contract
from pipecat_roark.report import CallReport, ToolCall, ToolResult, Turn
from support.strict import strict

AT = datetime(2026, 3, 1, 12, 0, 0, 250_999, tzinfo=timezone.utc)
LATER = AT + timedelta(seconds=2)
INDIA = timezone(timedelta(hours=5, minutes=30))


def test_call_started() -> None:
    """The event has the values that are set, under Roark's names, as compact JSON."""
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
    """Without any knowledge of the call, its times are null and its reason is `unknown`."""
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
    """The event has every field of the contract; optional ones are left out if they are not set."""
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


def test_what_redaction_left_empty_is_not_sent() -> None:
    """A turn without words is no turn, and a tool's arguments are JSON."""
    empty = replace(TURN, content="")
    event = strict(wire.call_ended(replace(REPORT, turns=(empty, TURN)), LATER))
    assert [turn["content"] for turn in event["transcript"]] == ["Hi"]
    call = replace(CALL, arguments="", results=(ToolResult(content="", returned_at=LATER),))
    event = strict(wire.call_ended(replace(REPORT, turns=(empty,), tool_calls=(call,)), LATER))
    assert "transcript" not in event
    assert [record.get("arguments", record.get("content")) for record in event["toolCalls"]] == [
        "{}",
        "",
    ]


@pytest.mark.parametrize(("offset", "fits"), [(0, True), (2**53 - 1, True), (2**53, False)])
def test_an_offset_that_no_reader_has_exactly_is_left_out(offset: int, fits: bool) -> None:  # noqa: FBT001
    """The contract refuses it, and with it the whole event."""
    turn = replace(TURN, start_ms=0, end_ms=offset)
    report = replace(REPORT, turns=(turn,), tool_calls=(replace(CALL, offset_ms=offset),))
    event = strict(wire.call_ended(report, LATER))
    assert [*contract.EVENT(event, "")] == []
    assert ("endAudioOffsetMs" in event["transcript"][0]) is fits
    assert ("audioOffsetMs" in event["toolCalls"][0]) is fits


def test_chunk_upload() -> None:
    """The request for a URL has the same bytes each time."""
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
    """A timestamp is ISO 8601 in UTC, and always has the same length."""
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
    """Text stays as it is; half a surrogate pair, which is no text, is replaced."""
    assert strict(wire.call_started("c", AT, "a", agent_prompt=text))["agentPrompt"] == expected


@given(st.text(st.characters()))
def test_events_are_valid_json(text: str) -> None:
    """With any text, the event is accepted by a strict parser."""
    turns = (replace(TURN, content=text, user_id=text),)
    report = CallReport(pipecat_call_id=text, ended_reason=text, turns=turns)
    strict(wire.call_ended(report, AT))


texts = st.text(st.characters(), max_size=5) | st.sampled_from(["", " ", "en", "x-y", "0", "0#2"])
moments = st.datetimes(timezones=st.just(timezone.utc)) | st.integers(0, 9).map(
    lambda seconds: AT + timedelta(seconds=seconds / 4)
)
offsets = st.none() | st.integers(-2, 9) | st.integers()
reports = st.builds(
    CallReport,
    pipecat_call_id=texts,
    started_at=st.none() | moments,
    ended_at=st.none() | moments,
    ended_reason=st.none() | texts,
    agent_spoke_first=st.none() | st.booleans(),
    sample_rate=st.none() | st.sampled_from([8000, 0, 10**6]) | st.integers(),
    num_channels=st.none() | st.integers(-1, 3),
    turns=st.lists(
        st.builds(
            Turn,
            role=st.sampled_from(["user", "assistant"]),
            content=texts,
            started_at=moments,
            ended_at=moments,
            start_ms=offsets,
            end_ms=offsets,
            user_id=st.none() | texts,
            language=st.none() | texts,
        ),
        max_size=4,
    ).map(tuple),
    tool_calls=st.lists(
        st.builds(
            ToolCall,
            tool_call_id=texts,
            name=texts,
            arguments=texts,
            called_at=moments,
            offset_ms=offsets,
            results=st.lists(
                st.builds(ToolResult, content=texts, returned_at=moments, offset_ms=offsets),
                max_size=3,
            ).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
)


@settings(max_examples=1000, deadline=None)
@given(reports, moments)
@pytest.mark.live
def test_no_report_makes_an_event_that_is_refused(report: CallReport, at: datetime) -> None:
    """Whatever a report holds, the contract accepts `call-ended`, with all turns and tools."""
    event = strict(wire.call_ended(report, at))
    assert [*contract.EVENT(event, "")] == []
    said = [turn for turn in report.turns if turn.content.strip()]
    assert len(event.get("transcript", ())) == len(said)
    records = event.get("toolCalls", ())
    assert len(records) == sum(1 + len(call.results) for call in report.tool_calls)


@given(texts, moments, texts, st.none() | texts, st.integers(0, 999_999))
def test_no_text_makes_another_request_that_is_refused(
    call_id: str, at: datetime, agent_id: str, other: str | None, index: int
) -> None:
    """Whatever names a call and its agent has, the contract accepts the other requests."""
    started = strict(wire.call_started(call_id, at, agent_id, other, other))
    assert [*contract.EVENT(started, "")] == []
    upload = strict(wire.chunk_upload(call_id, index))
    assert [*contract.UPLOAD_REQUEST(upload, "")] == []
    assert upload["pipecatCallId"] == started["pipecatCallId"]
