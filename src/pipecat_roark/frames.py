"""What Pipecat's frames say about a call. One case a frame, one verb on the call state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeVar

from pipecat.frames import frames
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
    LLMFullResponseEndFrame,
    LLMMessagesAppendFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    SpeechControlParamsFrame,
    StartFrame,
    StopFrame,
    TextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from pipecat_roark.conversation.text import SpokenText
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.moments import SECOND, Edge
from pipecat_roark.plain import arguments_text, result_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipecat_roark.conversation.state import CallState
    from pipecat_roark.recording.recorder import StereoRecorder

    _Tool = FunctionCallInProgressFrame | FunctionCallResultFrame | FunctionCallCancelFrame


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _if_known(name: str) -> tuple[type[Frame], ...]:
    """Return a type of frame that the oldest Pipecats don't have, or no type."""
    return (getattr(frames, name),) if hasattr(frames, name) else ()


_ANNOUNCED = _if_known("AggregatedTextFrame")
_STREAM = _if_known("SpeechOutputAudioRawFrame")
_MUTED = _if_known("UserMuteStartedFrame")
_UNMUTED = _if_known("UserMuteStoppedFrame")
_WRITTEN = (LLMTextFrame, LLMFullResponseEndFrame, LLMMessagesAppendFrame)
_SPEECH = (TTSStartedFrame, TTSStoppedFrame, TTSAudioRawFrame, TTSTextFrame, *_ANNOUNCED, *_STREAM)
_TOOLS = (FunctionCallInProgressFrame, FunctionCallResultFrame, FunctionCallCancelFrame)
SPEAKING = (
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
)
RELEVANT_FRAMES = (
    StartFrame,
    EndFrame,
    CancelFrame,
    StopFrame,
    InterruptionFrame,
    TranscriptionFrame,
    SpeechControlParamsFrame,
    *_MUTED,
    *_UNMUTED,
    *_SPEECH,
    *_TOOLS,
    *_WRITTEN,
    *SPEAKING,
)
"""Everything else passes an observer unread."""
_REMEMBERED = 4096
_LANGUAGE = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*", re.ASCII | re.IGNORECASE)
_NO_LANGUAGES = ("auto", "multi", "und")
"""What recognizers say if they were not told a language, or do not know it."""
_AFTER_WORDS = (" ", "\n", *",.;:!?)…'", "\N{RIGHT SINGLE QUOTATION MARK}")
"""How a piece of text begins that goes on where the one before it ended."""


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
        self._start_secs = self._stop_secs = 0.0
        self._known: dict[object, None] = {}
        self._released: dict[int, int] = {}
        self._broadcasts: dict[int, int] = {}
        self._service: object = None
        self._context: object = None
        self._seconds = 0.0
        self._lengths: dict[int, float | None] = {}
        self._unpaired: dict[tuple[type, str, str], tuple[int, int | None]] = {}

    def read(
        self,
        frame: Frame,
        at: int,
        *,
        played: bool,
        handed: bool = True,
        source: object = None,
    ) -> None:
        """Read a frame.

        Args:
            frame: The frame; what was read before is ignored.
            at: Pipeline time at which it was seen, in nanoseconds.
            played: Whether the output transport has released it, or there is none.
            handed: Whether it is on its way into the output transport. Speech that a processor
                drops before it gets there was never made, as far as anybody can hear.
            source: The processor that pushed it.
        """
        if isinstance(frame, SPEAKING):
            if self._is_new(_identity(frame)):
                self._read_speaking(frame, at)
        elif isinstance(frame, _SPEECH):
            if not played:
                self._measure(frame, source)
            if handed or played:
                self._read_speech(frame, at, played=played)
        elif isinstance(frame, _WRITTEN):
            skipped = bool(getattr(frame, "skip_tts", False))
            self._read_written(frame, at, delivered=handed or played or skipped)
        else:
            self._read_other(frame, at, reached=handed or played)

    def _read_other(self, frame: Frame, at: int, *, reached: bool) -> None:
        """Read a frame; `reached` tells whether the output has got it."""
        if isinstance(frame, _TOOLS):
            self._read_tool(frame, at)
        elif isinstance(frame, TranscriptionFrame):
            self._read_transcription(frame, at)
        elif isinstance(frame, InterruptionFrame):
            # The output drops what it got before this frame, and keeps what it gets behind it.
            if reached and self._is_new(_identity(frame)):
                self._state.note(type(frame).__name__, at, Conversation.interrupted, at)
        else:
            self._read_setting(frame, at)

    def _read_speaking(self, frame: Frame, at: int) -> None:
        match frame:
            case VADUserStartedSpeakingFrame():
                # The detector's delay is on the frame from 0.0.102 on.
                delay = getattr(frame, "start_secs", self._start_secs)
                place = self._recorder.user_onset(delay) if self._recorder else None
                edge = Edge(at - int(delay * SECOND), place)
                self._state.note(type(frame).__name__, at, Conversation.user_started_speaking, edge)
            case VADUserStoppedSpeakingFrame():
                delay = getattr(frame, "stop_secs", self._stop_secs)
                place = self._recorder.user_offset(delay) if self._recorder else None
                edge = Edge(at - int(delay * SECOND), place)
                self._state.note(type(frame).__name__, at, Conversation.user_stopped_speaking, edge)
            case UserStartedSpeakingFrame():
                self._state.note(type(frame).__name__, at, Conversation.user_turn_started, at)
            case UserStoppedSpeakingFrame():
                self._state.note(type(frame).__name__, at, Conversation.user_turn_stopped, at)
            case BotStartedSpeakingFrame():
                self._state.note(
                    type(frame).__name__,
                    at,
                    Conversation.bot_started_speaking,
                    at,
                    frame.transport_destination,
                )
            case _:  # BotStoppedSpeakingFrame
                self._state.note(
                    type(frame).__name__,
                    at,
                    Conversation.bot_stopped_speaking,
                    at,
                    frame.transport_destination,
                )

    def _measure(self, frame: Frame, source: object) -> None:
        """Measure how much audio the speech service makes for an utterance.

        A video avatar behind it keeps this audio, and makes its own.
        """
        context = getattr(frame, "context_id", None)
        if isinstance(frame, OutputAudioRawFrame):
            if source is self._service:
                self._seconds += frame.num_frames / frame.sample_rate
        elif isinstance(frame, TTSStartedFrame):
            if self._is_new(("measured", frame.id)):
                self._service, self._context, self._seconds = source, context, 0.0
        elif isinstance(frame, TTSStoppedFrame) and frame.id not in self._lengths:
            # Of utterances that overlap, or whose beginning nobody saw, the length is not known.
            known = self._service is source is not None and self._context == context
            _remember(self._lengths, frame.id, self._seconds if known else None)

    def _read_speech(self, frame: Frame, at: int, *, played: bool) -> None:
        """Read the speech of the assistant, as it is made and as it is released."""
        news = self._sighting(frame, at, played=played)
        # Only what the output's default destination plays can be interrupted.
        measured = frame.transport_destination is None
        match frame, news:
            case TTSTextFrame(), "released":
                self._state.note(
                    type(frame).__name__, at, Conversation.text_played, frame.id, _words(frame), at
                )
            case TTSTextFrame(), "made" if measured:
                self._state.note(
                    type(frame).__name__, at, Conversation.text_made, frame.id, _words(frame)
                )
            case TTSAudioRawFrame(), "released" if measured:
                self._state.note(
                    type(frame).__name__,
                    at,
                    Conversation.audio_played,
                    frame.num_frames / frame.sample_rate,
                    at,
                )
            case TTSAudioRawFrame(), "made" if measured:
                self._state.note(
                    type(frame).__name__,
                    at,
                    Conversation.audio_made,
                    frame.num_frames / frame.sample_rate,
                )
            case OutputAudioRawFrame(), "released" if measured:  # of a stream
                seconds = frame.num_frames / frame.sample_rate
                self._state.note(type(frame).__name__, at, Conversation.audio_streamed, seconds, at)
            case TTSStartedFrame(), "made" if measured:
                self._state.note(type(frame).__name__, at, Conversation.tts_started)
            case TTSStoppedFrame(), "made" if measured:
                length = self._lengths.get(frame.id)
                self._state.note(type(frame).__name__, at, Conversation.tts_stopped, length)
            case TextFrame(), "made" if _will_be_spoken(frame):
                self._state.note(type(frame).__name__, at, Conversation.text_announced, frame.text)

    def _read_written(self, frame: Frame, at: int, *, delivered: bool) -> None:
        """Read what is written instead of spoken."""
        kind = type(frame).__name__
        if isinstance(frame, LLMMessagesAppendFrame):
            if self._is_new(_identity(frame)):
                for text in _typed(frame.messages):
                    self._state.note(kind, at, Conversation.user_wrote, text, at)
        elif delivered and self._is_new(_identity(frame)):
            if isinstance(frame, LLMTextFrame):
                self._state.note(kind, at, Conversation.bot_wrote, frame.text, at)
            else:
                self._state.note(kind, at, Conversation.bot_finished_writing)

    def _read_transcription(self, frame: TranscriptionFrame, at: int) -> None:
        if self._is_new(_identity(frame)):
            words = SpokenText(
                frame.text, bool(getattr(frame, "includes_inter_frame_spaces", False))
            )
            user_id = str(frame.user_id) if frame.user_id else None
            language = _language(frame.language)
            kind = type(frame).__name__
            self._state.note(kind, at, Conversation.user_said, words, at, user_id, language)

    def _read_tool(self, frame: _Tool, at: int) -> None:
        # Services pass on whatever the model gave as id and name.
        call_id, name = result_text(frame.tool_call_id), result_text(frame.function_name)
        if isinstance(frame, FunctionCallResultFrame):
            self._read_result(frame, at, call_id, name)
        elif isinstance(frame, FunctionCallInProgressFrame):
            arguments = arguments_text(frame.arguments)
            identity = self._broadcast(frame, at, call_id, arguments)
            self._state.tool_called(at, call_id, name, arguments, frame=identity)
        elif self._is_new(self._broadcast(frame, at, call_id, name)):
            self._state.tool_cancelled(at, call_id, called_name=name)

    def _read_result(
        self, frame: FunctionCallResultFrame, at: int, call_id: str, name: str
    ) -> None:
        content = result_text(frame.result)
        if not self._is_new(self._broadcast(frame, at, call_id, content)):
            return
        arguments = arguments_text(frame.arguments)
        self._state.tool_called(at, call_id, name, arguments)
        # More results may follow one that isn't final (from 1.0.0 on).
        final = getattr(frame.properties, "is_final", True)
        self._state.tool_returned(
            at, call_id, content, final=final, called_name=name, called_arguments=arguments
        )

    def _broadcast(self, frame: _Tool, at: int, call_id: str, content: str) -> int:
        """Return what the two frames of a tool's broadcast share.

        Frames that do not name each other are one broadcast if two that are alike come within a
        second; a third one is another.
        """
        if getattr(frame, "broadcast_sibling_id", None) is not None:
            return _identity(frame)
        if frame.id not in self._broadcasts:
            key = type(frame), call_id, content
            first, seen = self._unpaired.pop(key, (frame.id, None))
            if seen is None or abs(at - seen) > SECOND:
                first = frame.id
                _remember(self._unpaired, key, (first, at))
            _remember(self._broadcasts, frame.id, first)
        return self._broadcasts[frame.id]

    def _read_setting(self, frame: Frame, at: int) -> None:
        if isinstance(frame, SpeechControlParamsFrame):
            if frame.vad_params:
                self._start_secs = frame.vad_params.start_secs
                self._stop_secs = frame.vad_params.stop_secs
        elif isinstance(frame, _MUTED):
            self._state.note(type(frame).__name__, at, Conversation.user_muted)
        elif isinstance(frame, _UNMUTED):
            self._state.note(type(frame).__name__, at, Conversation.user_unmuted)

    def _sighting(
        self, frame: Frame, at: int, *, played: bool
    ) -> Literal["made", "released"] | None:
        """Return what this sight of a frame tells, or None if it was told before.

        A frame is seen at every hop, and its release may be seen inline before the hops that led
        there, as an observer lags.
        """
        key = _identity(frame)
        if played and key not in self._released:
            _remember(self._released, key, at)
            return "released"
        if not played and at < self._released.get(key, at + 1) and self._is_new(key):
            return "made"
        return None

    def _is_new(self, key: object) -> bool:
        if key in self._known:
            return False
        _remember(self._known, key, None)
        return True


def _typed(messages: Iterable[object]) -> Iterator[str]:
    """Yield the texts of the user's messages; a message may have parts that are no text."""
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") != "user":
            continue
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
        if text := " ".join(text for text in texts if isinstance(text, str)):
            yield text


def _will_be_spoken(frame: TextFrame) -> bool:
    announced = getattr(frame, "will_be_spoken", True)  # from 1.9.0 on
    return bool(getattr(frame, "context_id", None)) and announced and not frame.skip_tts


def _remember(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]


def _identity(frame: Frame) -> int:
    """Return what the two frames of a broadcast share; they name each other from 0.0.103 on."""
    sibling: int | None = getattr(frame, "broadcast_sibling_id", None)
    return frame.id if sibling is None else min(frame.id, sibling)


def _words(frame: TTSTextFrame) -> SpokenText:
    # Before 0.0.93 no frame tells, but the pieces of a realtime model can be recognized.
    guess = frame.text.startswith(_AFTER_WORDS)
    spaced = bool(getattr(frame, "includes_inter_frame_spaces", guess))
    interruptible = bool(getattr(frame, "interruptible", True))
    return SpokenText(frame.text, spaced, frame.pts or None, interruptible)


def _language(value: object) -> str | None:
    """Return a language as BCP-47, or None if it can't be one."""
    tag = str(getattr(value, "value", value) or "").replace("_", "-")
    known = _LANGUAGE.fullmatch(tag) and tag.lower() not in _NO_LANGUAGES
    return tag if known else None
