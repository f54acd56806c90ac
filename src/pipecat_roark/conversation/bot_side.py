"""The bot's half of a conversation: announced and audible speech, and its words, made into turns.

1. A turn holds the words that were played, in the order in which they were made.
2. A turn continues after a short pause, but not after an interruption or a turn of the user.
3. An edge that was found in the audio takes precedence over one that was announced.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from pipecat_roark.conversation.bot_turn import BotState, BotTurn
from pipecat_roark.conversation.history import History
from pipecat_roark.conversation.playback import Playback
from pipecat_roark.conversation.turn import RESUME_NS
from pipecat_roark.conversation.user_turn import UserTurn
from pipecat_roark.moments import Edge

if TYPE_CHECKING:
    from typing_extensions import Self

    from pipecat_roark.conversation.text import SpokenText
    from pipecat_roark.moments import Step


class BotSide(History):
    """The verbs of the bot's events."""

    def __init__(self) -> None:
        super().__init__()
        self._speech_was_announced = False
        self._played_at: int | None = None
        self.playback = Playback()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        playback = deepcopy(self.playback, memo)
        twin = super().__deepcopy__(memo)
        twin.playback = playback
        return twin

    def reached(self, step: Step, at: int, owner: str) -> None:
        """Note that a step on the way to the bot's speech was taken, and by whom."""
        self.mark(step, at, owner)

    def bot_started_speaking(self, at: int, voice: str | None, owner: str = "") -> None:
        """Note that the output announced speech of the bot; several voices may speak at once.

        Args:
            at: Pipeline time in nanoseconds.
            voice: The output's destination at which the bot speaks.
            owner: The output's name.
        """
        self.mark("speech announced", at, owner)
        self._speech_was_announced = True
        bot, speaks = self.bot, bool(self.voices)
        stop_lost = bot and voice in self.voices and self._user_spoke_since(bot)
        self.voices.add(voice)
        if speaks and bot and not bot.interrupted and not stop_lost:
            return
        self._played_at = None
        if bot and self._continues(bot, at):
            bot.speech_announced(at, self.take_marks())
        else:
            self.open_bot_turn(Edge(at))

    def bot_stopped_speaking(self, at: int, voice: str | None) -> None:
        """Note that the output announced the end of the bot's speech."""
        if self.bot and voice in self.voices:
            self.voices.remove(voice)
            self.bot.speech_stopped(self._played_at or at)
            self.mark("bot silent", at)

    def bot_onset(self, edge: Edge) -> None:
        """Note that the first audible sample of the bot's speech is at `edge`."""
        if self.bot and self.voices:
            self.bot.heard_from(edge)

    def bot_offset(self, edge: Edge) -> None:
        """Note that the last audible sample of the bot's speech is at `edge`."""
        if self.bot:
            self.bot.heard_until(edge)

    def tts_started(self) -> None:
        """Note that the speech service began an utterance."""
        self.playback.tts_started()

    def tts_stopped(self, seconds_made: float | None = None) -> None:
        """Note that the speech service made all of an utterance: so many seconds, if known."""
        self.playback.tts_stopped(seconds_made)

    def audio_made(self, seconds: float, at: int) -> None:
        """Note that the speech service made audio of this length, from `at` on."""
        self.playback.audio_made(seconds, at)

    def audio_played(self, seconds: float, at: int) -> None:
        """Note that the output played audio of this length, until `at`."""
        if self.voices:
            self.playback.audio_played(seconds, at)
            self._played_at = at

    def audio_streamed(self, seconds: float, at: int) -> None:
        """Note that the output played audio of a stream that never ends, silence included."""
        if self.voices:
            self.playback.audio_made(seconds, at)
            self.audio_played(seconds, at)

    def text_announced(self, text: str) -> None:
        """Note that a text is going to be made into speech."""
        self.playback.text_announced(text)

    def text_made(self, key: int, words: SpokenText) -> None:
        """Note that a text was made into speech; `key` names it when the output plays it."""
        self.playback.text_made(key, words)

    def text_played(self, key: int, words: SpokenText, at: int) -> None:
        """Note that the output released a text."""
        fragment = self.playback.text_played(key, words, at)
        if fragment is None or not words.text.strip():
            return
        bot = self.bot
        speaks = bot and self.voices and not bot.interrupted
        late = words.sounds_at is not None and not self.voices and self.playback.idle
        if not (bot and (speaks or self._continues(bot, at) or (late and not bot.interrupted))):
            bot = self.open_bot_turn(Edge(at), BotState.WORDS_ONLY)
        bot.say(fragment, at)

    def interrupted(self, at: int) -> None:
        """Note that the output dropped what it had not played yet, if that can be interrupted."""
        # Pipecat interrupts nothing but the output's default destination.
        bot = self.bot if None in self.voices else None
        dropped = self.playback.cut(at, speaks=bot is not None)
        if bot and (dropped or not self.playback.plays_on):
            bot.take(dropped)
            bot.interrupt()
            if self.playback.plays_on:
                self.open_bot_turn(Edge(at))

    def ended(self, at: int) -> None:
        """Note that the call ended; what the bot is saying is cut short."""
        bot = self.bot if None in self.voices else None
        dropped = self.playback.cut(at, speaks=bot is not None, ends=True)
        if bot:
            bot.take(dropped)

    def _continues(self, bot: BotTurn, at: int) -> bool:
        """Return whether speech at `at` belongs to the bot's latest turn."""
        pause = at - bot.last.at
        paused = self._speech_was_announced and not bot.words_only and pause > RESUME_NS
        if bot.interrupted or paused:
            return False
        return not self._user_spoke_since(bot)

    def _user_spoke_since(self, bot: BotTurn) -> bool:
        if self.typed_at is not None and self.typed_at > bot.start.at:
            return True
        return any(isinstance(turn, UserTurn) and turn.counts for turn in self.after(bot))
