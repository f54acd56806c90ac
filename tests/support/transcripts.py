"""Calls in a real pipeline, and the transcripts that arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pipecat.frames.frames import TranscriptionFrame

from pipecat_roark import RoarkObserver
from support.audio import RIGHT, channel
from support.calls import Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat.processors.frame_processor import FrameProcessor

    from pipecat_roark.local import LocalRoark, StoredCall

ANSWER = "Our table by the window is free tonight, shall I keep it for you?"


async def held(
    local: LocalRoark,
    script: Callable[[Call], Awaitable[None]],
    *before_output: FrameProcessor,
    after_output: tuple[FrameProcessor, ...] = (),
    **options: Any,
) -> tuple[RoarkObserver, StoredCall]:
    """Hold a call, check that it arrived without a problem, and return observer and call."""
    roark = RoarkObserver(agent_id="front-desk")
    after = [roark.audio_processor, *after_output]
    await Call([roark], after, before_output=before_output, **options).hold(script)
    return roark, arrived(local, roark)


def arrived(local: LocalRoark, roark: RoarkObserver) -> StoredCall:
    """Return the call of an observer as it arrived; check that it has no problem."""
    stored = local.calls[roark.pipecat_call_id]
    assert stored.problems == ()
    assert stored.complete
    return stored


def lines(stored: StoredCall) -> list[str]:
    """Return the turns of a call, a line each."""
    assert stored.ended is not None
    return [f"{turn['role']}: {turn['content']}" for turn in stored.ended["transcript"]]


def audible_secs(stored: StoredCall, until_ms: int | None) -> float:
    """Return for how many seconds the bot is audible before a moment of the recording."""
    assert stored.recording is not None
    assert until_ms is not None
    samples, rate = channel(stored.recording, RIGHT)
    return int(np.count_nonzero(samples[: until_ms * rate // 1000])) / rate


def said(text: str, user_id: str = "caller", language: Any = None) -> TranscriptionFrame:
    """Return a final transcription."""
    return TranscriptionFrame(text, user_id, "2026-01-01T00:00:00Z", language)
