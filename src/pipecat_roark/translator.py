"""What Pipecat's frames say about a call. One case a frame, one verb on the call state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    StartFrame,
    StopFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from pipecat_roark.conversation import SECOND, Edge
from pipecat_roark.wire import arguments_text, result_text

if TYPE_CHECKING:
    from pipecat_roark.call_state import CallState
    from pipecat_roark.recorder import StereoRecorder

CONCERNS = (
    StartFrame,
    EndFrame,
    CancelFrame,
    StopFrame,
    TranscriptionFrame,
    TTSTextFrame,
    TTSAudioRawFrame,
    InterruptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallCancelFrame,
)
"""Everything else passes an observer unread."""
SPEAKING = (
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
)
_REMEMBERED = 4096


class Translator:
    """Reads frames into the state of a call, each once.

    Args:
        state: The state.
        recorder: Knows where on the user's track a speaking frame stands that passes it now; None
            if the recording tells nobody.
    """

    def __init__(self, state: CallState, *, recorder: StereoRecorder | None) -> None:
        self._state = state
        self._recorder = recorder
        self._seen: dict[tuple[int, str], None] = {}

    def read(self, frame: Frame, at: int, *, played: bool) -> None:
        """Read a frame.

        Args:
            frame: The frame; one that was read before is ignored.
            at: Pipeline time at which it was seen, in nanoseconds.
            played: Whether the output transport has released it.
        """
        match frame:
            case TranscriptionFrame():
                self._read_transcription(frame, at)
            case TTSTextFrame():
                self._read_text(frame, at, played=played)
            case TTSAudioRawFrame():
                if self._first(frame, "audio") and not played:
                    seconds = frame.num_frames / frame.sample_rate
                    self._state.bot_synthesized(at, seconds)
            case InterruptionFrame():
                self._state.interrupted(at)
            case FunctionCallInProgressFrame():
                arguments = arguments_text(frame.arguments)
                self._state.tool_called(at, frame.tool_call_id, frame.function_name, arguments)
            case FunctionCallResultFrame():
                self._read_result(frame, at)
            case FunctionCallCancelFrame():
                self._state.tool_cancelled(at, frame.tool_call_id)
            case _:
                self._read_speaking(frame, at)

    def _read_speaking(self, frame: Frame, at: int) -> None:
        match frame:
            case VADUserStartedSpeakingFrame():
                # The detector's delay is on the frame from 0.0.102 on.
                delay = getattr(frame, "start_secs", 0.0)
                place = self._recorder.user_onset(delay) if self._recorder else None
                edge = Edge(at - int(delay * SECOND), place)
                self._state.user_started_speaking(at, edge)
            case VADUserStoppedSpeakingFrame():
                delay = getattr(frame, "stop_secs", 0.0)
                place = self._recorder.user_offset(delay) if self._recorder else None
                edge = Edge(at - int(delay * SECOND), place)
                self._state.user_stopped_speaking(at, edge)
            case UserStartedSpeakingFrame():
                self._state.user_turn_started(at)
            case UserStoppedSpeakingFrame():
                self._state.user_turn_stopped(at)
            case BotStartedSpeakingFrame():
                self._state.bot_started_speaking(at)
            case BotStoppedSpeakingFrame():
                self._state.bot_stopped_speaking(at)

    def _read_transcription(self, frame: TranscriptionFrame, at: int) -> None:
        if not self._first(frame, "said"):
            return
        self._state.user_said(
            at,
            frame.text,
            spaced=_brings_spaces(frame),
            user_id=str(frame.user_id) if frame.user_id else None,
            language=str(getattr(frame.language, "value", frame.language) or "") or None,
        )

    def _read_text(self, frame: TTSTextFrame, at: int, *, played: bool) -> None:
        spaced = _brings_spaces(frame)
        if played and self._first(frame, "played"):
            self._state.bot_said(at, frame.id, frame.text, spaced=spaced)
        elif not played and self._first(frame, "made"):
            self._state.bot_generated(at, frame.id, frame.text, spaced=spaced)

    def _read_result(self, frame: FunctionCallResultFrame, at: int) -> None:
        if not self._first(frame, "result"):
            return
        arguments = arguments_text(frame.arguments)
        self._state.tool_called(at, frame.tool_call_id, frame.function_name, arguments)
        # More results may follow one that isn't final (from 1.0.0 on).
        final = getattr(frame.properties, "is_final", True)
        content = result_text(frame.result)
        self._state.tool_returned(at, frame.tool_call_id, content, final=final)

    def _first(self, frame: Frame, what: str) -> bool:
        """Whether this is the first sight of a frame, or of the two of a broadcast.

        A frame is seen at every hop, and a broadcast names its sibling from 0.0.103 on.
        """
        sibling = getattr(frame, "broadcast_sibling_id", None)
        key = (frame.id if sibling is None else min(frame.id, sibling)), what
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return True


def _brings_spaces(frame: TranscriptionFrame | TTSTextFrame) -> bool:
    # From 0.0.93 on; before that, every piece is a word or a sentence.
    return bool(getattr(frame, "includes_inter_frame_spaces", False))
