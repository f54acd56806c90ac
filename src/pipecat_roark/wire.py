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
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from pipecat_roark.report import CallReport, ToolCall, Turn

MAX_TEXT = 64 * 1024
"""Longest result of a tool that is sent, in characters; the rest is cut with a visible mark."""
_MAX_DEPTH = 32


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
    """Encode `call-ended` from a report; a recording counts if it has a sample rate."""
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
    return encode(event)


def chunk_upload(pipecat_call_id: str, index: int) -> bytes:
    """Encode the request for a presigned URL of the chunk at `index`."""
    return encode(
        {"pipecatCallId": pipecat_call_id, "chunkIndex": index, "contentType": "audio/pcm"}
    )


def encode(payload: Mapping[str, object] | CallStarted | CallEnded) -> bytes:
    """Encode as compact JSON in ASCII, in which any text fits, lone surrogates included."""
    return json.dumps(payload, separators=(",", ":")).encode("ascii")


def timestamp(at: datetime) -> str:
    """Return ISO 8601 in UTC, with milliseconds."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def arguments_text(value: object) -> str:
    """Return a tool call's arguments as a JSON string; a string is kept as it came."""
    if value is None:
        return "{}"
    return value if isinstance(value, str) else _json(value)


def result_text(value: object) -> str:
    """Return a tool's result as text: structures as JSON, None as nothing, scalars as `str()`."""
    if value is None:
        text = ""
    elif isinstance(value, (str, bool, int, float)):
        text = str(value)
    else:
        plain = _plain(value, ())
        text = plain if isinstance(plain, str) else _dump(plain)
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… [cut: {len(text)} characters in all]"
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


def _json(value: object) -> str:
    return _dump(_plain(value, ()))


def _dump(plain: object) -> str:
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any, above: tuple[int, ...]) -> object:  # noqa: ANN401, PLR0911
    """Return what JSON can hold of a value, whatever it is; `above` are the ids of its holders."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if id(value) in above or len(above) == _MAX_DEPTH:
        return "…"
    above = (*above, id(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item, above) for key, item in value.items()}
    if isinstance(value, (list, tuple, AbstractSet)):
        return [_plain(item, above) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in fields(value))
        return {name: _plain(getattr(value, name, None), above) for name in names}
    return _leaf(value, above)


def _leaf(value: Any, above: tuple[int, ...]) -> object:  # noqa: ANN401
    try:
        if isinstance(value, (date, time)):
            return value.isoformat()
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8", errors="replace")
        if callable(dump := getattr(value, "model_dump", None)):
            return _plain(dump(), above)
        return str(value)
    except Exception:  # noqa: BLE001  # a stranger's object may raise anything
        return f"<{type(value).__name__}>"
