"""A turn of the user, while it can still change.

Two independent sources tell about it. A detector says when speech starts and stops. The pipeline
says when it gives the user the floor (it waits for the user to finish) and when it takes the floor
back (the user has finished). `_TRANSITIONS` shows how they work together.
"""

from __future__ import annotations

from bisect import insort
from copy import copy, deepcopy
from dataclasses import dataclass, field
from enum import Enum, auto
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar, Literal

from pipecat_roark.conversation.text import Fragment, SpokenText, heard
from pipecat_roark.conversation.turn import SpeakerTurn
from pipecat_roark.moments import SECOND, Edge

if TYPE_CHECKING:
    from typing_extensions import Self

    from pipecat_roark.conversation.bot_turn import BotTurn
    from pipecat_roark.moments import Speaker

LATE_WORDS_NS = 5 * SECOND
"""How long after its speech a transcription may come and still belong to it."""
FRESH_SPEECH_NS = 3 * SECOND // 10
"""Speech that began more recently than this cannot have been transcribed yet."""
YOUNG_SPEECH_NS = 2 * SECOND
"""Words that come this soon after the beginning of speech may still be those of the turn before."""
EARLY_WORDS_NS = SECOND
"""Words that come this soon, while the speech goes on, may have been spoken before it."""
SEGMENT_NS = 3 * SECOND // 10
"""Segments of the same late transcription come no further apart than this."""
SOUND_NS = SECOND // 2
"""Something shorter than this may be a mere sound, if the pipeline did not take it for a turn."""
PROMPT_NS = SECOND // 10
"""Words that make the pipeline give the user the floor come no earlier than this before it."""


class UserState(Enum):
    """Whether the user speaks, and whether the pipeline has given the user the floor."""

    QUIET = auto()
    SPEAKING = auto()
    QUIET_WITH_FLOOR = auto()
    SPEAKING_WITH_FLOOR = auto()
    SPEAKING_AFTER_FLOOR = auto()
    CLOSED = auto()


_Event = Literal["speech started", "speech stopped", "floor given", "floor taken"]
_TRANSITIONS: dict[UserState, dict[_Event, UserState]] = {
    UserState.QUIET: {
        "speech started": UserState.SPEAKING,
        "floor given": UserState.QUIET_WITH_FLOOR,
    },
    UserState.SPEAKING: {
        "speech started": UserState.SPEAKING,
        "speech stopped": UserState.QUIET,
        "floor given": UserState.SPEAKING_WITH_FLOOR,
    },
    UserState.QUIET_WITH_FLOOR: {
        "speech started": UserState.SPEAKING_WITH_FLOOR,
        "speech stopped": UserState.QUIET_WITH_FLOOR,
        "floor given": UserState.QUIET_WITH_FLOOR,
        "floor taken": UserState.CLOSED,
    },
    UserState.SPEAKING_WITH_FLOOR: {
        "speech started": UserState.SPEAKING_WITH_FLOOR,
        "speech stopped": UserState.QUIET_WITH_FLOOR,
        "floor given": UserState.SPEAKING_WITH_FLOOR,
        "floor taken": UserState.SPEAKING_AFTER_FLOOR,
    },
    UserState.SPEAKING_AFTER_FLOOR: {"speech stopped": UserState.CLOSED},
    UserState.CLOSED: {},
}
"""The next state after an event; an event that is not listed changes nothing."""

_WITH_FLOOR = (UserState.QUIET_WITH_FLOOR, UserState.SPEAKING_WITH_FLOOR)
_SPEAKING = (
    UserState.SPEAKING,
    UserState.SPEAKING_WITH_FLOOR,
    UserState.SPEAKING_AFTER_FLOOR,
)
_CLOSED = (UserState.SPEAKING_AFTER_FLOOR, UserState.CLOSED)


@dataclass(slots=True, eq=False)
class Transcription(Fragment):
    """Words of a user.

    Attributes:
        at: Pipeline time at which they came.
        begun_at: Pipeline time at which it was known that the user speaks them.
        user_id: Who said them, if that is known.
        language: Their language (BCP-47), if it is known.
    """

    at: int = 0
    begun_at: int = 0
    user_id: str | None = None
    language: str | None = None

    def continues(self, user_id: str | None, language: str | None) -> bool:
        """Return whether the same user said these words, in the same language, as far as known."""
        same_user = None in (user_id, self.user_id) or user_id == self.user_id
        if language is None or self.language is None:
            return same_user
        # A region comes and goes with what a recognizer knows.
        return same_user and language.split("-")[0] == self.language.split("-")[0]


@dataclass(slots=True, eq=False)
class UserTurn(SpeakerTurn):
    """A turn of the user.

    Attributes:
        state: Whether the user speaks and has the floor.
        answer: The bot's turn that answers it, if nothing tells when the user spoke.
        fragments: Its words, of one user or of several.
        detected: Whether a detector reported its speech, and no words came so early that they may
            be those of the speech before.
    """

    role: ClassVar[Speaker] = "user"
    state: UserState = UserState.QUIET
    answer: BotTurn | None = None
    fragments: list[Transcription] = field(default_factory=list)
    detected: bool = False
    _end_detected: bool = False
    _closed_at: int | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        twin = copy(self)
        twin.fragments = [*self.fragments]
        twin.answer = deepcopy(self.answer, memo)
        return twin

    @property
    def speaking(self) -> bool:
        """Whether speech goes on."""
        return self.state in _SPEAKING

    @property
    def has_floor(self) -> bool:
        """Whether the pipeline has given the user the floor and not taken it back."""
        return self.state in _WITH_FLOOR

    @property
    def closed(self) -> bool:
        """Whether the pipeline has taken the floor back."""
        return self.state in _CLOSED

    @property
    def closed_at(self) -> int | None:
        """When the pipeline took the floor back; None if it never did."""
        return self._closed_at

    @property
    def counts(self) -> bool:
        """Whether it is more than a sound: it has words, or the pipeline gave the floor."""
        return bool(self.fragments) or self.has_floor or self.closed

    @property
    def is_speech(self) -> bool:
        """Whether it is more than a short sound."""
        return self.closed or self.last.at - self.start.at >= SOUND_NS

    def speech_started(self) -> None:
        """Note that speech goes on."""
        self.detected = True
        self._change("speech started")

    def speech_stopped(self, edge: Edge) -> None:
        """Note that speech was audible until `edge`."""
        if self.speaking or self.has_floor:
            self.end, self._end_detected = edge, True
            self._change("speech stopped")

    def floor_given(self) -> None:
        """Note that the pipeline gave the user the floor."""
        self._change("floor given")

    def floor_taken(self, at: int) -> None:
        """Note that the pipeline took the floor back."""
        if self.has_floor:
            self._change("floor taken")
            self._closed_at = at
            if not self._end_detected:
                self.end = Edge(at)

    def say(self, said: Transcription) -> None:
        """Add a transcription at its place: users who speak at once finish in any order."""
        if self.speaking and said.at - self.start.at < EARLY_WORDS_NS:
            self.detected = False
        insort(self.fragments, said, key=attrgetter("begun_at"))

    def parts(self) -> list[Transcription]:
        """Return what each user said, joined, until another user or another language."""
        parts: list[list[Transcription]] = []
        user_id: str | None = None
        language: str | None = None
        for words in self.fragments:
            if parts and words.continues(user_id, language):
                parts[-1].append(words)
                user_id, language = user_id or words.user_id, language or words.language
            else:
                parts.append([words])
                user_id, language = words.user_id, words.language
        return [_joined(part) for part in parts]

    def compact(self) -> None:
        """Keep what each user said, and forget how it was composed."""
        self.fragments = self.parts()

    def expects_words(self, at: int) -> bool:
        """Return whether words that come at `at` can be the first ones of this speech."""
        if at - self.last.at > LATE_WORDS_NS:
            return False
        return self.has_floor or self.speaking or not self.fragments

    def is_fresh(self, at: int) -> bool:
        """Return whether the speech began so recently that no word of it can be known at `at`."""
        speaks = (self.has_floor or self.speaking) and not self.fragments
        return speaks and at - self.start.at <= FRESH_SPEECH_NS

    def is_young(self, at: int) -> bool:
        """Return whether words at `at` may be those of an earlier turn whose words are late."""
        return at - self.start.at <= YOUNG_SPEECH_NS

    def awaits_segment(self, at: int) -> bool:
        """Return whether words at `at` are one with the last ones, which came late."""
        said_at = self.fragments[-1].at
        return said_at > self.last.at and at - said_at <= SEGMENT_NS

    def prompted(self, at: int) -> bool:
        """Return whether its last words made the pipeline give the user the floor at `at`."""
        if not self.fragments or at - self.fragments[-1].at > PROMPT_NS:
            return False
        if self.answer:
            return True
        if self._closed_at is None or len(self.fragments) == 1:
            return False
        *_, before, last = (words.at for words in self.fragments)
        segment = before > self._closed_at and last - before <= SEGMENT_NS
        return last > self._closed_at and not segment

    def take_last_words(self, before: UserTurn) -> None:
        """Take the last words of the turn before: they made the pipeline open this one."""
        self.fragments.append(before.fragments.pop())

    @property
    def earliest(self) -> int:
        """The earliest time at which its speech can have begun."""
        return self.start.at if self.detected else self.start.at - LATE_WORDS_NS

    def is_noise(self, now: int) -> bool:
        """Return whether this was a sound that nobody is going to transcribe any more."""
        return not self.fragments and now - self.last.at > LATE_WORDS_NS

    def _change(self, event: _Event) -> None:
        self.state = _TRANSITIONS[self.state].get(event, self.state)


def _joined(part: list[Transcription]) -> Transcription:
    return Transcription(
        SpokenText(heard(part)),
        at=part[-1].at,
        begun_at=part[0].begun_at,
        user_id=next((words.user_id for words in part if words.user_id), None),
        language=next((words.language for words in part if words.language), None),
    )
