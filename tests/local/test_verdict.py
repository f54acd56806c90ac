"""The order of a call's requests, and the verdict when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from pipecat_roark.local.sequence import RequestSequence
from pipecat_roark.local.verdict import judge

# A second of the recording is 32,000 bytes.
RECORDING = {"recordingSampleRate": 8000, "recordingNumChannels": 2}
BARE_ENDED: dict[str, Any] = {"event": "call-ended"}
ENDED = {
    **BARE_ENDED,
    **RECORDING,
    "transcript": [
        {"role": "assistant", "audioOffsetMs": 0, "endAudioOffsetMs": 50},
        {"role": "user", "audioOffsetMs": 500, "endAudioOffsetMs": 1000},
    ],
    "toolCalls": [{"kind": "tool_call", "audioOffsetMs": 1000}, {"kind": "tool_result"}],
}


def sequence_of(*sizes: int | None, started: bool = True) -> RequestSequence:
    """Return the sequence of a call with chunks of these sizes; None stands for a missing one."""
    sequence = RequestSequence()
    if started:
        sequence.add_event("call-started", b"{}")
    for index, size in enumerate(sizes):
        sequence.add_url_request(index)
        if size is not None:
            sequence.add_chunk(index, bytes(size))
    return sequence


def sentences(ended: dict[str, Any], sequence: RequestSequence, *, right: bool) -> list[str]:
    """Judge an ended call, and return the sentences about what is right, or wrong."""
    return [sentence for is_right, sentence in judge(ended, sequence) if is_right is right]


def test_a_repetition_is_the_same_or_a_problem() -> None:
    """Sending the same bytes again is no problem; sending others is one."""
    sequence = RequestSequence()
    assert sequence.add_event("call-started", b"1") == (True, ())
    assert sequence.add_event("call-started", b"1") == (False, ())
    assert sequence.add_event("call-started", b"2") == (
        False,
        ("call-started: came again with different bytes",),
    )
    assert sequence.add_chunk(3, b"12") == (True, ())
    assert sequence.add_chunk(3, b"12") == (False, ())
    assert sequence.add_chunk(3, b"34") == (False, ("chunk 3: came again with different bytes",))


def test_nothing_new_comes_after_the_end() -> None:
    """After call-ended, everything but a repetition is a problem."""
    sequence = RequestSequence()
    sequence.add_chunk(0, b"12")
    sequence.add_event("call-ended", b"{}")
    assert sequence.add_event("call-ended", b"{}") == (False, ())
    assert sequence.add_chunk(0, b"12") == (False, ())
    assert sequence.add_chunk(1, b"12") == (True, ("chunk 1: came after call-ended",))
    assert sequence.add_url_request(2) == (
        "chunk 2: its upload URL was asked for after call-ended",
    )
    assert sequence.add_event("call-started", b"{}") == (
        True,
        ("call-started: came after call-ended",),
    )


def test_lists_what_was_verified() -> None:
    """What is right is listed with its figures."""
    assert sentences(ENDED, sequence_of(16_000, 16_000, 16_000), right=True) == [
        "call-started came first",
        "3 chunks, none missing",
        "recording 1.50 s, 8000 Hz, 2 channels",
        "2 turns in order, every edge inside the recording",
        "1 tool call and 1 result in order, no result without its call",
    ]
    assert sentences(BARE_ENDED, sequence_of(), right=True) == ["call-started came first"]


@pytest.mark.parametrize(
    ("ended", "sequence", "problems"),
    [
        (ENDED, sequence_of(16_000, 16_000, 16_000), []),
        (ENDED, sequence_of(28_800), []),
        (
            ENDED,
            sequence_of(28_768),
            [
                "call-ended: transcript[1].endAudioOffsetMs: 101 ms beyond the recording's end",
                "call-ended: toolCalls[0].audioOffsetMs: 101 ms beyond the recording's end",
            ],
        ),
        (BARE_ENDED, sequence_of(started=False), ["call-ended: no call-started came before it"]),
        (ENDED, sequence_of(32_000, None, 16_000), ["1 of 3 chunks missing: 1"]),
        (ENDED, sequence_of(32_000, None), ["1 of 2 chunks missing: 1"]),
        (
            ENDED,
            sequence_of(32_000, *[None] * 11),
            ["11 of 12 chunks missing: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ..."],
        ),
        (ENDED, sequence_of(), ["call-ended: recordingSampleRate given although no chunk came"]),
        (
            BARE_ENDED,
            sequence_of(4),
            ["call-ended: recordingSampleRate missing although chunks came"],
        ),
        (ENDED, sequence_of(40_000, 6), ["chunk 1: ends within a frame of 2 channels"]),
    ],
)
def test_lists_what_is_wrong_at_the_end(
    ended: dict[str, Any], sequence: RequestSequence, problems: list[str]
) -> None:
    """Problems that only the whole call shows are found when it ends."""
    assert sentences(ended, sequence, right=False) == problems


def test_claims_no_more_than_was_checked() -> None:
    """The verdict says 'inside the recording' only if every turn has a place inside it."""
    first = ENDED["transcript"][0]
    unplaced = {**ENDED, "transcript": [first, {"role": "user"}]}
    assert "2 turns in order" in sentences(unplaced, sequence_of(48_000), right=True)
    assert "2 turns in order" in sentences(ENDED, sequence_of(16_000), right=True)
    unheard = {**ENDED, "transcript": [first]}
    assert "1 turn in order" in sentences(unheard, sequence_of(None), right=True)
