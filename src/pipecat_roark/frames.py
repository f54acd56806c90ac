"""What Pipecat's frames say about a call: a table of types of frame, each with its reader.

The table is at the end of `FrameReader`. To read a new type of frame, add a row to it and a reader
that notes one event. `sighting.py` knows which of the many sightings of a frame counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    ParamSpec,
    TypeAlias,
)

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
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

from pipecat_roark import compat
from pipecat_roark import latency_frames as latency
from pipecat_roark.conversation.text import SpokenText
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.latency_frames import LatencyFrames
from pipecat_roark.moments import SECOND, Edge
from pipecat_roark.sighting import Sighting, Sightings
from pipecat_roark.synthesis import Synthesis
from pipecat_roark.tool_frames import ToolFrames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pipecat_roark.conversation.state import CallState

    _Reader: TypeAlias = Callable[["FrameReader", Any, Sighting], None]

END_FRAMES = (EndFrame, CancelFrame, StopFrame)
AUDIO_FRAMES = (InputAudioRawFrame, OutputAudioRawFrame)
FINISHING_FRAMES = (
    *END_FRAMES,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    BotStoppedSpeakingFrame,
    LLMFullResponseEndFrame,
    LLMMessagesAppendFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallCancelFrame,
)
"""These finish a turn, or tell of a tool call; others only tell more of a turn that goes on."""
_LANGUAGE = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*", re.ASCII | re.IGNORECASE)
_NO_LANGUAGES = ("auto", "multi", "und")
"""What recognizers report when they do not know the language."""
_P = ParamSpec("_P")


class FrameReader:
    """Reads frames into the state of a call, each once.

    Args:
        state: The state.
    """

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._start_secs = self._stop_secs = 0.0
        self._sightings = Sightings()
        self.latency = LatencyFrames(state)
        self._synthesis = Synthesis(self.latency)
        self._tools = ToolFrames(state, self._sightings)
        self.kinds: set[type[Frame]] = set()
        """Rows of the table of which a frame was seen."""
        self._rows: dict[type, type[Frame] | None] = {}

    def has_seen(self, frame: Frame) -> bool:
        """Return whether a frame was read that counts at its first sighting."""
        return self._sightings.has_seen(frame)

    def read(self, frame: Frame, seen: Sighting) -> None:
        """Read a frame; one that was read before, and one without a row, are ignored."""
        kind = type(frame)
        if kind not in self._rows:
            self._rows[kind] = row_of(kind)
        row = self._rows[kind]
        if row and not (row in self.AT_FIRST and not self._sightings.is_first(frame)):
            self.kinds.add(row)
            self.READERS[row](self, frame, seen)

    # The user

    def _user_started_speaking(self, frame: VADUserStartedSpeakingFrame, seen: Sighting) -> None:
        secs = compat.detection_secs(frame, "start_secs", self._start_secs)
        place = seen.track.user_onset(secs) if seen.track else None
        edge = Edge(seen.at - int(secs * SECOND), place)
        self._note(frame, seen.at, Conversation.user_started_speaking, edge)

    def _user_stopped_speaking(self, frame: VADUserStoppedSpeakingFrame, seen: Sighting) -> None:
        secs = compat.detection_secs(frame, "stop_secs", self._stop_secs)
        place = seen.track.user_offset(secs) if seen.track else None
        edge = Edge(seen.at - int(secs * SECOND), place)
        self._note(frame, seen.at, Conversation.user_stopped_speaking, edge, seen.at)

    def _user_turn_started(self, frame: UserStartedSpeakingFrame, seen: Sighting) -> None:
        self._note(frame, seen.at, Conversation.user_turn_started, seen.at)

    def _user_turn_stopped(self, frame: UserStoppedSpeakingFrame, seen: Sighting) -> None:
        self._note(frame, seen.at, Conversation.user_turn_stopped, seen.at)

    def _user_muted(self, frame: Frame, seen: Sighting) -> None:
        self._note(frame, seen.at, Conversation.user_muted)

    def _user_unmuted(self, frame: Frame, seen: Sighting) -> None:
        self._note(frame, seen.at, Conversation.user_unmuted)

    def _user_said(self, frame: TranscriptionFrame, seen: Sighting) -> None:
        words = SpokenText(_text(frame), compat.brings_spaces(frame, otherwise=False))
        by = _user_id(frame), _language(frame.language), latency.name(seen.source)
        self._note(frame, seen.at, Conversation.user_said, words, seen.at, *by)

    def _user_is_saying(self, frame: InterimTranscriptionFrame, seen: Sighting) -> None:
        self._note(frame, seen.at, Conversation.user_is_saying, seen.at, _user_id(frame))

    def _detector_was_set(self, frame: SpeechControlParamsFrame, _: Sighting) -> None:
        if frame.vad_params:
            self._start_secs = frame.vad_params.start_secs
            self._stop_secs = frame.vad_params.stop_secs

    # The bot

    def _bot_started_speaking(self, frame: BotStartedSpeakingFrame, seen: Sighting) -> None:
        by = frame.transport_destination, self.latency.output_of(seen)
        self._note(frame, seen.at, Conversation.bot_started_speaking, seen.at, *by)

    def _bot_stopped_speaking(self, frame: BotStoppedSpeakingFrame, seen: Sighting) -> None:
        voice = frame.transport_destination
        self._note(frame, seen.at, Conversation.bot_stopped_speaking, seen.at, voice)

    def _tts_started(self, frame: TTSStartedFrame, seen: Sighting) -> None:
        if seen.is_before_output:
            self._synthesis.started(frame, seen)
        if self._sightings.is_made(frame, seen):
            self._note(frame, seen.at, Conversation.tts_started)

    def _tts_stopped(self, frame: TTSStoppedFrame, seen: Sighting) -> None:
        if seen.is_before_output:
            self._synthesis.stopped(frame, seen)
        if self._sightings.is_made(frame, seen):
            self._synthesis.handed(frame, seen.at)
        if end := self._synthesis.pop_end(frame):
            self._note(frame, end.at, Conversation.tts_stopped, end.secs)

    def _audio(self, frame: TTSAudioRawFrame, seen: Sighting) -> None:
        if seen.is_before_output:
            self._synthesis.audio(frame, seen)
        if frame.transport_destination is not None:
            return
        match self._sightings.stage(frame, seen):
            case "released":
                secs = frame.num_frames / frame.sample_rate
                self._note(frame, seen.at, Conversation.audio_played, secs, seen.at)
            case "made":
                secs = frame.num_frames / frame.sample_rate
                self._note(frame, seen.at, Conversation.audio_made, secs, seen.at)

    def _streamed_audio(self, frame: OutputAudioRawFrame, seen: Sighting) -> None:
        if seen.is_before_output:
            self._synthesis.audio(frame, seen)
        released = self._sightings.stage(frame, seen) == "released"
        if released and frame.transport_destination is None:
            secs = frame.num_frames / frame.sample_rate
            self._note(frame, seen.at, Conversation.audio_streamed, secs, seen.at)

    def _speech_text(self, frame: TTSTextFrame, seen: Sighting) -> None:
        sighting = self._sightings.stage(frame, seen)
        if sighting == "released":
            words = _spoken_text(frame)
            self._note(frame, seen.at, Conversation.text_played, frame.id, words, seen.at)
        elif sighting == "made" and frame.transport_destination is None:
            self._note(frame, seen.at, Conversation.text_made, frame.id, _spoken_text(frame))

    def _announced_text(self, frame: TextFrame, seen: Sighting) -> None:
        if self._sightings.is_made(frame, seen) and compat.will_be_spoken(frame):
            self._note(frame, seen.at, Conversation.text_announced, _text(frame))

    def _interrupted(self, frame: InterruptionFrame, seen: Sighting) -> None:
        # The output drops what it got before this frame, and keeps what it gets behind it.
        if (seen.handed or seen.played) and self._sightings.is_first(frame):
            self._note(frame, seen.at, Conversation.interrupted, seen.at)

    # What is written instead of spoken

    def _wrote(self, frame: LLMTextFrame, seen: Sighting) -> None:
        if _is_delivered(frame, seen) and self._sightings.is_first(frame):
            silent = compat.skips_speech(frame)
            self._note(frame, seen.at, Conversation.bot_wrote, _text(frame), seen.at, silent=silent)

    def _finished_writing(self, frame: LLMFullResponseEndFrame, seen: Sighting) -> None:
        if _is_delivered(frame, seen) and self._sightings.is_first(frame):
            self._note(frame, seen.at, Conversation.bot_finished_writing)

    def _messages_appended(self, frame: LLMMessagesAppendFrame, seen: Sighting) -> None:
        typed = compat.is_client(seen.source)
        verb = Conversation.user_typed if typed else Conversation.user_wrote
        for text in _texts_of_user(frame.messages):
            self._note(frame, seen.at, verb, text, seen.at)

    # Tools

    def _tool_called(self, frame: FunctionCallInProgressFrame, seen: Sighting) -> None:
        self._tools.called(frame, seen.at)

    def _tool_returned(self, frame: FunctionCallResultFrame, seen: Sighting) -> None:
        self._tools.returned(frame, seen.at)

    def _tool_cancelled(self, frame: FunctionCallCancelFrame, seen: Sighting) -> None:
        self._tools.cancelled(frame, seen.at)

    def _note(
        self,
        frame: Frame,
        at: int,
        verb: Callable[Concatenate[Conversation, _P], None],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> None:
        self._state.note(type(frame).__name__, at, verb, *args, **kwargs)

    SPEAKING: ClassVar[dict[type[Frame], _Reader]] = {
        VADUserStartedSpeakingFrame: _user_started_speaking,
        VADUserStoppedSpeakingFrame: _user_stopped_speaking,
        UserStartedSpeakingFrame: _user_turn_started,
        UserStoppedSpeakingFrame: _user_turn_stopped,
        BotStartedSpeakingFrame: _bot_started_speaking,
        BotStoppedSpeakingFrame: _bot_stopped_speaking,
    }
    """The recorder sees these inline, where their place in the recording is known."""
    AT_FIRST: ClassVar[dict[type[Frame], _Reader]] = {
        **SPEAKING,
        **dict.fromkeys(compat.USER_MUTE_STARTED, _user_muted),
        **dict.fromkeys(compat.USER_MUTE_STOPPED, _user_unmuted),
        TranscriptionFrame: _user_said,
        InterimTranscriptionFrame: _user_is_saying,
        LLMMessagesAppendFrame: _messages_appended,
    }
    """Of these the first sighting counts; of the others, the reader decides."""
    READERS: ClassVar[dict[type[Frame], _Reader]] = {
        **AT_FIRST,
        **latency.READERS,
        SpeechControlParamsFrame: _detector_was_set,
        TTSStartedFrame: _tts_started,
        TTSStoppedFrame: _tts_stopped,
        TTSAudioRawFrame: _audio,
        **dict.fromkeys(compat.STREAMED_AUDIO, _streamed_audio),
        TTSTextFrame: _speech_text,
        **dict.fromkeys(compat.AGGREGATED_TEXT, latency.announcing(_announced_text)),
        InterruptionFrame: latency.interrupting(_interrupted),
        LLMTextFrame: latency.writing(_wrote),
        LLMFullResponseEndFrame: _finished_writing,
        FunctionCallInProgressFrame: _tool_called,
        FunctionCallResultFrame: _tool_returned,
        FunctionCallCancelFrame: _tool_cancelled,
    }


SPEAKING_FRAMES = tuple(FrameReader.SPEAKING)
SPEAKING_OF_USER = (VADUserStartedSpeakingFrame, UserStartedSpeakingFrame, TranscriptionFrame)
RELEVANT_FRAMES = (*FrameReader.READERS, StartFrame, *END_FRAMES)
"""Every other frame passes an observer unread."""


def row_of(kind: type[Frame]) -> type[Frame] | None:
    """Return the row for a type of frame: its own, or that of its nearest base class."""
    return next((base for base in kind.__mro__ if base in FrameReader.READERS), None)


def _text(frame: TextFrame) -> str:
    """Return a frame's text; a service may put anything there.

    Raises:
        TypeError: If it is no text.
    """
    text: object = frame.text
    if not isinstance(text, str):
        raise TypeError(f"the text is a {type(text).__name__}")
    return text


def _user_id(frame: TranscriptionFrame | InterimTranscriptionFrame) -> str | None:
    return str(frame.user_id) if frame.user_id else None


def _spoken_text(frame: TTSTextFrame) -> SpokenText:
    text = _text(frame)
    spaced = compat.brings_spaces(frame, otherwise=compat.continues(text))
    return SpokenText(text, spaced, frame.pts or None, compat.is_interruptible(frame))


def _is_delivered(frame: Frame, seen: Sighting) -> bool:
    """Return whether a model's text gets to the output, or no speech service is to speak it."""
    return seen.handed or seen.played or compat.skips_speech(frame)


def _texts_of_user(messages: Iterable[object]) -> Iterator[str]:
    """Yield the texts of the user's messages; a message may have parts that are no text."""
    for message in messages:
        if isinstance(message, Mapping) and message.get("role") == "user":
            content = message.get("content")
            parts = content if isinstance(content, list) else [{"text": content}]
            texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
            if text := " ".join(text for text in texts if isinstance(text, str)):
                yield text


def _language(value: object) -> str | None:
    """Return a language as BCP-47, or None if it can't be one."""
    if value is None:
        return None
    tag = str(getattr(value, "value", value) or "").replace("_", "-")
    known = _LANGUAGE.fullmatch(tag) and tag.lower() not in _NO_LANGUAGES
    return tag if known else None
