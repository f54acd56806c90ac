"""What goes over the wire: Roark's lifecycle events, and the one place where they become JSON.

The fields are those of Roark's Pipecat integration, and no others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipecat_roark.report import CallReport, ToolCall, Turn

MAX_TEXT = 64 * 1024
"""Longest result of a tool that is sent, in characters; the rest is cut with a visible mark."""
_MAX_DEPTH = 32
_MAX_ITEMS = MAX_TEXT
"""Of a value, all levels together: more don't fit into a result, and would hold the event loop."""
_MAX_INT_BITS = 2048
"""Of an integer that is written in decimal; Python refuses much longer ones."""
_CUT = "…"
_T = TypeVar("_T")


class CallStarted(TypedDict, total=False):
    """The first event of a call."""

    event: Literal["call-started"]
    pipecatCallId: str
    eventTimestamp: str
    agentId: str
    agentName: str
    agentPrompt: str


class TranscriptTurn(TypedDict, total=False):
    """One turn; the offsets are left out where there is no recording."""

    role: str
    content: str
    timestamp: str
    endTimestamp: str
    audioOffsetMs: int
    endAudioOffsetMs: int
    userId: str
    language: str


class ToolCallRecord(TypedDict, total=False):
    """Half of a tool call: the call, or a result, told apart by `kind`."""

    kind: Literal["tool_call", "tool_result"]
    toolCallId: str
    name: str
    arguments: str
    content: str
    timestamp: str
    audioOffsetMs: int


class CallEnded(TypedDict, total=False):
    """The last event of a call."""

    event: Literal["call-ended"]
    pipecatCallId: str
    eventTimestamp: str
    callStartedAt: str | None
    callEndedAt: str | None
    callEndedReason: str
    agentSpokeFirst: bool
    recordingSampleRate: int
    recordingNumChannels: int
    transcript: list[TranscriptTurn]
    toolCalls: list[ToolCallRecord]


def call_started(
    pipecat_call_id: str,
    at: datetime,
    agent_id: str,
    agent_name: str | None = None,
    agent_prompt: str | None = None,
) -> bytes:
    """Encode `call-started`."""
    event = CallStarted(
        event="call-started",
        pipecatCallId=pipecat_call_id,
        eventTimestamp=timestamp(at),
        agentId=agent_id,
    )
    if agent_name is not None:
        event["agentName"] = agent_name
    if agent_prompt is not None:
        event["agentPrompt"] = agent_prompt
    return encode(event)


def call_ended(report: CallReport, at: datetime) -> bytes:
    """Encode `call-ended` from a report."""
    return encode(call_ended_event(report, at))


def call_ended_event(report: CallReport, at: datetime) -> CallEnded:
    """Return `call-ended` from a report; a recording counts if it has a sample rate."""
    event = CallEnded(
        event="call-ended",
        pipecatCallId=report.pipecat_call_id,
        eventTimestamp=timestamp(at),
        callStartedAt=timestamp(report.started_at) if report.started_at else None,
        callEndedAt=timestamp(report.ended_at) if report.ended_at else None,
        callEndedReason=report.ended_reason or "unknown",
    )
    if report.agent_spoke_first is not None:
        event["agentSpokeFirst"] = report.agent_spoke_first
    if report.sample_rate is not None and report.num_channels is not None:
        event["recordingSampleRate"] = report.sample_rate
        event["recordingNumChannels"] = report.num_channels
    if report.turns:
        event["transcript"] = [_turn(turn) for turn in report.turns]
    if report.tool_calls:
        event["toolCalls"] = [record for call in report.tool_calls for record in _tool_call(call)]
    return event


def chunk_upload(pipecat_call_id: str, index: int) -> bytes:
    """Encode the request for a presigned URL of the chunk at `index`."""
    return encode(
        {"pipecatCallId": pipecat_call_id, "chunkIndex": index, "contentType": "audio/pcm"}
    )


def encode(payload: Mapping[str, object] | CallStarted | CallEnded) -> bytes:
    """Encode as compact JSON in UTF-8."""
    # By way of UTF-16, which joins surrogate pairs and replaces lone ones: those are no text, and
    # a parser may refuse the whole event for one.
    text = _dump(payload).encode("utf-16", "surrogatepass")
    return text.decode("utf-16", "replace").encode()


def timestamp(at: datetime) -> str:
    """Return ISO 8601 in UTC, with milliseconds."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def arguments_text(value: object) -> str:
    """Return a tool call's arguments as a JSON string; a string is kept as it came."""
    if value is None:
        return "{}"
    return value if isinstance(value, str) else _dump(_plain(value))


def result_text(value: object) -> str:
    """Return a tool's result as text: structures as JSON, None as nothing, scalars as `str()`."""
    plain = _plain(value)
    if plain is None:
        return ""
    text = _dump(plain) if isinstance(plain, (dict, list)) else str(plain)
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}{_CUT} [cut: {len(text)} characters in all]"
    return text


def _turn(turn: Turn) -> TranscriptTurn:
    record = TranscriptTurn(
        role=turn.role,
        content=turn.content,
        timestamp=timestamp(turn.started_at),
        endTimestamp=timestamp(turn.ended_at),
    )
    if turn.start_ms is not None and turn.end_ms is not None:
        record["audioOffsetMs"] = turn.start_ms
        record["endAudioOffsetMs"] = turn.end_ms
    if turn.role == "user" and turn.user_id:
        record["userId"] = turn.user_id
    if turn.role == "user" and turn.language:
        record["language"] = turn.language
    return record


def _tool_call(call: ToolCall) -> list[ToolCallRecord]:
    records = [
        ToolCallRecord(
            kind="tool_call",
            toolCallId=call.tool_call_id,
            name=call.name,
            arguments=call.arguments,
            timestamp=timestamp(call.called_at),
        ),
        *(
            ToolCallRecord(
                kind="tool_result",
                toolCallId=call.tool_call_id,
                content=result.content,
                timestamp=timestamp(result.returned_at),
            )
            for result in call.results
        ),
    ]
    offsets = [call.offset_ms, *(result.offset_ms for result in call.results)]
    for record, offset in zip(records, offsets, strict=True):
        if offset is not None:
            record["audioOffsetMs"] = offset
    return records


def _dump(plain: object) -> str:
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> object:
    """Return what JSON can hold of a value, whatever it is."""
    return _reduce(value, (), iter(range(_MAX_ITEMS)))


def _reduce(value: object, above: tuple[int, ...], room: Iterator[int]) -> object:
    """Reduce a value; `above` are the ids of its holders, `room` yields once for each item."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_INT_BITS else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if id(value) in above or len(above) == _MAX_DEPTH:
        return _CUT
    try:
        return _reduce_object(value, (*above, id(value)), room)
    except Exception:  # noqa: BLE001  # a stranger's object may raise anything
        return f"<{type(value).__name__}>"


def _reduce_object(  # noqa: PLR0911
    value: Any,  # noqa: ANN401
    above: tuple[int, ...],
    room: Iterator[int],
) -> object:
    if isinstance(value, Mapping):
        items = _take(value.items(), room, (_CUT, _CUT))
        return {str(_reduce(k, above, room)): _reduce(v, above, room) for k, v in items}
    if isinstance(value, (list, tuple, AbstractSet)):
        return [_reduce(item, above, room) for item in _take(value, room, _CUT)]
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", errors="replace")
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: getattr(value, field.name, None) for field in fields(value)}
        return _reduce(members, above, room)
    if callable(dump := getattr(type(value), "model_dump", None)):  # of pydantic
        return _reduce(dump(value), above, room)
    return str(value)


def _take(items: Iterable[_T], room: Iterator[int], mark: _T) -> Iterator[_T]:
    """Yield items while there is room, then a mark."""
    for item in items:
        if next(room, None) is None:
            yield mark
            return
        yield item
