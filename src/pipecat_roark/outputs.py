"""The output transports of a pipeline, which tell themselves what gets to them and what they play.

An observer sees that, too, where a frame passes from one processor to the next. But then it must be
shown each frame at every hop, and most hops tell nothing new. From 1.12.0 on, Pipecat can show an
observer each frame once, where it is pushed first, which costs less.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pipecat.frames.frames import (
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)

from pipecat_roark import compat
from pipecat_roark.sighting import Sighting

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.frames.frames import Frame
    from pipecat.processors.frame_processor import FrameProcessor

    from pipecat_roark.guard import ErrorBoundary

_PLAYED = (
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
    *compat.STREAMED_AUDIO,
    *compat.AGGREGATED_TEXT,
    InterruptionFrame,
    LLMTextFrame,
    LLMFullResponseEndFrame,
)
"""Of these it counts when an output gets them or passes them on."""


class Outputs:
    """Listens to the outputs of one pipeline.

    Args:
        boundary: Keeps errors away from the pipeline.
        now: Returns the time of the call in nanoseconds.
        read: Reads a frame that an output shows.
        is_known: Returns whether a frame is known to have got to an output.
    """

    def __init__(
        self,
        boundary: ErrorBoundary,
        now: Callable[[], int],
        read: Callable[[Frame, Sighting], None],
        is_known: Callable[[Frame], bool],
    ) -> None:
        self._boundary = boundary
        self._now = now
        self._read = read
        self._is_known = is_known
        self._outputs: list[FrameProcessor] = []

    def add(self, output: FrameProcessor) -> None:
        """Note an output, because it passed the pipeline's start on."""
        self._outputs.append(output)

    def listen(self) -> None:
        """Read from now on what gets to the outputs, and what they pass on."""
        for output in self._outputs:
            output.add_event_handler("on_before_process_frame", self._gets)
            output.add_event_handler("on_before_push_frame", self._passes_on)

    def _gets(self, _: FrameProcessor, frame: Frame) -> None:
        if _is_played(frame):
            with self._boundary:
                self._read(frame, Sighting(self._now(), played=False, handed=True))

    def _passes_on(self, _: FrameProcessor, frame: Frame) -> None:
        if _is_played(frame):
            with self._boundary:
                # Of the audio that an output gets it makes the frames that it plays. It is the
                # first to push these, so the observer sees them anyway.
                if not isinstance(frame, OutputAudioRawFrame) or self._is_known(frame):
                    self._read(frame, Sighting(self._now(), played=True))


def _is_played(frame: Frame) -> bool:
    kind: type = type(frame)
    return _is_of_played(kind)


@cache
def _is_of_played(kind: type) -> bool:
    return issubclass(kind, _PLAYED)
