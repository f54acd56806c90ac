"""How much audio a speech service makes for each utterance.

It is measured where the service pushes it, because a video avatar behind the service keeps this
audio and makes its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark import compat
from pipecat_roark.sighting import Memory

if TYPE_CHECKING:
    from pipecat.frames.frames import OutputAudioRawFrame, TTSStartedFrame, TTSStoppedFrame


class Synthesis:
    """Measures one utterance after the other, in seconds of audio."""

    def __init__(self) -> None:
        self._service: object = None
        self._context: object = None
        self._secs = 0.0
        self._started: Memory[int, None] = Memory()
        self._lengths: Memory[int, float | None] = Memory()

    def started(self, frame: TTSStartedFrame, source: object) -> None:
        """Begin with an utterance; only the first sighting of a frame is at its service."""
        if frame.id not in self._started:
            self._started[frame.id] = None
            self._service, self._context = source, compat.context(frame)
            self._secs = 0.0

    def audio(self, frame: OutputAudioRawFrame, source: object) -> None:
        """Add audio, if its own service pushes it."""
        if source is self._service:
            self._secs += frame.num_frames / frame.sample_rate

    def stopped(self, frame: TTSStoppedFrame, source: object) -> None:
        """End the utterance.

        The length stays unknown where utterances overlap, or where nobody saw the beginning.
        """
        if frame.id not in self._lengths:
            known = self._service is source is not None and self._context == compat.context(frame)
            self._lengths[frame.id] = self._secs if known else None

    def secs(self, frame: TTSStoppedFrame) -> float | None:
        """Return how much audio was made for the utterance that a frame ends; None if unknown."""
        return self._lengths.get(frame.id)
