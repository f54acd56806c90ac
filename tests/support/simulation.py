"""A call in virtual time: every frame of it, as an observer and a recorder see them, and the truth.

The user speaks for a second a word, the assistant for as long as it is told. Words are numbered, so
that a lost, doubled or misplaced one can be told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Literal

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from pipecat_roark.conversation.state import CallState
from pipecat_roark.frames import SPEAKING_FRAMES, FrameReader
from pipecat_roark.sighting import Sighting
from support.calls import spoken
from support.events import ns, wall

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipecat_roark import CallReport

Shape = Literal["behind", "ahead", "timed", "deltas"]
Announced = Literal["speech", "turns", "both", "nothing"]

RATE = 1000
CHUNK = 0.2
"""Seconds of audio that the output plays at once."""


@dataclass(frozen=True)
class Sight:
    """A frame that somebody sees."""

    arrives: float
    frame: Frame
    at: float
    played: bool


@dataclass
class Truth:
    """A turn, and how many of its words may be taken as heard."""

    role: str
    words: list[str]
    start: float
    at_least: int
    at_most: int
    interrupted: bool = False


@dataclass
class Simulation:
    """A call as it goes on.

    Args:
        shape: How the speech service orders text and audio.
        announced: Which frames tell that the user speaks.
        lag: Seconds by which the observer sees a frame later than it was pushed.
        inline: Whether there is a recorder, which sees what passes the output at once.
    """

    shape: Shape = "behind"
    announced: Announced = "both"
    lag: float = 0.0
    inline: bool = True
    now: float = 1.0
    sights: list[Sight] = field(default_factory=list)
    truth: list[Truth] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def push(self, frame: Frame, at: float) -> None:
        """Let a frame pass the processors before the output."""
        self._see(frame, at + self.lag, at, at + 0.001)

    def release(self, frame: Frame, at: float) -> None:
        """Let a frame pass the output, and the processors behind it."""
        if self.inline:
            self._see(frame, at, at + 0.0005, played=True)
        self._see(frame, at + self.lag, at, played=True)
        self._see(frame, at + self.lag, at + 0.001)

    def words(self, number: int) -> list[str]:
        """Return so many new words, of several lengths."""
        numbers = [next(self._numbers) for _ in range(number)]
        return [f"{'word' * (1 + n % 3)}{n}" for n in numbers]

    def user_speaks(self, segments: Sequence[int], delay: float) -> None:
        """Let the user speak in segments of so many words, and their transcriptions come late."""
        start, words = self.now, self.words(sum(segments))
        self.truth.append(Truth("user", words, start, len(words), len(words)))
        left = iter(words)
        end = start + len(words)
        self._announce_user(VADUserStartedSpeakingFrame(), "speech", start)
        self._announce_user(UserStartedSpeakingFrame(), "turns", start)
        for position, size in enumerate(segments):
            text = " ".join(next(left) for _ in range(size))
            late = delay + (position - len(segments) + 1) / 10
            self.push(TranscriptionFrame(text, "caller", "2026-01-01T00:00:00Z"), end + late)
        self._announce_user(VADUserStoppedSpeakingFrame(), "speech", end)
        self._announce_user(UserStoppedSpeakingFrame(), "turns", end + 0.1)
        self.now = end + 0.2

    def bot_speaks(self, sentences: Sequence[tuple[int, float]], cut: float | None) -> None:
        """Let the assistant speak sentences of so many words and seconds, or only until a cut."""
        start, made_at = self.now, self.now - 0.1
        spoken_words = [(self.words(number), secs) for number, secs in sentences]
        words = [word for sentence, _ in spoken_words for word in sentence]
        total = sum(secs for _, secs in spoken_words)
        until = total if cut is None else min(total, cut)
        self.push(TTSStartedFrame(), made_at)
        played = getattr(self, f"_speak_{self.shape}")(spoken_words, start, until)
        self.push(TTSStoppedFrame(), made_at + 0.08)
        self._announce_bot(BotStartedSpeakingFrame(), start)
        elapsed = CHUNK
        while elapsed <= until + 1e-9:
            self.release(_audio(CHUNK), start + elapsed)
            elapsed += CHUNK
        if until < total:
            self.release(InterruptionFrame(), start + until + 0.0002)
        self._announce_bot(BotStoppedSpeakingFrame(), start + until + 0.002)
        at_least, at_most = (len(words),) * 2 if until == total else played
        self.truth.append(Truth("assistant", words, start, at_least, at_most, until < total))
        self.now = start + until + 0.7

    def report(self, *, ask_after: Sequence[int] = ()) -> CallReport:
        """Return the report, having asked for others after some of the sights."""
        state = CallState("call-1")
        reader = FrameReader(state)
        sights = sorted(self.sights, key=lambda sight: sight.arrives)
        for position, sight in enumerate(sights):
            reader.read(sight.frame, Sighting(ns(sight.at), sight.played, handed=True))
            if position in ask_after:
                state.report(ns(sight.at), wall=wall)
        return state.report(ns(self.now), wall=wall)

    def _announce_user(self, frame: Frame, kind: Announced, at: float) -> None:
        if self.announced in (kind, "both"):
            self._announce_bot(frame, at)

    def _announce_bot(self, frame: Frame, at: float) -> None:
        assert isinstance(frame, SPEAKING_FRAMES)
        # Where there is a recorder, its sight is the one that counts.
        lag = 0.0 if self.inline else self.lag
        self._see(frame, at + lag, at, at + 0.001, played=True)

    def _see(self, frame: Frame, arrives: float, *moments: float, played: bool = False) -> None:
        self.sights += [Sight(arrives, frame, at, played) for at in moments]

    def _speak_behind(
        self, sentences: list[tuple[list[str], float]], start: float, until: float
    ) -> tuple[int, int]:
        at_least = at_most = 0
        begin = 0.0
        for position, (words, secs) in enumerate(sentences):
            made_at = start - 0.09 + position / 1000
            text = spoken(" ".join(words))
            self.push(_audio(secs), made_at)
            self.push(text, made_at + 0.0005)
            if begin + secs <= until + 1e-9:
                self.release(text, start + begin + secs + 0.0001)
            at_least += _fitting(words, (_whole_chunks(until) - begin) / secs - 1e-6)
            at_most += _fitting(words, (until - begin) / secs + 1e-6)
            begin += secs
        return at_least, at_most

    def _speak_ahead(
        self, sentences: list[tuple[list[str], float]], start: float, until: float
    ) -> tuple[int, int]:
        total = sum(secs for _, secs in sentences)
        for position, (words, _) in enumerate(sentences):
            text = spoken(" ".join(words))
            self.push(text, start - 0.09 + position / 1000)
            self.release(text, start - 0.01 + position / 1000)
        for position, (_, secs) in enumerate(sentences):
            self.push(_audio(secs), start - 0.05 + position / 1000)
        words = [word for sentence, _ in sentences for word in sentence]
        shares = (_whole_chunks(until) / total - 1e-6, until / total + 1e-6)
        # The spaces between sentences have no share.
        at_least, at_most = (_fitting(words, share, spaces=1 - len(sentences)) for share in shares)
        # Whether audio is counted at all isn't known before the first of it was played.
        measured = any(sight.played for sight in self.sights if _is_audio(sight.frame))
        return max(0, at_least - 1), at_most + 1 if measured or until >= CHUNK else len(words)

    def _speak_timed(
        self, sentences: list[tuple[list[str], float]], start: float, until: float
    ) -> tuple[int, int]:
        heard = made = 0
        begin = start
        for words, secs in sentences:
            self.push(_audio(secs), start - 0.09)
            for position, word in enumerate(words):
                sounds_at = begin + secs * position / len(words)
                frame = spoken(word)
                frame.pts = ns(sounds_at)
                self.push(frame, start - 0.08 + made / 1000)
                made += 1
                if sounds_at <= start + until + 1e-9:
                    self.release(frame, sounds_at)
                    heard += 1
            begin += secs
        return heard, heard

    def _speak_deltas(
        self, sentences: list[tuple[list[str], float]], start: float, until: float
    ) -> tuple[int, int]:
        heard = position = 0
        for words, _ in sentences:
            for word in words:
                frame = spoken(f" {word}")
                if hasattr(frame, "includes_inter_frame_spaces"):
                    frame.includes_inter_frame_spaces = True
                self.push(_audio(CHUNK), start - 0.09 + position / 1000)
                self.push(frame, start - 0.09 + position / 1000 + 0.0005)
                position += 1
                if position * CHUNK <= until + 1e-9:
                    self.release(frame, start + position * CHUNK + 0.0001)
                    heard += 1
        return heard, heard


def _is_audio(frame: Frame) -> bool:
    return isinstance(frame, TTSAudioRawFrame)


def _audio(secs: float) -> TTSAudioRawFrame:
    return TTSAudioRawFrame(bytes(2 * round(secs * RATE)), RATE, 1)


def _whole_chunks(secs: float) -> float:
    return int(secs / CHUNK + 1e-9) * CHUNK


def _fitting(words: list[str], share: float, spaces: int = 0) -> int:
    """Return how many words fit into a share of the characters of their text."""
    room = share * (len(" ".join(words)) + spaces)
    return sum(len(" ".join(words[: number + 1])) <= room for number in range(len(words)))
