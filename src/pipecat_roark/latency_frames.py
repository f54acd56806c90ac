"""What Pipecat's frames say about why an answer takes as long as it does.

A step counts when the processor that takes it pushes its frame. So the hops behind that, and what
the recorder sees inline, are no steps. Frames that are read anyway are preferred, because each
type of frame costs something: `FrameReader`'s table names the few others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pipecat.frames.frames import LLMFullResponseStartFrame, MetricsFrame
from pipecat.metrics.metrics import TTFBMetricsData

from pipecat_roark import compat
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.moments import SECOND
from pipecat_roark.sighting import Memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.frames.frames import Frame, LLMMarkerFrame, LLMTextFrame

    from pipecat_roark.conversation.state import CallState
    from pipecat_roark.frames import FrameReader
    from pipecat_roark.moments import Step
    from pipecat_roark.sighting import Sighting

    Read: TypeAlias = Callable[[FrameReader, Any, Sighting], None]

_NOBODY = object()
_OUTPUT = "output transport"
"""Its name, until the output is known."""


class LatencyFrames:
    """Reads steps on the way to the bot's speech into the state of a call.

    Args:
        state: The state.
    """

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._known: Memory[object, None] = Memory()
        self._model: object = _NOBODY
        """The model that was asked last."""
        self.writer: object = _NOBODY
        """The same, until its first text."""
        self._marks_turns = self._found_complete = False
        """Whether models judge if the user has finished, and whether the last answer says so."""
        self.output = _OUTPUT
        """Name of the output."""

    def started(self, processor: object, *, is_output: bool) -> None:
        """Note that a processor passed on the pipeline's start."""
        if is_output:
            self.output = name(processor)

    def output_of(self, seen: Sighting) -> str:
        """Return the name of the output that announces speech, wherever that is seen."""
        return self.output if seen.source is None else name(seen.source)

    def pushed(self, step: Step, frame: Frame, seen: Sighting) -> None:
        """Note a step, if a frame is seen where it is pushed first."""
        if self._is_first(frame, seen):
            self._note(step, seen.at, name(seen.source))

    def asked(self, frame: LLMFullResponseStartFrame, seen: Sighting) -> None:
        """Note that a model was asked."""
        if self._is_first(frame, seen):
            self._model = self.writer = seen.source
            self._found_complete = False
            self._note("model asked", seen.at, name(seen.source))

    def wrote(self, seen: Sighting) -> None:
        """Note the first text of a model."""
        self.writer = _NOBODY
        held_back = self._marks_turns and not self._found_complete
        self._note("text held back" if held_back else "first text", seen.at, name(seen.source))

    def judged(self, frame: LLMMarkerFrame, seen: Sighting) -> None:
        """Note that a model judged whether the user has finished."""
        if self._is_first(frame, seen):
            waits = frame.append_to_context_immediately
            self._marks_turns, self._found_complete = True, not waits
            step: Step = "found incomplete" if waits else "found complete"
            self._note(step, seen.at, name(seen.source))

    def measured(self, frame: MetricsFrame, seen: Sighting) -> None:
        """Note what a service's own measurement adds: when it was asked, or answered first."""
        if not self._is_first(frame, seen):
            return
        for data in frame.data:
            if not isinstance(data, TTFBMetricsData) or data.value <= 0:
                continue
            if seen.source is self._model:
                self._note("first chunk", seen.at, name(seen.source))
            elif compat.is_speech_service(seen.source):
                at = seen.at - int(data.value * SECOND)
                self._note("speech asked for", at, name(seen.source))

    def synthesis_begun(self, seen: Sighting) -> None:
        """Note that a service begins with an utterance."""
        self._note("synthesis begun", seen.at, name(seen.source))

    def first_audio(self, seen: Sighting) -> None:
        """Note the first audio of an utterance."""
        speaks = seen.source is self._model or compat.is_model(seen.source)
        step: Step = "first audio of model" if speaks else "first audio"
        self._note(step, seen.at, name(seen.source))

    def _note(self, step: Step, at: int, owner: str) -> None:
        self._state.note(step, at, Conversation.reached, step, at, owner)

    def _is_first(self, frame: Frame, seen: Sighting) -> bool:
        key = compat.identity(frame)
        if seen.source is None or key in self._known:
            return False
        self._known[key] = None
        return True


def interrupting(read: Read) -> Read:
    """Return a reader of interruptions, which notes the step before."""

    def read_both(reader: FrameReader, frame: Frame, seen: Sighting) -> None:
        reader.latency.pushed("interrupted", frame, seen)
        read(reader, frame, seen)

    return read_both


def announcing(read: Read) -> Read:
    """Return a reader of text that is going to be spoken, which notes the step before."""

    def read_both(reader: FrameReader, frame: Frame, seen: Sighting) -> None:
        if compat.will_be_spoken(frame):
            reader.latency.pushed("sentence made", frame, seen)
        read(reader, frame, seen)

    return read_both


def writing(read: Read) -> Read:
    """Return a reader of a model's text, which notes the first one of an answer before."""

    def read_both(reader: FrameReader, frame: LLMTextFrame, seen: Sighting) -> None:
        if seen.source is reader.latency.writer:
            reader.latency.wrote(seen)
        read(reader, frame, seen)

    return read_both


def _client_connected(reader: FrameReader, frame: Frame, seen: Sighting) -> None:
    reader.latency.pushed("client ready", frame, seen)


def _asked(reader: FrameReader, frame: LLMFullResponseStartFrame, seen: Sighting) -> None:
    reader.latency.asked(frame, seen)


def _judged(reader: FrameReader, frame: LLMMarkerFrame, seen: Sighting) -> None:
    reader.latency.judged(frame, seen)


def _measured(reader: FrameReader, frame: MetricsFrame, seen: Sighting) -> None:
    reader.latency.measured(frame, seen)


READERS: dict[type[Frame], Read] = {
    LLMFullResponseStartFrame: _asked,
    MetricsFrame: _measured,
    **dict.fromkeys(compat.CLIENT_CONNECTED, _client_connected),
    **dict.fromkeys(compat.MARKERS, _judged),
}
"""Frames that are read for this alone."""


def name(processor: object) -> str:
    """Return the name of a processor, if one is known."""
    return str(getattr(processor, "name", "unknown"))
