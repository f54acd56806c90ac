"""Encodes what the library sends to Roark as JSON.

The events have the fields of Roark's Pipecat integration and no others.
"""

from __future__ import annotations

from datetime import timezone
from typing import TYPE_CHECKING, Literal, TypedDict

from pipecat_roark.plain import encode

if TYPE_CHECKING:
    from datetime import datetime

    from pipecat_roark.report import CallReport, ToolCall, Turn


class CallStarted(TypedDict, total=False):
    """The first event of a call."""

    event: Literal["call-started"]
    pipecatCallId: str
    eventTimestamp: str
    agentId: str
    agentName: str
    agentPrompt: str


class TranscriptTurn(TypedDict, total=False):
    """One turn. It has no offsets if the call has no recording."""

    role: str
    content: str
    timestamp: str
    endTimestamp: str
    audioOffsetMs: int
    endAudioOffsetMs: int
    userId: str
    language: str


class ToolCallRecord(TypedDict, total=False):
    """A tool call or one of its results: `kind` says which."""

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
    """Return `call-started`, encoded."""
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
    """Return `call-ended` for a report, encoded."""
    return encode(call_ended_event(report, at))


def call_ended_event(report: CallReport, at: datetime) -> CallEnded:
    """Return `call-ended` for a report. The recording has its fields if its format is known."""
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
    """Return the request for a presigned URL for the chunk at `index`, encoded."""
    return encode(
        {"pipecatCallId": pipecat_call_id, "chunkIndex": index, "contentType": "audio/pcm"}
    )


def timestamp(at: datetime) -> str:
    """Return a moment in ISO 8601, in UTC and with milliseconds."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
