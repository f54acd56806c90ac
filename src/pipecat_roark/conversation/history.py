"""The turns of a call in their order, and what both speakers' halves ask about them."""

from __future__ import annotations

from copy import copy, deepcopy
from itertools import takewhile
from typing import TYPE_CHECKING

from pipecat_roark.conversation.bot_turn import BotState, BotTurn
from pipecat_roark.conversation.steps import Mark
from pipecat_roark.conversation.user_turn import LATE_WORDS_NS, UserTurn
from pipecat_roark.moments import SECOND

if TYPE_CHECKING:
    from typing_extensions import Self

    from pipecat_roark.conversation.steps import AnyStep
    from pipecat_roark.moments import Edge

_OPEN_TURNS = 8
"""Only so many of the latest turns can still change."""
_MOST_MARKS = 128
"""Only so many of the latest steps can have led to the bot's speech."""
_SETTLED_NS = 30 * SECOND
"""How long ago speech must be to have its place in the recording for good."""


class History:
    """The turns of one call, the latest turn of each speaker, and whether the bot speaks.

    Attributes:
        turns: All turns, in the order of their speech.
        user: The user's latest turn.
        bot: The bot's latest turn.
        voices: The destinations of the output at which the bot speaks now.
        typed_at: Pipeline time at which the user's client sent the latest message.
        marks: The latest steps on the way to the bot's next speech.
    """

    def __init__(self) -> None:
        self.turns: list[UserTurn | BotTurn] = []
        self.user: UserTurn | None = None
        self.bot: BotTurn | None = None
        self.voices: set[str | None] = set()
        self.typed_at: int | None = None
        self.marks: tuple[Mark, ...] = ()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        twin = copy(self)
        twin.turns = [*self.turns[:-_OPEN_TURNS], *deepcopy(self.turns[-_OPEN_TURNS:], memo)]
        for latest in (self.user, self.bot):
            if latest and id(latest) not in memo:
                twin.turns[self.turns.index(latest)] = deepcopy(latest, memo)
        twin.user, twin.bot = deepcopy(self.user, memo), deepcopy(self.bot, memo)
        twin.voices = {*self.voices}
        return twin

    def open_user_turn(self, start: Edge, end: Edge | None = None) -> UserTurn:
        """Open a turn of the user, which becomes the latest."""
        turn = UserTurn(start, end)
        self._add(turn)
        self.user = turn
        return turn

    def open_bot_turn(self, start: Edge, state: BotState = BotState.ANNOUNCED) -> BotTurn:
        """Open a turn of the bot, which becomes the latest."""
        turn = BotTurn(start, state=state, marks=self.take_marks())
        self._add(turn)
        self.bot = turn
        return turn

    def mark(self, step: AnyStep, at: int, owner: str = "") -> None:
        """Note a step on the way to the bot's next speech."""
        self.marks = (*self.marks, Mark(step, at, owner))[-_MOST_MARKS:]

    def take_marks(self) -> tuple[Mark, ...]:
        """Return the steps to speech that begins now; what comes leads to later speech."""
        marks, self.marks = self.marks, ()
        return marks

    def after(self, turn: UserTurn | BotTurn) -> list[UserTurn | BotTurn]:
        """Return the turns that follow a turn, the latest first."""
        return [*takewhile(lambda other: other is not turn, reversed(self.turns))]

    def answered(self, user: UserTurn) -> bool:
        """Return whether the bot's latest turn follows this turn of the user."""
        return self.bot in self.after(user)

    def user_turn_before(self, user: UserTurn) -> UserTurn | None:
        """Return the user's turn before the latest one, if it can still change."""
        recent = (turn for turn in reversed(self.turns[-_OPEN_TURNS:]) if turn is not user)
        return next((turn for turn in recent if isinstance(turn, UserTurn)), None)

    def move_before(self, user: UserTurn, bot: BotTurn) -> None:
        """Move the latest turn before the bot's turn, unless another turn of the user is there."""
        place = self.turns.index(bot)
        if place == 0 or isinstance(self.turns[place - 1], BotTurn):
            user.answer = bot
            self.turns.insert(place, self.turns.pop())

    def settled(self, now: int) -> int:
        """Return how many of the first turns cannot change any more, neither words nor times."""
        latest = [self.turns.index(turn) for turn in (self.user, self.bot) if turn]
        count = max(0, min([len(self.turns) - 2 * _OPEN_TURNS, *latest]))
        while count and now - self.turns[count - 1].last.at < _SETTLED_NS:
            count -= 1
        return count

    def open_since(self, now: int) -> int:
        """Return since when something may still change: late words take their time."""
        late = now - LATE_WORDS_NS
        turns = (turn for turn in self.turns[-_OPEN_TURNS:] if self.is_open(turn, now))
        return min([late, *(turn.earliest for turn in turns)])

    def is_open(self, turn: UserTurn | BotTurn, now: int) -> bool:
        """Return whether a turn may still change, because it goes on or late words may come."""
        if isinstance(turn, BotTurn):
            goes_on = turn is self.bot
        else:
            waits = turn is self.user and not (self.answered(turn) or turn.is_noise(now))
            goes_on = waits or turn.speaking or turn.has_floor
        return goes_on or now - turn.last.at <= LATE_WORDS_NS

    def _add(self, turn: UserTurn | BotTurn) -> None:
        now = turn.start.at
        if self.user:
            self.user.end_by(now)
        if self.bot and not self.voices:
            self.bot.end_by(now)
        recent = self.turns[-_OPEN_TURNS:]
        self.turns[-_OPEN_TURNS:] = [one for one in recent if not self._is_noise(one, now)]
        self.turns.append(turn)
        for past in self.turns[-_OPEN_TURNS - 1 : -_OPEN_TURNS]:
            past.compact()

    def _is_noise(self, turn: UserTurn | BotTurn, now: int) -> bool:
        return isinstance(turn, UserTurn) and turn is not self.user and turn.is_noise(now)
