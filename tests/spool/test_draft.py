"""The draft of `call-ended` on disk, beside a recording that ends a little before the call."""

from __future__ import annotations

from typing import Any, cast

from pipecat_roark.spool.draft import Draft
from pipecat_roark.wire import CallEnded

SECOND = 4 * 8000
"""Bytes of a second of the recording."""


def event(**fields: Any) -> CallEnded:
    """Return a call that has a recording."""
    return cast("CallEnded", {"recordingSampleRate": 8000, "recordingNumChannels": 2, **fields})


def test_no_offset_is_behind_the_recording() -> None:
    """What was drafted is written as soon as the recording is long enough."""
    draft = Draft()
    turn = {"content": "Hello.", "audioOffsetMs": 700, "endAudioOffsetMs": 1500}
    call = {"toolCallId": "1", "audioOffsetMs": 1200}
    draft.replace(event(transcript=[turn], toolCalls=[call]))
    assert draft.changes(SECOND)[1:] == [
        {"put": "transcript", "place": 0, "item": {**turn, "endAudioOffsetMs": 1000}},
        {"put": "toolCalls", "place": 0, "item": {**call, "audioOffsetMs": 1000}},
    ]
    assert draft.short
    assert draft.changes(3 * SECOND // 2) == [
        {"put": "transcript", "place": 0, "item": turn},
        {"put": "toolCalls", "place": 0, "item": call},
    ]
    assert not draft.short
    assert draft.changes(2 * SECOND) == []


def test_without_a_recording_nothing_is_short() -> None:
    """There are no offsets, and nothing else is touched."""
    draft = Draft()
    draft.replace(CallEnded(transcript=[{"role": "user", "content": "Hello."}]))
    assert draft.changes(0) == [
        {"put": "transcript", "place": 0, "item": {"role": "user", "content": "Hello."}}
    ]
    assert not draft.short
    draft.replace(event())
    assert [*draft.changes(0)[0]] == ["set"]
    assert not draft.short
