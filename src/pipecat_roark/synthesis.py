"""How much audio a speech service makes for each utterance.

It is measured where the service pushes it, because a video avatar behind the service keeps this
audio and makes its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipecat_roark import compat
from pipecat_roark.sighting import Memory

if TYPE_CHECKING:
    from pipecat.frames.frames import OutputAudioRawFrame, TTSStartedFrame, TTSStoppedFrame

    from pipecat_roark.latency_frames import LatencyFrames
    from pipecat_roark.sighting import Sighting


class End(NamedTuple):
    """The end of an utterance.

    Attributes:
        at: When its frame was handed to the output, in nanoseconds of pipeline time.
        secs: How much audio the service made for it; None if that is unknown.
    """

    at: int
    secs: float | None


class Synthesis:
    """Measures one utterance after the other, in seconds of audio.

    Args:
        latency: Learns when an utterance begins, and when its audio does.
    """

    def __init__(self, latency: LatencyFrames) -> None:
        self._latency = latency
        self._service: object = None
        self._begun: object = None
        """The service, before its first audio: no other frame need be asked whether it is that."""
        self._context: object = None
        self._secs = 0.0
        self._started: Memory[int, None] = Memory()
        self._lengths: Memory[int, float | None] = Memory()
        self._handed: Memory[int, int] = Memory()

    def started(self, frame: TTSStartedFrame, seen: Sighting) -> None:
        """Begin with an utterance; only the first sighting of a frame is at its service."""
        if frame.id not in self._started:
            self._started[frame.id] = None
            self._begun, self._context = seen.source, compat.context(frame)
            self._service, self._secs = None, 0.0
            self._latency.synthesis_begun(seen)

    def audio(self, frame: OutputAudioRawFrame, seen: Sighting) -> None:
        """Add audio, if its own service pushes it."""
        if seen.source is self._service:
            self._secs += frame.num_frames / frame.sample_rate
        elif seen.source is self._begun:
            self._service, self._begun = self._begun, None
            self._secs = frame.num_frames / frame.sample_rate
            self._latency.first_audio(seen)

    def stopped(self, frame: TTSStoppedFrame, seen: Sighting) -> None:
        """End the utterance.

        The length stays unknown where utterances overlap, or where nobody saw the beginning.
        """
        if frame.id not in self._lengths:
            service = self._service or self._begun
            known = service is seen.source and self._context == compat.context(frame)
            self._lengths[frame.id] = self._secs if known else None

    def handed(self, frame: TTSStoppedFrame, at: int) -> None:
        """Note when the end was handed to the output."""
        self._handed[frame.id] = at

    def pop_end(self, frame: TTSStoppedFrame) -> End | None:
        """Return the end, once, when both are known: who made it, and when the output got it.

        The output may tell before the observer, which lags, has seen the service.
        """
        if frame.id not in self._lengths or frame.id not in self._handed:
            return None
        return End(self._handed.pop(frame.id), self._lengths[frame.id])
