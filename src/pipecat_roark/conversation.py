"""Who holds the floor: speech and words in the order in which they happened, made into turns.

The rules:

1. A turn is one speaker's words until the other's turn. It exists in the result only with words.
2. A user's turn opens with speech and closes with the pipeline's turn frames where there are any;
   without them, speech after a finished utterance opens the next.
3. A transcription belongs to the user's latest turn whose speech it can be: not to speech that only
   just began, and not to speech that ended long ago and has its words.
4. An assistant's turn holds the words that were played. It goes on after a short pause, and not
   after an interruption or a turn of the user.
5. An interruption cuts what is being said, and only if something is being said. Of a sentence cut
   in the middle, the words that fit into the played share of its audio are kept, counted in
   characters: speech varies in speed within a sentence, so the cut may err by a word.
6. Edges are of audible speech, so a detector's delay is taken out before they get here.

Pure and in order: `CallState` sorts what comes late. Times are pipeline nanoseconds.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipecat_roark.timeline import Speaker

SECOND = 1_000_000_000

RESUME_NS = 3 * SECOND // 2
"""An assistant that pauses for no longer than this goes on with its turn."""
LATE_WORDS_NS = 5 * SECOND
"""How long after its speech a transcription may come and still belong to it."""
FRESH_SPEECH_NS = 6 * SECOND // 10
"""Speech that began this recently cannot have been transcribed yet."""
_UNPLAYED_LIMIT = 512


@dataclass(frozen=True, slots=True)
class Edge:
    """A moment of speech.

    Attributes:
        at: Pipeline time in nanoseconds.
        index: Index of the sample among those received on the speaker's track, if it is known;
            then the place of the sample counts, and not the clock.
    """

    at: int
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of text and whether it brings the spaces around it along."""

    text: str
    spaced: bool = False


def join(pieces: list[Words]) -> str:
    """Join pieces with single spaces, except where they bring their own."""
    text = ""
    for piece in pieces:
        text += piece.text if piece.spaced or not text else f" {piece.text.strip()}"
    return text.strip()


@dataclass(slots=True, eq=False)
class Floor:
    """A speaker's turn while it can still change."""

    role: Speaker
    start: Edge
    end: Edge | None = None
    pieces: list[Words] = field(default_factory=list)
    unheard: list[Words] = field(default_factory=list)
    speaking: bool = False
    audible: bool = False
    """Whether `start` was measured in the audio."""
    began_silently: bool = False
    """Whether words came first and no speech was announced yet."""
    open: bool = False
    closed: bool = False
    interrupted: bool = False
    user_id: str | None = None
    language: str | None = None

    @property
    def last(self) -> Edge:
        """The latest known moment of the turn."""
        return self.end or self.start


@dataclass(slots=True)
class _Unplayed:
    words: Words
    seconds: float


class Conversation:
    """The turns of one call; every verb is called in the order of time."""

    def __init__(self) -> None:
        self.turns: list[Floor] = []
        self._user: Floor | None = None
        self._bot: Floor | None = None
        self._speech_announced = False
        self._turns_announced = False
        self._unplayed: OrderedDict[int, _Unplayed] = OrderedDict()
        self._synthesized = 0.0
        self._played_until = 0

    def fork(self, open_turns: int) -> Conversation:
        """Return a copy that can go its own way; it shares all but the latest turns."""
        kept = self.turns[: max(0, len(self.turns) - open_turns)]
        shared = {id(turn): turn for turn in kept if turn not in (self._user, self._bot)}
        return copy.deepcopy(self, shared)

    # The user

    def user_started(self, edge: Edge) -> None:
        """Speech of the user became audible at `edge`."""
        self._speech_announced = True
        user = self._continued(edge)
        user.speaking = True

    def user_stopped(self, edge: Edge) -> None:
        """Speech of the user was audible until `edge`."""
        if self._user and self._user.speaking:
            self._user.speaking = False
            self._user.audible = True
            self._user.end = edge

    def turn_started(self, at: int) -> None:
        """The pipeline gave the floor to the user."""
        self._speech_announced = self._turns_announced = True
        self._continued(Edge(at)).open = True

    def turn_stopped(self, at: int) -> None:
        """The pipeline took the user's turn as finished."""
        user = self._user
        if user and user.open:
            user.open, user.closed = False, True
            if not user.audible:
                user.end = Edge(at)

    def user_said(self, words: Words, at: int, user_id: str | None, language: str | None) -> None:
        """A final transcription came."""
        if not words.text.strip():
            return
        user = self._speaker_of(at)
        user.pieces.append(words)
        user.user_id = user.user_id or user_id
        user.language = user.language or language

    def _continued(self, edge: Edge) -> Floor:
        """Return the user's turn that speech at `edge` belongs to."""
        user = self._user
        if user is None or user.closed:
            return self._open("user", edge)
        if user.open or user.speaking:
            return user
        if user.pieces and (not self._turns_announced or self._answered(user)):
            return self._open("user", edge)
        if not user.pieces and edge.at - user.last.at > RESUME_NS:
            self.turns.remove(user)  # a noise that nobody transcribed
            return self._open("user", edge)
        return user

    def _speaker_of(self, at: int) -> Floor:
        """Return the user's turn that a transcription at `at` belongs to."""
        if not self._speech_announced:
            return self._unannounced(at)
        user = self._user
        if user is None:
            return self._open("user", Edge(at), end=Edge(at))
        if user.speaking and not user.pieces and at - user.start.at <= FRESH_SPEECH_NS:
            earlier = [turn for turn in self.turns if turn.role == "user" and turn is not user]
            if earlier and at - earlier[-1].last.at <= LATE_WORDS_NS:
                return earlier[-1]
        if user.speaking or user.open or at - user.last.at <= LATE_WORDS_NS or not user.pieces:
            return user
        return self._open("user", Edge(at), end=Edge(at))

    def _unannounced(self, at: int) -> Floor:
        """Place words of a user whose speech no frame announces.

        Such a pipeline answers before the words are there: while the assistant speaks, they belong
        before its turn.
        """
        user, bot = self._user, self._bot
        if user and not self._answered(user) and at - user.last.at <= LATE_WORDS_NS:
            user.end = Edge(at)
            return user
        if (
            bot
            and bot.speaking
            and bot is not self.turns[0]
            and at - bot.start.at <= LATE_WORDS_NS
            and self.turns[self.turns.index(bot) - 1].role == "assistant"
        ):
            before = Floor("user", start=bot.start, end=bot.start)
            self.turns.insert(self.turns.index(bot), before)
            self._user = before
            return before
        return self._open("user", Edge(at), end=Edge(at))

    def _answered(self, user: Floor) -> bool:
        """Whether the assistant took the floor after this turn of the user."""
        return self._bot is not None and self.turns.index(self._bot) > self.turns.index(user)

    # The assistant

    def bot_started(self, at: int) -> None:
        """The assistant's speech was announced."""
        bot = self._bot
        if bot and bot.speaking:
            return
        if bot and self._goes_on(bot, at):
            if bot.began_silently:
                bot.start, bot.end, bot.began_silently = Edge(at), None, False
        else:
            bot = self._open("assistant", Edge(at))
        bot.speaking = True
        self._played_until = at

    def bot_onset(self, edge: Edge) -> None:
        """The first audible sample of the assistant's speech is at `edge`."""
        if self._bot and self._bot.speaking and not self._bot.audible:
            self._bot.start, self._bot.audible = edge, True

    def bot_offset(self, edge: Edge) -> None:
        """The last audible sample of the assistant's speech is at `edge`."""
        if self._bot:
            self._bot.end = edge

    def bot_stopped(self, at: int) -> None:
        """The end of the assistant's speech was announced."""
        if self._bot and self._bot.speaking:
            self._bot.speaking = False
            if not self._bot.audible or self._bot.end is None:
                self._bot.end = Edge(at)

    def bot_synthesized(self, seconds: float) -> None:
        """Audio of this length was made for the text that follows."""
        self._synthesized += seconds

    def bot_generated(self, key: int, words: Words) -> None:
        """Text was made into speech; it has not been played yet."""
        self._unplayed[key] = _Unplayed(words, self._synthesized)
        self._synthesized = 0.0
        if len(self._unplayed) > _UNPLAYED_LIMIT:
            self._unplayed.popitem(last=False)

    def bot_said(self, key: int, words: Words, at: int) -> None:
        """Text was played."""
        self._unplayed.pop(key, None)
        self._played_until = at
        if not words.text.strip():
            return
        bot = self._bot
        if not (bot and (bot.speaking or self._goes_on(bot, at))):
            bot = self._open("assistant", Edge(at))
            bot.began_silently = True
        if bot.began_silently:
            bot.end = Edge(at)
        bot.pieces.append(words)

    def interrupted(self, at: int) -> None:
        """Everything that waits to be played was dropped."""
        unplayed = [*self._unplayed.values()]
        self._unplayed.clear()
        self._synthesized = 0.0
        bot = self._bot
        if not (bot and bot.speaking):
            return
        bot.interrupted = True
        if not bot.audible:
            bot.end = Edge(at)
        if unplayed:
            heard, rest = _cut(unplayed[0], (at - self._played_until) / SECOND)
            bot.pieces += heard
            bot.unheard += [*rest, *(item.words for item in unplayed[1:])]

    def _goes_on(self, bot: Floor, at: int) -> bool:
        """Whether speech at `at` belongs to the turn that the assistant already has."""
        if bot.interrupted or at - bot.last.at > RESUME_NS:
            return False
        after = self.turns[self.turns.index(bot) + 1 :]
        return not any(turn.role == "user" and (turn.pieces or turn.open) for turn in after)

    def _open(self, role: Speaker, edge: Edge, end: Edge | None = None) -> Floor:
        turn = Floor(role, start=edge, end=end)
        self.turns.append(turn)
        if role == "user":
            self._user = turn
        else:
            self._bot = turn
        return turn


def _cut(item: _Unplayed, played: float) -> tuple[list[Words], list[Words]]:
    """Split text at the share of its audio that was played, between words."""
    text = item.words.text
    budget = len(text) * min(1.0, max(0.0, played) / item.seconds) if item.seconds else 0.0
    cut = 0
    for position, letter in enumerate(f"{text} "):
        if letter.isspace() and position <= budget:
            cut = position
    parts = text[:cut], text[cut:]
    heard, rest = ([Words(part, item.words.spaced)] if part.strip() else [] for part in parts)
    return heard, rest
