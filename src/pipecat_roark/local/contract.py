"""The wire contract of Roark's three requests, as tables, and the checks of a request against it.

This is on purpose a second opinion on the wire. It was written apart from `pipecat_roark.wire` and
must not be merged with it: a field that the library encodes in the wrong way would then be wrong in
both, and no test would see it.

Nothing here does I/O. Each check returns why to refuse a request, or None if nothing is wrong.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from pipecat_roark.local.schema import (
    ascending,
    exactly,
    filled,
    flag,
    integer,
    matching,
    not_before,
    nullable,
    parse_utc,
    record,
    rows,
    text,
    together,
    utc,
    variants,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from pipecat_roark.local.schema import Check, Row, Rule

CALL_STARTED = "call-started"
CALL_ENDED = "call-ended"
CHUNK_TYPE = "audio/pcm"
SAMPLE_BYTES = 2
OFFSET_FIELDS = ("audioOffsetMs", "endAudioOffsetMs")

_LANGUAGE = re.compile(r"([a-z]{2,8}|[xi](?=-))(-[a-z0-9]{1,8})*", re.ASCII | re.IGNORECASE)
_KEY_HEADERS = ("authorization", "x-roark-api-key")


class Refusal(NamedTuple):
    """The HTTP status to refuse a request with, and its problems, a sentence each."""

    status: int
    problems: tuple[str, ...]


def _is_call(entry: Row) -> bool:
    return bool(entry["kind"] == "tool_call")


def _results_follow_their_calls(records: Sequence[Row]) -> Iterator[str]:
    called: set[str] = set()
    for i, entry in enumerate(records):
        identity = entry["toolCallId"]
        if _is_call(entry):
            if identity in called:
                yield f"[{i}]: a second tool_call of the same toolCallId"
            called.add(identity)
        elif identity not in called:
            yield f"[{i}]: a tool_result without its tool_call before it"


def _first_speaker_fits(ended: Row) -> Iterator[str]:
    turns = ended.get("transcript")
    if turns is None:
        return
    if "agentSpokeFirst" not in ended:
        yield "agentSpokeFirst: missing although there are turns"
    elif ended["agentSpokeFirst"] != (turns[0]["role"] == "assistant"):
        yield "agentSpokeFirst: contradicts the role of the first turn"


def _offsets_need_a_recording(ended: Row) -> Iterator[str]:
    if "recordingSampleRate" not in ended:
        yield from (f"{path}: given without a recording" for path, _ in offsets(ended))


# The largest integer that every reader of JSON has exactly.
_OFFSET = integer(0, 2**53 - 1)
_OFFSETS = dict.fromkeys(OFFSET_FIELDS, _OFFSET)
_TURN_RULES = (
    not_before("endTimestamp", "timestamp", parse_utc),
    not_before("endAudioOffsetMs", "audioOffsetMs", int),
    together(*OFFSET_FIELDS),
)


def _turn(optional: Mapping[str, Check]) -> Check:
    return record(
        required={"role": text, "content": text, "timestamp": utc, "endTimestamp": utc},
        optional={**_OFFSETS, **optional},
        rules=_TURN_RULES,
    )


def _tool_record(required: Mapping[str, Check]) -> Check:
    return record(
        required={"kind": text, "toolCallId": filled, "timestamp": utc, **required},
        optional={"audioOffsetMs": _OFFSET},
    )


def lifecycle_event(
    required: Mapping[str, Check],
    optional: Mapping[str, Check] | None = None,
    rules: Sequence[Rule] = (),
) -> Check:
    """Accept an event that has these fields and those of every event."""
    common = {"event": text, "pipecatCallId": filled, "eventTimestamp": utc}
    return record(required={**common, **required}, optional=optional, rules=rules)


_TURN = variants(
    "role",
    {
        "user": _turn({"userId": filled, "language": matching(_LANGUAGE, "a BCP-47 language tag")}),
        "assistant": _turn({}),
    },
)
_TOOL_RECORD = variants(
    "kind",
    {
        "tool_call": _tool_record({"name": filled, "arguments": text}),
        "tool_result": _tool_record({"content": text}),
    },
)

EVENTS: dict[str, Check] = {
    CALL_STARTED: lifecycle_event({"agentId": filled}, {"agentName": text, "agentPrompt": text}),
    CALL_ENDED: lifecycle_event(
        {"callStartedAt": nullable(utc), "callEndedAt": nullable(utc), "callEndedReason": filled},
        {
            "agentSpokeFirst": flag,
            # A WAV header has no room for more; real rates and channels are far below.
            "recordingSampleRate": integer(1, 768_000),
            "recordingNumChannels": integer(1, 2),
            "transcript": rows(
                _TURN,
                rules=[
                    ascending("timestamp", parse_utc),
                    # Only within a track: audio that came late moves the turns of one track.
                    ascending("audioOffsetMs", int, per="role"),
                ],
            ),
            "toolCalls": rows(
                _TOOL_RECORD,
                # A result may stand right after its call, or among all records by its time.
                rules=[
                    ascending("timestamp", parse_utc, among=_is_call),
                    ascending("timestamp", parse_utc, per="toolCallId"),
                    _results_follow_their_calls,
                ],
            ),
        },
        rules=[
            not_before("callEndedAt", "callStartedAt", parse_utc),
            together("recordingSampleRate", "recordingNumChannels"),
            _first_speaker_fits,
            _offsets_need_a_recording,
        ],
    ),
}
"""The kinds of events, and the check of each. A new event is one more line here."""
EVENT = variants("event", EVENTS)
UPLOAD_REQUEST = record(
    required={
        "pipecatCallId": filled,
        # A million chunks are two weeks of call. The chunk's file name has six digits.
        "chunkIndex": integer(0, 999_999),
        "contentType": exactly(CHUNK_TYPE),
    }
)


def read_message(
    headers: Mapping[str, str], raw: bytes, check: Check, api_key: str | None
) -> tuple[dict[str, Any], Refusal | None]:
    """Read a JSON request to Roark and check it.

    Args:
        headers: The request's headers, by names in lower case.
        raw: The request's body.
        check: `EVENT` or `UPLOAD_REQUEST`.
        api_key: The only key to accept; None accepts any.

    Returns:
        The JSON object in the body (empty if there is none), and why to refuse the request, if so.
    """
    body = _parse_object(raw)
    refusal = _first_refusal(
        (401, _check_key(headers, api_key)),
        (415, _check_type(headers.get("content-type", "").partition(";")[0], "application/json")),
        (400, ["the body is not a JSON object"] if body is None else []),
        (422, check(body, "")),
    )
    return body or {}, refusal


def refuse_chunk(headers: Mapping[str, str], data: bytes) -> Refusal | None:
    """Check the upload of a chunk to a presigned URL."""
    return _first_refusal(
        (
            400,
            [f"{name}: not a signed header" for name in _KEY_HEADERS if name in headers],
        ),
        # The signature covers the header as it was asked for.
        (415, _check_type(headers.get("content-type", ""), CHUNK_TYPE)),
        (422, _check_samples(data)),
    )


def offsets(ended: Row) -> Iterator[tuple[str, int]]:
    """Yield the path and the milliseconds of each place in the recording that call-ended names."""
    for name in ("transcript", "toolCalls"):
        for i, row in enumerate(ended.get(name, ())):
            for field in OFFSET_FIELDS:
                if field in row:
                    yield f"{name}[{i}].{field}", row[field]


def _parse_object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _first_refusal(*stages: tuple[int, Iterable[str]]) -> Refusal | None:
    for status, found in stages:
        problems = tuple(found)
        if problems:
            return Refusal(status, problems)
    return None


def _check_key(headers: Mapping[str, str], api_key: str | None) -> Iterator[str]:
    key = headers.get("x-roark-api-key", "")
    if not key:
        yield "x-roark-api-key: missing"
    elif api_key is not None and key != api_key:
        yield "x-roark-api-key: not the key of this server"
    if headers.get("authorization") != f"Bearer {key}":
        yield "authorization: not 'Bearer' and the key of x-roark-api-key"


def _check_type(content_type: str, expected: str) -> Iterator[str]:
    if content_type.strip().lower() != expected:
        yield f"content-type: not {expected}"


def _check_samples(data: bytes) -> Iterator[str]:
    if not data:
        yield "no audio in it"
    elif len(data) % SAMPLE_BYTES:
        yield "an odd number of bytes, half a sample is missing"
