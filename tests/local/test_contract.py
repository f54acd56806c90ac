"""What the local Roark accepts and refuses, checked without a server."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_roark.local import contract

if TYPE_CHECKING:
    from pipecat_roark.local.schema import Check

KEY = "rk-secret"
CALL = "SmallWebRTC#0"
HEADERS = {
    "x-roark-api-key": KEY,
    "authorization": f"Bearer {KEY}",
    "content-type": "application/json",
}
GONE = object()

STARTED: dict[str, Any] = {
    "event": "call-started",
    "pipecatCallId": CALL,
    "eventTimestamp": "2026-03-01T12:00:00.000Z",
    "agentId": "front-desk",
    "agentName": "Front desk",
    "agentPrompt": "Be kind.",
}
ENDED: dict[str, Any] = {
    "event": "call-ended",
    "pipecatCallId": CALL,
    "eventTimestamp": "2026-03-01T12:00:02+00:00",
    "callStartedAt": "2026-03-01T12:00:00.000Z",
    "callEndedAt": "2026-03-01T12:00:01.500Z",
    "callEndedReason": "agent-ended",
    "agentSpokeFirst": True,
    "recordingSampleRate": 8000,
    "recordingNumChannels": 2,
    "transcript": [
        {
            "role": "assistant",
            "content": "Private hello",
            "timestamp": "2026-03-01T12:00:00.1Z",
            "endTimestamp": "2026-03-01T12:00:00.4Z",
            "audioOffsetMs": 0,
            "endAudioOffsetMs": 400,
        },
        {
            "role": "user",
            "content": "Private weather",
            "timestamp": "2026-03-01T12:00:00.500000Z",
            "endTimestamp": "2026-03-01T12:00:00.900000Z",
            "audioOffsetMs": 500,
            "endAudioOffsetMs": 1000,
            "userId": "caller-7",
            "language": "en-US",
        },
    ],
    "toolCalls": [
        {
            "kind": "tool_call",
            "toolCallId": "t1",
            "name": "weather",
            "arguments": '{"place":"Private town"}',
            "timestamp": "2026-03-01T12:00:01Z",
            "audioOffsetMs": 1000,
        },
        {
            "kind": "tool_result",
            "toolCallId": "t1",
            "content": "",
            "timestamp": "2026-03-01T12:00:01Z",
        },
    ],
}
UPLOAD: dict[str, Any] = {"pipecatCallId": CALL, "chunkIndex": 0, "contentType": "audio/pcm"}
BARE_ENDED = {
    name: ENDED[name]
    for name in (
        *("event", "pipecatCallId", "eventTimestamp"),
        *("callStartedAt", "callEndedAt", "callEndedReason"),
    )
}


def edited(body: Any, *edits: tuple[str, object]) -> Any:
    """Copy a body with the values at dotted paths replaced, or removed."""
    body = copy.deepcopy(body)
    for path, value in edits:
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
        holder = body
        for parent in parents:
            holder = holder[parent]
        if value is GONE:
            del holder[last]
        else:
            holder[last] = value
    return body


UNPLACED_ENDED = edited(
    ENDED, ("transcript.0.audioOffsetMs", GONE), ("transcript.0.endAudioOffsetMs", GONE)
)


def refusal_of(body: object, check: Check = contract.EVENT) -> contract.Refusal | None:
    """Check a body that comes with the right headers."""
    return contract.read_message(HEADERS, json.dumps(body).encode(), check, None)[1]


@pytest.mark.parametrize(
    ("body", "check"),
    [
        (STARTED, contract.EVENT),
        (edited(STARTED, ("agentName", GONE), ("agentPrompt", GONE)), contract.EVENT),
        (ENDED, contract.EVENT),
        (BARE_ENDED, contract.EVENT),
        ({**BARE_ENDED, "callStartedAt": None, "callEndedAt": None}, contract.EVENT),
        ({**BARE_ENDED, "callStartedAt": None}, contract.EVENT),
        ({**BARE_ENDED, "agentSpokeFirst": False}, contract.EVENT),
        (edited(ENDED, ("toolCalls.1", GONE)), contract.EVENT),
        (UNPLACED_ENDED, contract.EVENT),
        (edited(ENDED, ("transcript.1.language", "zh-Hant-TW")), contract.EVENT),
        (UPLOAD, contract.UPLOAD_REQUEST),
    ],
)
def test_accepts_what_the_contract_allows(body: object, check: Check) -> None:
    """A well-formed request, with or without its optional fields, is not refused."""
    assert refusal_of(body, check) is None


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("event", "call-paused", "event: not one of call-started, call-ended"),
        ("event", GONE, "event: not one of call-started, call-ended"),
        ("event", ["call-started"], "event: not one of call-started, call-ended"),
        ("pipecatCallId", "", "pipecatCallId: not a non-empty string"),
        ("pipecatCallId", GONE, "pipecatCallId: missing"),
        ("agentId", 7, "agentId: not a non-empty string"),
        ("agentId", GONE, "agentId: missing"),
        ("agentName", None, "agentName: not a string"),
        ("eventTimestamp", GONE, "eventTimestamp: missing"),
        ("extra", 1, "'extra': unknown field"),
        ("x" * 99, 1, f"{'x' * 40!r}: unknown field"),
        *(
            ("eventTimestamp", value, "eventTimestamp: not an ISO 8601 timestamp in UTC")
            for value in (
                *(1772366400, None, "", "yesterday", "2026-03-01", "2026-03-01T12:00:00"),
                *("2026-02-30T12:00:00Z", "2026-03-01T24:00:00Z", "2026-03-01T12:00:00+01:00"),
                *("2026-03-01 12:00:00Z", "2026-03-01T12:00:00.Z", "٢٠٢٦-03-01T12:00:00Z"),
            )
        ),
    ],
)
def test_refuses_a_malformed_call_started(path: str, value: object, problem: str) -> None:
    """Each violation of call-started is named by its field."""
    assert refusal_of(edited(STARTED, (path, value))) == (422, (problem,))


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("callStartedAt", GONE, "callStartedAt: missing"),
        ("callEndedAt", "", "callEndedAt: not an ISO 8601 timestamp in UTC"),
        ("callEndedAt", "2026-03-01T11:59:59Z", "callEndedAt: before callStartedAt"),
        ("callEndedReason", None, "callEndedReason: not a non-empty string"),
        ("agentSpokeFirst", 1, "agentSpokeFirst: not a boolean"),
        ("agentSpokeFirst", GONE, "agentSpokeFirst: missing although there are turns"),
        ("agentSpokeFirst", False, "agentSpokeFirst: contradicts the role of the first turn"),
        ("recordingSampleRate", 0, "recordingSampleRate: not an integer from 1 to 768000"),
        ("recordingSampleRate", 8e3, "recordingSampleRate: not an integer from 1 to 768000"),
        ("recordingNumChannels", True, "recordingNumChannels: not an integer from 1 to 2"),
        ("recordingNumChannels", 3, "recordingNumChannels: not an integer from 1 to 2"),
        (
            "recordingNumChannels",
            GONE,
            "recordingNumChannels: missing although recordingSampleRate is there",
        ),
        ("agentId", "front-desk", "'agentId': unknown field"),
        ("transcript", [], "transcript: not a non-empty list"),
        ("transcript", None, "transcript: not a non-empty list"),
        ("transcript.0", "Hello", "transcript[0]: not an object"),
        ("transcript.0.role", "bot", "transcript[0].role: not one of user, assistant"),
        ("transcript.0.content", None, "transcript[0].content: not a string"),
        ("transcript.0.userId", "caller", "transcript[0].'userId': unknown field"),
        ("transcript.0.timestamp", GONE, "transcript[0].timestamp: missing"),
        ("transcript.0.endTimestamp", GONE, "transcript[0].endTimestamp: missing"),
        (
            "transcript.0.endTimestamp",
            "2026-03-01T12:00:00.099Z",
            "transcript[0].endTimestamp: before timestamp",
        ),
        (
            "transcript.0.audioOffsetMs",
            -1,
            "transcript[0].audioOffsetMs: not an integer from 0 to 9007199254740991",
        ),
        (
            "transcript.0.audioOffsetMs",
            0.5,
            "transcript[0].audioOffsetMs: not an integer from 0 to 9007199254740991",
        ),
        (
            "transcript.0.audioOffsetMs",
            False,
            "transcript[0].audioOffsetMs: not an integer from 0 to 9007199254740991",
        ),
        (
            "transcript.1.endAudioOffsetMs",
            499,
            "transcript[1].endAudioOffsetMs: before audioOffsetMs",
        ),
        (
            "transcript.1.endAudioOffsetMs",
            GONE,
            "transcript[1].endAudioOffsetMs: missing although audioOffsetMs is there",
        ),
        (
            "transcript.1.audioOffsetMs",
            GONE,
            "transcript[1].audioOffsetMs: missing although endAudioOffsetMs is there",
        ),
        ("transcript.1.userId", " ", "transcript[1].userId: not a non-empty string"),
        ("transcript.1.language", "en_US", "transcript[1].language: not a BCP-47 language tag"),
        ("transcript.1.language", None, "transcript[1].language: not a BCP-47 language tag"),
        (
            "transcript.1.timestamp",
            "2026-03-01T12:00:00.05Z",
            "transcript[1].timestamp: out of order, before an earlier one's",
        ),
        ("toolCalls", {}, "toolCalls: not a non-empty list"),
        ("toolCalls.0.kind", "call", "toolCalls[0].kind: not one of tool_call, tool_result"),
        ("toolCalls.0.toolCallId", "", "toolCalls[0].toolCallId: not a non-empty string"),
        ("toolCalls.0.name", GONE, "toolCalls[0].name: missing"),
        ("toolCalls.0.arguments", {}, "toolCalls[0].arguments: not a string"),
        ("toolCalls.0.endAudioOffsetMs", 5, "toolCalls[0].'endAudioOffsetMs': unknown field"),
        ("toolCalls.1.content", None, "toolCalls[1].content: not a string"),
        ("toolCalls.1.name", "weather", "toolCalls[1].'name': unknown field"),
        (
            "toolCalls.1.toolCallId",
            "t2",
            "toolCalls[1]: a tool_result without its tool_call before it",
        ),
        (
            "toolCalls.1",
            ENDED["toolCalls"][0],
            "toolCalls[1]: a second tool_call of the same toolCallId",
        ),
        (
            "toolCalls",
            ENDED["toolCalls"][::-1],
            "toolCalls[0]: a tool_result without its tool_call before it",
        ),
        (
            "toolCalls.1.timestamp",
            "2026-03-01T12:00:00.999999Z",
            "toolCalls[1].timestamp: out of order, before an earlier one's",
        ),
    ],
)
def test_refuses_a_malformed_call_ended(path: str, value: object, problem: str) -> None:
    """Each violation of call-ended is named by the path of its field."""
    assert refusal_of(edited(ENDED, (path, value))) == (422, (problem,))


def test_refuses_offsets_without_a_recording() -> None:
    """A call without a recording has no places in it."""
    body = edited(ENDED, ("recordingSampleRate", GONE), ("recordingNumChannels", GONE))
    refusal = refusal_of(body)
    assert refusal is not None
    assert len(refusal.problems) == 5
    assert refusal.problems[0] == "transcript[0].audioOffsetMs: given without a recording"
    assert refusal.problems[4] == "toolCalls[0].audioOffsetMs: given without a recording"


def test_the_places_of_one_track_never_go_back() -> None:
    """Late audio may move one track against the other, but turns of one track stay in order."""
    turns = [ENDED["transcript"][0], ENDED["transcript"][1], copy.deepcopy(ENDED["transcript"][1])]
    turns[1] = edited(turns[1], ("role", "assistant"), ("userId", GONE), ("language", GONE))
    turns[2].update(audioOffsetMs=450)
    assert refusal_of(edited(ENDED, ("transcript", turns))) is None
    turns[1], turns[2] = (
        edited(ENDED["transcript"][1], ("audioOffsetMs", 450)),
        edited(ENDED["transcript"][1], ("audioOffsetMs", 440)),
    )
    assert refusal_of(edited(ENDED, ("transcript", turns))) == (
        422,
        ("transcript[2].audioOffsetMs: out of order, before an earlier one's",),
    )


def tool_records(*entries: str) -> list[dict[str, Any]]:
    """Return tool records for shorthands: `a0` calls a at second 0, `A1` returns at second 1."""
    kinds = {True: ENDED["toolCalls"][0], False: ENDED["toolCalls"][1]}
    return [
        kinds[entry[0].islower()]
        | {"toolCallId": entry[0].lower(), "timestamp": f"2026-03-01T12:00:0{entry[1]}Z"}
        for entry in entries
    ]


@pytest.mark.parametrize("records", [["a1", "b2", "B3", "A4", "A5"], ["a1", "A4", "b2", "B3"]])
def test_results_stand_with_their_calls_or_in_time(records: list[str]) -> None:
    """Tool calls that overlap may be listed pair by pair, or in order of time."""
    assert refusal_of(edited(ENDED, ("toolCalls", tool_records(*records)))) is None


@pytest.mark.parametrize("records", [["a2", "b1"], ["a2", "A3", "b1"], ["a2", "b2", "A1"]])
def test_tool_calls_stand_in_order(records: list[str]) -> None:
    """No call is listed after a later one, and no result is earlier than its call."""
    late = f"toolCalls[{len(records) - 1}].timestamp: out of order, before an earlier one's"
    assert refusal_of(edited(ENDED, ("toolCalls", tool_records(*records)))) == (422, (late,))


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("pipecatCallId", None, "pipecatCallId: not a non-empty string"),
        ("chunkIndex", -1, "chunkIndex: not an integer from 0 to 999999"),
        ("chunkIndex", "0", "chunkIndex: not an integer from 0 to 999999"),
        ("chunkIndex", True, "chunkIndex: not an integer from 0 to 999999"),
        ("chunkIndex", 1_000_000, "chunkIndex: not an integer from 0 to 999999"),
        ("chunkIndex", GONE, "chunkIndex: missing"),
        ("contentType", "audio/wav", "contentType: not 'audio/pcm'"),
        ("event", "call-started", "'event': unknown field"),
    ],
)
def test_refuses_a_malformed_upload_request(path: str, value: object, problem: str) -> None:
    """Each violation of the request for an upload URL is named by its field."""
    body = edited(UPLOAD, (path, value))
    assert refusal_of(body, contract.UPLOAD_REQUEST) == (422, (problem,))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_refuses_what_is_no_json_object(raw: bytes) -> None:
    """A body that is no JSON object is refused with status 400."""
    body, refusal = contract.read_message(HEADERS, raw, contract.EVENT, None)
    assert body == {}
    assert refusal == (400, ("the body is not a JSON object",))


@pytest.mark.parametrize(
    ("headers", "status", "problems"),
    [
        ({"x-roark-api-key": GONE, "authorization": "Bearer "}, 401, ["x-roark-api-key: missing"]),
        (
            {"authorization": GONE},
            401,
            ["authorization: not 'Bearer' and the key of x-roark-api-key"],
        ),
        (
            {"authorization": KEY},
            401,
            ["authorization: not 'Bearer' and the key of x-roark-api-key"],
        ),
        (
            {"x-roark-api-key": "rk-other"},
            401,
            [
                "x-roark-api-key: not the key of this server",
                "authorization: not 'Bearer' and the key of x-roark-api-key",
            ],
        ),
        ({"content-type": "text/plain"}, 415, ["content-type: not application/json"]),
        ({"content-type": GONE}, 415, ["content-type: not application/json"]),
    ],
)
def test_refuses_wrong_headers(headers: dict[str, Any], status: int, problems: list[str]) -> None:
    """Every request to Roark has the key in two headers, and JSON as its type."""
    sent = edited(HEADERS, *headers.items())
    raw = json.dumps(STARTED).encode()
    refusal = contract.read_message(sent, raw, contract.EVENT, KEY)[1]
    assert refusal == (status, tuple(problems))


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_accepts_json_by_any_of_its_names(content_type: str) -> None:
    """Parameters and case of the media type make no difference."""
    headers = {**HEADERS, "content-type": content_type}
    raw = json.dumps(STARTED).encode()
    assert contract.read_message(headers, raw, contract.EVENT, KEY) == (STARTED, None)


@pytest.mark.parametrize(
    ("headers", "data", "refusal"),
    [
        ({"content-type": "audio/pcm"}, b"\0\0", None),
        ({"content-type": "audio/wav"}, b"\0\0", (415, ("content-type: not audio/pcm",))),
        (
            {"content-type": "audio/pcm; rate=8000"},
            b"\0\0",
            (415, ("content-type: not audio/pcm",)),
        ),
        ({}, b"\0\0", (415, ("content-type: not audio/pcm",))),
        ({"content-type": "audio/pcm"}, b"", (422, ("no audio in it",))),
        (
            {"content-type": "audio/pcm"},
            b"\0\0\0",
            (422, ("an odd number of bytes, half a sample is missing",)),
        ),
        (
            HEADERS,
            b"\0\0",
            (400, ("authorization: not a signed header", "x-roark-api-key: not a signed header")),
        ),
    ],
)
def test_judges_a_chunk(headers: dict[str, str], data: bytes, refusal: object) -> None:
    """A presigned PUT has whole samples, the type that was asked for, and no key."""
    assert contract.refuse_chunk(headers, data) == refusal


def test_a_record_is_an_object() -> None:
    """A check names the path of the value that it refuses."""
    assert list(contract.UPLOAD_REQUEST([], "upload")) == ["upload: not an object"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    JSON, st.sampled_from([*ENDED, "transcript.0.role", "transcript.1.timestamp", "toolCalls.0"])
)
def test_any_json_gets_an_answer(value: object, path: str) -> None:
    """The check of any JSON value, in any place, ends with an answer."""
    refusal = refusal_of(edited(ENDED, (path, value)))
    assert refusal is None or refusal.status == 422
