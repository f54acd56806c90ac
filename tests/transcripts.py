"""Calls that are held in a real pipeline, and the transcript that arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipecat.frames.frames import TranscriptionFrame

from audio import RIGHT, heard
from calls import Call
from pipecat_roark import RoarkObserver

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
    """Hold a call, and return its observer and what arrived, without a problem."""
    roark = RoarkObserver(agent_id="front-desk")
    after = [roark.audio_processor, *after_output]
    await Call([roark], after, before_output=before_output, **options).hold(script)
    return roark, arrived(local, roark)


def arrived(local: LocalRoark, roark: RoarkObserver) -> StoredCall:
    """Return what arrived of an observer's call, without a problem."""
    stored = local.calls[roark.pipecat_call_id]
    assert stored.problems == ()
    assert stored.complete
    return stored


def lines(stored: StoredCall) -> list[str]:
    """Return the turns that arrived, a line each."""
    assert stored.ended is not None
    return [f"{turn['role']}: {turn['content']}" for turn in stored.ended["transcript"]]


def audible_secs(stored: StoredCall, until_ms: int | None) -> float:
    """Return for how long the assistant can be heard in the recording before a moment."""
    assert stored.recording is not None
    assert until_ms is not None
    spans = [(start, stop) for start, stop in heard(stored.recording, RIGHT) if stop < until_ms]
    return sum(stop - start for start, stop in spans) / 1000


def said(text: str) -> TranscriptionFrame:
    """Return a final transcription."""
    return TranscriptionFrame(text, "caller", "2026-01-01T00:00:00Z")
