"""A turn of the bot, while it can still change.

It may begin with words, with an announcement of speech, or with both. Later its speech may be found
in the audio. `_TRANSITIONS` shows the order.
"""

from __future__ import annotations

from bisect import insort
from copy import copy, deepcopy
from dataclasses import dataclass, field
from enum import Enum, auto
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar, Literal

from pipecat_roark.conversation.text import Fragment, SpokenText, heard, unheard
from pipecat_roark.conversation.turn import SpeakerTurn
from pipecat_roark.conversation.words import anchors
from pipecat_roark.moments import Edge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

    from pipecat_roark.conversation.steps import Mark
    from pipecat_roark.moments import Speaker

_RECENT_FRAGMENTS = 64
"""How far back a word is compared with new ones, as some services send a word twice."""


class BotState(Enum):
    """What is known of the bot's speech in a turn."""

    WORDS_ONLY = auto()
    ANNOUNCED = auto()
    AUDIBLE = auto()


_Event = Literal["announced", "found in the audio"]
_TRANSITIONS: dict[BotState, dict[_Event, BotState]] = {
    BotState.WORDS_ONLY: {"announced": BotState.ANNOUNCED},
    BotState.ANNOUNCED: {"found in the audio": BotState.AUDIBLE},
    BotState.AUDIBLE: {},
}
"""The next state after an event; an event that is not listed changes nothing."""


@dataclass(slots=True, eq=False)
class BotTurn(SpeakerTurn):
    """A turn of the bot.

    Attributes:
        state: What is known of its speech.
        interrupted: Whether the user cut it short.
        fragments: Its words.
        marks: The steps that came before it.
    """

    role: ClassVar[Speaker] = "bot"
    state: BotState = BotState.ANNOUNCED
    interrupted: bool = False
    fragments: list[Fragment] = field(default_factory=list)
    marks: tuple[Mark, ...] = ()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        twin = copy(self)
        # Only fragments on their way to the listener can change; the playback has copied those.
        twin.fragments = [deepcopy(one, memo) if id(one) in memo else one for one in self.fragments]
        return twin

    @property
    def audible(self) -> bool:
        """Whether its speech was found in the audio."""
        return self.state is BotState.AUDIBLE

    @property
    def words_only(self) -> bool:
        """Whether it has words and no speech was announced yet."""
        return self.state is BotState.WORDS_ONLY

    def speech_announced(self, at: int, marks: tuple[Mark, ...] = ()) -> None:
        """Note that speech was announced at `at`, behind further steps.

        Earlier words alone do not tell the start.
        """
        if self.words_only:
            self.start, self.end, self.marks = Edge(at), None, self.marks + marks
            self._change("announced")

    def heard_from(self, edge: Edge) -> None:
        """Note that its speech is audible from `edge`; only the first such edge counts."""
        if self.state is BotState.ANNOUNCED:
            self.start = edge
            self._change("found in the audio")

    def heard_until(self, edge: Edge) -> None:
        """Note that its speech was audible until `edge`."""
        self.end = edge

    def speech_stopped(self, at: int) -> None:
        """Note that the end of its speech was announced; the audio takes precedence over it."""
        if self.end is None or not self.audible:
            self.end = Edge(at)

    def take(self, fragments: Iterable[Fragment]) -> None:
        """Add fragments that were dropped while it was spoken."""
        for fragment in fragments:
            self.say(fragment)

    def say(self, fragment: Fragment, at: int | None = None) -> None:
        """Add a fragment at its place; one that was sent twice is added once."""
        if self.words_only and at is not None:
            self.end = Edge(at)
        if not any(fragment.repeats(other) for other in self.fragments[-_RECENT_FRAGMENTS:]):
            insort(self.fragments, fragment, key=attrgetter("number"))

    def compact(self) -> None:
        """Keep the text, and forget how it was composed."""
        said, unsaid = SpokenText(heard(self.fragments)), SpokenText(unheard(self.fragments))
        whole = Fragment(said, anchors=anchors(self.fragments))
        self.fragments = [whole, Fragment(unsaid, cut=0)] if self.fragments else []

    def interrupt(self) -> None:
        """Note that the user cut it short."""
        self.interrupted = True

    def _change(self, event: _Event) -> None:
        self.state = _TRANSITIONS[self.state].get(event, self.state)
