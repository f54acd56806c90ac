"""The user's half of a conversation: speech and transcriptions, made into turns.

1. A turn opens with speech and closes with the pipeline's turn frames, if there are any. Without
   them, speech after a finished utterance opens the next turn. Speech after an answer opens one in
   any case, as the frame that closes a turn may be lost. A muted user opens none.
2. A transcription belongs to the latest turn whose speech it can be: not to speech that only just
   began, and not to speech that ended long ago and has its words. A turn that has an answer and no
   words yet takes precedence over one that began after the answer. A transcription may also be
   what made the pipeline give the user the floor, a moment later.
3. Some pipelines do not tell when the user speaks. There, words that come while the bot speaks
   belong before its turn, unless a turn of the user stands there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.conversation.history import History
from pipecat_roark.conversation.turn import RESUME_NS
from pipecat_roark.conversation.user_turn import LATE_WORDS_NS, Transcription
from pipecat_roark.moments import Edge

if TYPE_CHECKING:
    from typing_extensions import Self

    from pipecat_roark.conversation.text import SpokenText
    from pipecat_roark.conversation.user_turn import UserTurn

_MOST_USERS = 64
"""So many users may speak at the same time."""


class UserSide(History):
    """The verbs of the user's events."""

    def __init__(self) -> None:
        super().__init__()
        self._speech_announced = False
        self._floor_announced = False
        self._muted = False
        self._begun: dict[str | None, int] = {}
        """When each user began what is not transcribed for good yet."""

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        twin = super().__deepcopy__(memo)
        vars(twin).update(_begun={**self._begun})
        return twin

    def user_started_speaking(self, edge: Edge) -> None:
        """Note that speech of the user became audible at `edge`."""
        if not self._muted:
            self._speech_announced = True
            self._turn_of_speech(edge).speech_started()

    def user_stopped_speaking(self, edge: Edge, at: int | None = None) -> None:
        """Note that speech of the user was audible until `edge`, as a detector found out `at`."""
        self.mark("silence begun", edge.at)
        self.mark("silence detected", edge.at if at is None else at)
        if self.user:
            self.user.speech_stopped(edge)

    def user_turn_started(self, at: int) -> None:
        """Note that the pipeline gave the user the floor."""
        if self._muted:
            return
        self._speech_announced = self._floor_announced = True
        before, user = self.user, self._turn_of_speech(Edge(at))
        user.floor_given()
        if before and before is not user and before.prompted(at):
            user.take_last_words(before)

    def user_turn_stopped(self, at: int) -> None:
        """Note that the pipeline took the user's turn as finished."""
        self.mark("floor taken", at)
        if self.user:
            self.user.floor_taken(at)

    def user_muted(self) -> None:
        """Note that the pipeline began to ignore the user."""
        self._muted = True

    def user_unmuted(self) -> None:
        """Note that the pipeline listens to the user again."""
        self._muted = False

    def user_is_saying(self, at: int, user_id: str | None) -> None:
        """Note an interim transcription: it shows who began to speak first."""
        self._begun.setdefault(user_id, at)
        if len(self._begun) > _MOST_USERS:
            del self._begun[next(iter(self._begun))]

    def user_said(
        self,
        words: SpokenText,
        at: int,
        user_id: str | None,
        language: str | None,
        owner: str = "",
    ) -> None:
        """Note a final transcription.

        Args:
            words: Its words.
            at: Pipeline time in nanoseconds.
            user_id: The user's id, if known.
            language: The language (BCP-47), if known.
            owner: Name of the recognizer.
        """
        self.mark("transcribed", at, owner)
        begun_at = self._begun.pop(user_id, at)
        expected = not self._muted or (self.user is not None and self.user.expects_words(at))
        if words.text.strip() and expected:
            said = Transcription(
                words, at=at, begun_at=begun_at, user_id=user_id, language=language
            )
            self._turn_of_words(at).say(said)

    def _turn_of_speech(self, edge: Edge) -> UserTurn:
        """Return the user's turn that speech at `edge` belongs to."""
        user = self.user
        if user is None or user.closed or self._is_done(user):
            return self.open_user_turn(edge)
        if user.has_floor or (user.speaking and not self.answered(user)):
            return user
        continues = self._floor_announced if user.fragments else edge.at - user.last.at <= RESUME_NS
        return user if continues and not self.answered(user) else self.open_user_turn(edge)

    def _turn_of_words(self, at: int) -> UserTurn:
        """Return the user's turn that a transcription at `at` belongs to."""
        user = self.user
        if user is None or not self._speech_announced:
            return self._turn_of_unannounced_words(at)
        if before := self._turn_that_waits(user, at):
            return before
        continues = user.has_floor or (user.speaking and not user.closed)
        if (
            (continues and not self._is_done(user))
            or not user.fragments
            or at - user.last.at <= LATE_WORDS_NS
        ):
            return user
        return self.open_user_turn(Edge(at), Edge(at))

    def _is_done(self, user: UserTurn) -> bool:
        """Return whether a turn was answered, though its end may never have been announced."""
        return bool(user.fragments) and self.answered(user)

    def _turn_of_unannounced_words(self, at: int) -> UserTurn:
        """Return the turn of words of a user whose speech no frame announces."""
        user, bot = self.user, self.bot
        if user and not self.answered(user) and at - user.last.at <= LATE_WORDS_NS:
            user.end = Edge(at)
            return user
        begun = bot and self.voices and not bot.interrupted and at - bot.start.at <= LATE_WORDS_NS
        if user and begun and user.answer is bot:
            return user
        turn = self.open_user_turn(Edge(at), Edge(at))
        if bot and begun:
            self.move_before(turn, bot)
        return turn

    def _turn_that_waits(self, user: UserTurn, at: int) -> UserTurn | None:
        """Return the turn before, if words that come now are late words of it."""
        before = None if user.fragments else self.user_turn_before(user)
        if before is None or at - before.last.at > LATE_WORDS_NS:
            return None
        answered, fresh = self.answered(before), user.is_fresh(at)
        if not before.fragments:
            # Words come in the order of speech, and a turn that was answered had some.
            waits = fresh or (answered and user.is_young(at) and before.is_speech)
        elif answered:
            waits = before.awaits_segment(at)
        else:
            waits = fresh and user.speaking
        return before if waits else None
