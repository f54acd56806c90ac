"""Who holds the floor: speech and words in the order in which they happened, made into turns.

The rules:

1. A turn is one speaker's words until the other's turn. It exists in the result only with words.
2. A user's turn opens with speech and closes with the pipeline's turn frames where there are any;
   without them, speech after a finished utterance opens the next. A muted user opens none.
3. A transcription belongs to the user's latest turn whose speech it can be: not to speech that only
   just began, and not to speech that ended long ago and has its words. It may also be what made the
   pipeline give the user the floor, a moment later.
4. An assistant's turn holds the words that were played, in the order in which they were made. It
   goes on after a short pause, and not after an interruption or a turn of the user.
5. An interruption cuts what is being said, and only if something is being said; so does the end of
   the call. `Playback` tells which words were heard by then.
6. Edges are of audible speech, so a detector's delay is taken out before they get here. An edge
   that was heard in the audio counts before one that was announced.

Pure and in order: `CallState` sorts what comes late. Times are pipeline nanoseconds.
"""

from __future__ import annotations

import copy
from bisect import insort
from dataclasses import dataclass, field
from itertools import takewhile
from operator import attrgetter
from typing import TYPE_CHECKING

from pipecat_roark.conversation.playback import Fragment, Playback, SpokenText, heard, unheard
from pipecat_roark.moments import SECOND, Edge

if TYPE_CHECKING:
    from pipecat_roark.moments import Speaker

RESUME_NS = 3 * SECOND // 2
"""An assistant that pauses for no longer than this goes on with its turn."""
LATE_WORDS_NS = 5 * SECOND
"""How long after its speech a transcription may come and still belong to it."""
FRESH_SPEECH_NS = 3 * SECOND // 10
"""Speech that began this recently cannot have been transcribed yet."""
PROMPT_NS = SECOND // 10
"""Words that make the pipeline give the user the floor come no earlier than this."""
_OPEN_TURNS = 8
"""Only the latest turns still change."""
_RECENT_FRAGMENTS = 64
"""Among so many a word is looked for that was sent twice."""


@dataclass(slots=True, eq=False)
class Floor:
    """A speaker's turn while it can still change."""

    role: Speaker
    start: Edge
    end: Edge | None = None
    fragments: list[Fragment] = field(default_factory=list)
    audible: bool = False
    """Whether its speech was noticed in the audio, rather than announced."""
    speaking: bool = False
    """Of a user: whether speech goes on."""
    open: bool = False
    """Of a user: whether the pipeline has given the floor and not taken it back."""
    closed_at: int | None = None
    """Of a user: when the pipeline took it back."""
    said_at: int = 0
    """Of a user: when the latest words came."""
    answer: Floor | None = None
    """Of a user: the turn that answers it, where nothing tells when it was spoken."""
    user_id: str | None = None
    language: str | None = None
    silent: bool = False
    """Of an assistant: whether words came first and no speech was announced yet."""
    interrupted: bool = False

    @property
    def last(self) -> Edge:
        """The latest known moment of the turn."""
        return self.end or self.start

    def say(self, fragment: Fragment) -> None:
        """Take a fragment at its place; one that was sent twice counts once."""
        if not any(fragment.repeats(other) for other in self.fragments[-_RECENT_FRAGMENTS:]):
            insort(self.fragments, fragment, key=attrgetter("number"))

    def settle(self) -> None:
        """Keep the text, and no longer where every fragment of it came from."""
        said, unsaid = SpokenText(heard(self.fragments)), SpokenText(unheard(self.fragments))
        self.fragments = [Fragment(said), Fragment(unsaid, cut=0)] if self.fragments else []


class Conversation:
    """The turns of one call; every verb is called in the order of time."""

    def __init__(self) -> None:
        self.turns: list[Floor] = []
        self._user: Floor | None = None
        self._bot: Floor | None = None
        self._speech_announced = False
        self._turns_announced = False
        self._bot_announced = False
        self._muted = False
        self._voices: set[str | None] = set()
        self._played_at: int | None = None
        self._playback = Playback()

    def fork(self) -> Conversation:
        """Return a copy that can go its own way; it shares the turns that change no more."""
        latest = {id(self._user), id(self._bot)}
        settled = (turn for turn in self.turns[:-_OPEN_TURNS] if id(turn) not in latest)
        return copy.deepcopy(self, {id(turn): turn for turn in settled})

    # The user

    def user_started(self, edge: Edge) -> None:
        """Speech of the user became audible at `edge`."""
        if not self._muted:
            self._speech_announced = True
            self._continued(edge).speaking = True

    def user_stopped(self, edge: Edge) -> None:
        """Speech of the user was audible until `edge`."""
        user = self._user
        if user and (user.speaking or user.open):
            user.speaking, user.audible, user.end = False, True, edge

    def user_muted(self) -> None:
        """The pipeline began to ignore the user."""
        self._muted = True

    def user_unmuted(self) -> None:
        """The pipeline listens to the user again."""
        self._muted = False

    def turn_started(self, at: int) -> None:
        """The pipeline gave the floor to the user."""
        if self._muted:
            return
        self._speech_announced = self._turns_announced = True
        before, user = self._user, self._continued(Edge(at))
        user.open = True
        if before and before is not user and self._prompted(before, at):
            user.fragments.append(before.fragments.pop())
            user.said_at, user.user_id, user.language = at, before.user_id, before.language

    def turn_stopped(self, at: int) -> None:
        """The pipeline took the user's turn as finished."""
        user = self._user
        if user and user.open:
            user.open, user.closed_at = False, at
            if not user.audible:
                user.end = Edge(at)

    def user_said(
        self, words: SpokenText, at: int, user_id: str | None, language: str | None
    ) -> None:
        """A final transcription came."""
        if not words.text.strip() or (self._muted and not self._awaits_words(at)):
            return
        user = self._speaker_of(at)
        user.fragments.append(Fragment(words))
        user.said_at = at
        user.user_id = user.user_id or user_id
        user.language = user.language or language

    @staticmethod
    def _prompted(before: Floor, at: int) -> bool:
        """Whether the latest words are what made the pipeline give the user the floor at `at`."""
        late = before.closed_at is not None and before.said_at > before.closed_at
        misplaced = bool(before.answer) or (late and len(before.fragments) > 1)
        return misplaced and at - before.said_at <= PROMPT_NS

    def _continued(self, edge: Edge) -> Floor:
        """Return the user's turn that speech at `edge` belongs to."""
        user = self._user
        if user is None or user.closed_at is not None:
            return self._open("user", edge)
        if user.open or (user.speaking and not self._answered(user)):
            return user
        expected = self._turns_announced if user.fragments else edge.at - user.last.at <= RESUME_NS
        return user if expected and not self._answered(user) else self._open("user", edge)

    def _awaits_words(self, at: int) -> bool:
        """Whether the user's latest turn is still to get words."""
        user = self._user
        if user is None or at - user.last.at > LATE_WORDS_NS:
            return False
        return user.open or user.speaking or not user.fragments

    def _speaker_of(self, at: int) -> Floor:
        """Return the user's turn that a transcription at `at` belongs to."""
        user = self._user
        if user is None or not self._speech_announced:
            return self._unannounced(at)
        if before := self._waits_before(user, at):
            return before
        goes_on = user.open or (user.speaking and user.closed_at is None)
        if goes_on or not user.fragments or at - user.last.at <= LATE_WORDS_NS:
            return user
        return self._open("user", Edge(at), end=Edge(at))

    def _unannounced(self, at: int) -> Floor:
        """Place words of a user whose speech no frame announces.

        Such a pipeline answers before the words are there: while the assistant speaks, they belong
        before its turn, unless a turn of the user stands there.
        """
        user, bot = self._user, self._bot
        if user and not self._answered(user) and at - user.last.at <= LATE_WORDS_NS:
            user.end = Edge(at)
            return user
        begun = bot and self._voices and not bot.interrupted and at - bot.start.at <= LATE_WORDS_NS
        if user and begun and user.answer is bot:
            return user
        turn = self._open("user", Edge(at), end=Edge(at))
        if bot and begun:
            place = self.turns.index(bot)
            if place == 0 or self.turns[place - 1].role == "bot":
                turn.answer = bot
                self.turns.insert(place, self.turns.pop())
        return turn

    def _waits_before(self, user: Floor, at: int) -> Floor | None:
        """Return the turn before, if words that come now are its own: the speech is too fresh."""
        speaks = (user.open or user.speaking) and not user.fragments
        if not speaks or at - user.start.at > FRESH_SPEECH_NS:
            return None
        recent = (turn for turn in reversed(self.turns[-_OPEN_TURNS:]) if turn is not user)
        before = next((turn for turn in recent if turn.role == "user"), None)
        if before is None or at - before.last.at > LATE_WORDS_NS:
            return None
        # It waits for words, or for more of them as long as it has no answer.
        waits = not before.fragments or (user.speaking and not self._answered(before))
        return before if waits else None

    def _answered(self, user: Floor) -> bool:
        """Whether the assistant took the floor after this turn of the user."""
        return self._bot in self._after(user)

    # The assistant

    def bot_started(self, at: int, voice: str | None = None) -> None:
        """The assistant's speech was announced; several voices may speak at once."""
        self._bot_announced = True
        bot, speaks = self._bot, bool(self._voices)
        self._voices.add(voice)
        if speaks and bot and not bot.interrupted:
            return
        self._played_at = None
        if not (bot and self._goes_on(bot, at)):
            self._open("bot", Edge(at))
        elif bot.silent:
            bot.start, bot.end, bot.silent = Edge(at), None, False

    def bot_onset(self, edge: Edge) -> None:
        """The first audible sample of the assistant's speech is at `edge`."""
        if self._bot and self._voices and not self._bot.audible:
            self._bot.start, self._bot.audible = edge, True

    def bot_offset(self, edge: Edge) -> None:
        """The last audible sample of the assistant's speech is at `edge`."""
        if self._bot:
            self._bot.end = edge

    def bot_stopped(self, at: int, voice: str | None = None) -> None:
        """The end of the assistant's speech was announced."""
        if voice not in self._voices:
            return
        self._voices.remove(voice)
        if self._bot and (self._bot.end is None or not self._bot.audible):
            self._bot.end = Edge(self._played_at or at)

    def bot_opened(self) -> None:
        """The speech service began an utterance."""
        self._playback.opened()

    def bot_closed(self) -> None:
        """The speech service made all of an utterance."""
        self._playback.closed()

    def bot_synthesized(self, seconds: float) -> None:
        """Audio was made."""
        self._playback.synthesized(seconds)

    def bot_played(self, seconds: float, at: int) -> None:
        """Audio was played, until `at`."""
        if self._voices:
            self._playback.played(seconds)
            self._played_at = at

    def bot_announced(self, text: str) -> None:
        """Text is about to be made into speech."""
        self._playback.announced(text)

    def bot_generated(self, key: int, words: SpokenText) -> None:
        """Text was made into speech; it has not been played yet."""
        self._playback.generated(key, words)

    def bot_said(self, key: int, words: SpokenText, at: int) -> None:
        """Text left the output."""
        fragment = self._playback.released(key, words)
        if fragment is None or not words.text.strip():
            return
        bot = self._bot
        if not (bot and (self._voices or self._goes_on(bot, at))):
            bot = self._open("bot", Edge(at))
            bot.silent = True
        if bot.silent:
            bot.end = Edge(at)
        bot.say(fragment)

    def interrupted(self, at: int) -> None:
        """Everything that waits to be played was dropped."""
        if self._stop(at) and self._bot:
            self._bot.interrupted = True

    def ended(self, at: int) -> None:
        """The call is over, and whatever is being said stops short."""
        self._stop(at)

    def _stop(self, at: int) -> bool:
        """Cut what the assistant is saying; return whether it is saying something."""
        # Pipecat interrupts nothing but the output's default destination.
        speaks = None in self._voices
        dropped = self._playback.stop(at, keep=speaks)
        if speaks and self._bot:
            for fragment in dropped:
                self._bot.say(fragment)
        return speaks

    def _goes_on(self, bot: Floor, at: int) -> bool:
        """Whether speech at `at` belongs to the turn that the assistant already has."""
        paused = self._bot_announced and not bot.silent and at - bot.last.at > RESUME_NS
        if bot.interrupted or paused:
            return False
        users = [turn for turn in self._after(bot) if turn.role == "user"]
        return not any(t.fragments or t.open or t.closed_at is not None for t in users)

    # Turns

    def _after(self, turn: Floor) -> list[Floor]:
        return [*takewhile(lambda other: other is not turn, reversed(self.turns))]

    def _open(self, role: Speaker, edge: Edge, end: Edge | None = None) -> Floor:
        """Give the floor to a speaker; speech whose end nobody told of is over by now."""
        for before in (self._user, None if self._voices else self._bot):
            if before and before.end is None:
                before.end = Edge(edge.at)
        turn = Floor(role, start=edge, end=end)
        recent = self.turns[-_OPEN_TURNS:]
        self.turns[-_OPEN_TURNS:] = [t for t in recent if not self._is_noise(t, edge.at)]
        self.turns.append(turn)
        for past in self.turns[-_OPEN_TURNS - 1 : -_OPEN_TURNS]:
            past.settle()
        if role == "user":
            self._user = turn
        else:
            self._bot = turn
        return turn

    def _is_noise(self, turn: Floor, now: int) -> bool:
        """Whether this was a sound of the user that nobody is going to transcribe any more."""
        if turn.role == "bot" or turn is self._user or turn.fragments:
            return False
        return now - turn.last.at > LATE_WORDS_NS
