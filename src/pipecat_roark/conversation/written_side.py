"""The written half of a conversation: messages of a call in which one side does not speak.

A text-only bot writes what it would have said, and a user may type. But in a call that is spoken,
written text is mostly something else: what a speech service reads, or what an application tells the
model in the user's name. So the bot's messages are only in the report if the bot never spoke, and
the user's if nobody did. What the user's client sent is in it always, and so are answers to that
which no service was to speak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipecat_roark.conversation.bot_turn import BotTurn
from pipecat_roark.conversation.history import History

if TYPE_CHECKING:
    from typing_extensions import Self

    from pipecat_roark.moments import Speaker


class Message(NamedTuple):
    """A written message.

    Attributes:
        speaker: Who wrote it.
        text: The text.
        at: Pipeline time at which it began.
        end: Pipeline time at which its last piece came.
        open: Whether more of it may come.
        certain: Whether it stands for speech in any call.
    """

    speaker: Speaker
    text: str
    at: int
    end: int
    open: bool = False
    certain: bool = False


class WrittenSide(History):
    """The verbs of written text."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: list[Message] = []

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        twin = super().__deepcopy__(memo)
        vars(twin).update(_messages=[*self._messages])
        return twin

    def user_typed(self, text: str, at: int) -> None:
        """Note a message that the user's client sent."""
        self.typed_at = at
        self._messages.append(Message("user", text.strip(), at, at, certain=True))

    def user_wrote(self, text: str, at: int) -> None:
        """Note a message in the user's name, of the user or of the application."""
        self._messages.append(Message("user", text.strip(), at, at))

    def bot_wrote(self, text: str, at: int, *, silent: bool) -> None:
        """Note a piece of text that the bot wrote.

        Args:
            text: The piece, which contains its spaces.
            at: Pipeline time in nanoseconds.
            silent: Whether no speech service is to speak it.
        """
        last = self._messages[-1] if self._messages else None
        if last and last.open:
            self._messages[-1] = last._replace(text=last.text + text, end=at)
        else:
            answers = silent and last is not None and last.certain
            self._messages.append(Message("bot", text, at, at, open=True, certain=answers))

    def bot_finished_writing(self) -> None:
        """Note that the bot's message is complete."""
        if self._messages:
            self._messages[-1] = self._messages[-1]._replace(open=False)

    def written(self) -> list[Message]:
        """Return the messages that stand for speech."""
        bot_spoke = any(isinstance(turn, BotTurn) for turn in self.turns)
        user_spoke = any(turn.fragments for turn in self.turns)
        spoke = {"bot": bot_spoke, "user": bot_spoke or user_spoke}
        messages = (one for one in self._messages if one.text.strip())
        return [one for one in messages if one.certain or not spoke[one.speaker]]
