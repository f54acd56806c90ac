"""Encodes what the library sends to Roark as JSON.

The events have the fields of Roark's Pipecat integration and no others.
"""

from __future__ import annotations

import re
from datetime import timezone
from typing import TYPE_CHECKING, Literal, TypedDict

from pipecat_roark.plain import encode
from pipecat_roark.report import unique_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pipecat_roark.report import CallReport, ToolCall, Turn

_MAX_SAMPLE_RATE = 768_000
_MAX_CHANNELS = 2
_MAX_OFFSET_MS = 2**53 - 1
"""The largest integer that every reader of JSON has exactly."""
_LANGUAGE = re.compile(r"([a-z]{2,8}|[xi](?=-))(-[a-z0-9]{1,8})*", re.ASCII | re.IGNORECASE)


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
        pipecatCallId=_filled(pipecat_call_id),
        eventTimestamp=timestamp(at),
        agentId=_filled(agent_id),
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
    """Return `call-ended` from a report.

    The contract refuses a whole event for one wrong field. So a value that it does not allow is
    replaced if the field is required, and left out if it is optional.
    """
    started, ended = report.started_at, report.ended_at
    if started and ended:
        ended = max(started, ended)
    event = CallEnded(
        event="call-ended",
        pipecatCallId=_filled(report.pipecat_call_id),
        eventTimestamp=timestamp(at),
        callStartedAt=timestamp(started) if started else None,
        callEndedAt=timestamp(ended) if ended else None,
        callEndedReason=_filled(report.ended_reason),
    )
    # Of some turns, `redact` left nothing.
    said = (turn for turn in report.turns if turn.content.strip())
    turns = sorted(said, key=lambda turn: turn.started_at)
    calls = sorted(report.tool_calls, key=lambda call: call.called_at)
    spoke_first = turns[0].role == "assistant" if turns else report.agent_spoke_first
    if spoke_first is not None:
        event["agentSpokeFirst"] = spoke_first
    rate, channels = report.sample_rate or 0, report.num_channels or 0
    recorded = 0 < rate <= _MAX_SAMPLE_RATE and 0 < channels <= _MAX_CHANNELS
    if recorded:
        event["recordingSampleRate"] = rate
        event["recordingNumChannels"] = channels
    if turns:
        event["transcript"] = _transcript(turns, recorded=recorded)
    if calls:
        event["toolCalls"] = _tool_calls(calls, recorded=recorded)
    return event


def chunk_upload(pipecat_call_id: str, index: int) -> bytes:
    """Return the request for a presigned URL for the chunk at `index`, encoded."""
    return encode(
        {
            "pipecatCallId": _filled(pipecat_call_id),
            "chunkIndex": index,
            "contentType": "audio/pcm",
        }
    )


def timestamp(at: datetime) -> str:
    """Return a moment in ISO 8601, in UTC and with milliseconds."""
    if at.tzinfo is not timezone.utc:
        at = at.astimezone(timezone.utc)
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"


def _filled(text: str | None, default: str = "unknown") -> str:
    """Return a text that says something."""
    return text if text and text.strip() else default


def _transcript(turns: list[Turn], *, recorded: bool) -> list[TranscriptTurn]:
    """Return the records of turns, given in the order of their starts."""
    records: list[TranscriptTurn] = []
    reached = {"user": 0, "assistant": 0}
    for turn in turns:
        record = _turn(turn)
        start, end = turn.start_ms, turn.end_ms
        # On one track, no turn lies before an earlier one.
        if recorded and start is not None and end is not None:
            end = max(start, end)
            if reached[turn.role] <= start and end <= _MAX_OFFSET_MS:
                record["audioOffsetMs"] = reached[turn.role] = start
                record["endAudioOffsetMs"] = end
        records.append(record)
    return records


def _turn(turn: Turn) -> TranscriptTurn:
    record = TranscriptTurn(
        role=turn.role,
        content=turn.content,
        timestamp=timestamp(turn.started_at),
        endTimestamp=timestamp(max(turn.started_at, turn.ended_at)),
    )
    if turn.role == "user":
        if turn.user_id and turn.user_id.strip():
            record["userId"] = turn.user_id
        if turn.language and _LANGUAGE.fullmatch(turn.language):
            record["language"] = turn.language
    return record


def _tool_calls(calls: list[ToolCall], *, recorded: bool) -> list[ToolCallRecord]:
    """Return the records of tool calls, given in their order: each before its results."""
    records: list[ToolCallRecord] = []
    ids: set[str] = set()
    for call in calls:
        tool_call_id = unique_id(call.tool_call_id, ids)
        ids.add(tool_call_id)
        for record, offset in _tool_call(call, tool_call_id):
            if recorded and offset is not None and 0 <= offset <= _MAX_OFFSET_MS:
                record["audioOffsetMs"] = offset
            records.append(record)
    return records


def _tool_call(call: ToolCall, tool_call_id: str) -> Iterator[tuple[ToolCallRecord, int | None]]:
    """Yield the records of a tool call, and the offset of each."""
    at = call.called_at
    record = ToolCallRecord(
        kind="tool_call",
        toolCallId=tool_call_id,
        name=_filled(call.name),
        arguments=call.arguments or "{}",
        timestamp=timestamp(at),
    )
    yield record, call.offset_ms
    for result in sorted(call.results, key=lambda result: result.returned_at):
        record = ToolCallRecord(
            kind="tool_result",
            toolCallId=tool_call_id,
            content=result.content,
            timestamp=timestamp(max(at, result.returned_at)),
        )
        yield record, result.offset_ms
