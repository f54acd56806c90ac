"""Whether the turns of a call at Roark are where they can be heard in its recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.audio import LEFT, RIGHT, audible_secs, channel

if TYPE_CHECKING:
    from pipecat_roark.local import StoredCall

EDGE_SECS = 0.1
"""How far an edge of real speech may be from what is loud in the recording."""


def check_places(call: StoredCall, reason: str = "client-disconnected") -> None:
    """Check that a call arrived whole, with one question and its answer where they are heard."""
    assert call.complete, call.problems
    assert call.ended is not None
    assert call.recording is not None
    assert call.ended["callEndedReason"] == reason
    turns = call.ended["transcript"]
    assert [(turn["role"], turn["content"]) for turn in turns] == [
        ("user", "Question 1."),
        ("assistant", "Answer 1."),
    ]
    for side, turn in zip((LEFT, RIGHT), turns, strict=True):
        samples, rate = channel(call.recording, side)
        ((begin, end),) = audible_secs(samples, rate, pause=0.5)
        assert turn["audioOffsetMs"] / 1000 == pytest.approx(begin, abs=EDGE_SECS)
        assert turn["endAudioOffsetMs"] / 1000 == pytest.approx(end, abs=EDGE_SECS)
