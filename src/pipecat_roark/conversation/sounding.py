"""When text sounds: the moments at which its place in the made audio is played.

Words may be timed by their service, in pipeline time. Pipecat counts from the moment at which it
gets the first audio of an utterance, or from the last word before, and audio may still wait to be
played then. So such a time is made a place in the audio, as that of any other text is.
"""

from __future__ import annotations

from bisect import insort
from copy import copy, deepcopy
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from pipecat_roark.moments import SECOND

if TYPE_CHECKING:
    from typing_extensions import Self

    from pipecat_roark.conversation.text import Fragment

TAIL_SECS = 0.1
"""The last chunk may be missing from what was played; no word fits into so short a time."""
_EARLY_SECS = 0.05
"""How much earlier than its audio, as it is seen here, a word may be timed."""
_NEARLY_SECS = 0.001


class _Mark(NamedTuple):
    """Something to note in a fragment when a place in the audio is played.

    Attributes:
        due: The place that must be played first, in seconds of all made audio.
        place: The place.
        fragment: The fragment.
        char: Its character that sounds there.
        timed: Whether its service said so.
    """

    due: float
    place: float
    fragment: Fragment
    char: int
    timed: bool = False


class _Zero(NamedTuple):
    """What the times of words count from.

    Attributes:
        at: The pipeline time.
        place: The place in the audio that is meant.
    """

    at: int
    place: float

    def place_of(self, at: int) -> float:
        """Return the place that a pipeline time means."""
        return self.place + (at - self.at) / SECOND


class Sounding:
    """Notes in fragments when they sound, as their audio is played."""

    def __init__(self) -> None:
        self._marks: list[_Mark] = []
        self._early: list[Fragment] = []
        """Timed words of an utterance of which no audio came yet."""
        self._played, self._at = 0.0, 0
        """The latest moment at which it was known what is played."""
        self._begin = 0.0
        self._made_at: int | None = None
        self._last_word = 0
        self._zero: _Zero | None = None
        self._zero_before: _Zero | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        twin = copy(self)
        marks = [one._replace(fragment=deepcopy(one.fragment, memo)) for one in self._marks]
        vars(twin).update(_marks=marks, _early=[deepcopy(one, memo) for one in self._early])
        return twin

    def begins(self, place: float, played: float) -> None:
        """Note that an utterance begins behind all audio that was made, and how much was played."""
        self._played = played
        # Words that their service timed behind their audio never sound.
        self._marks = [mark for mark in self._marks if mark.place < place + _NEARLY_SECS]
        self._early.clear()
        self._begin, self._made_at = place, None
        self._zero_before, self._zero = self._zero or self._zero_before, None

    def made(self, at: int) -> None:
        """Note that audio of the utterance was made, at a pipeline time; the first counts."""
        if self._made_at is None:
            self._made_at = at
            for fragment in self._early:
                self.time(fragment)
            self._early.clear()

    def time(self, fragment: Fragment) -> None:
        """Find the place of a word that its service timed."""
        sounds_at = fragment.words.sounds_at or 0
        if self._made_at is None:
            self._early.append(fragment)
            return
        if self._zero is None:
            self._zero = self._found_zero(sounds_at, self._made_at)
        self._last_word = sounds_at
        self.mark(max(self._begin, self._zero.place_of(sounds_at)), fragment, timed=True)

    def mark(
        self, place: float, fragment: Fragment, *, ends: bool = False, timed: bool = False
    ) -> None:
        """Note a pipeline time when a place is played: where a text begins, or where it ends."""
        text = fragment.words.text
        char = len(text.rstrip()) if ends else len(text) - len(text.lstrip())
        due = place - TAIL_SECS if ends else place
        mark = _Mark(due, place, fragment, char, timed)
        if due + _NEARLY_SECS < self._played:
            self._note(mark)
        else:
            insort(self._marks, mark, key=attrgetter("due"))

    def expect_end(self, place: float, fragment: Fragment) -> None:
        """Note when a text would have ended that is cut short."""
        self._note(_Mark(place, place, fragment, len(fragment.words.text.rstrip())))

    def plays(self, played: float, at: int) -> None:
        """Note that so many seconds of the made audio were played at a pipeline time."""
        self._played, self._at = played, at
        while self._marks and self._marks[0].due + _NEARLY_SECS < played:
            self._note(self._marks.pop(0))

    def restart(self, at: int) -> None:
        """Count places anew from a pipeline time on."""
        self._marks.clear()
        self._early.clear()
        self._played, self._at = 0.0, at
        self._begin, self._made_at, self._zero, self._zero_before = 0.0, None, None, None

    def _note(self, mark: _Mark) -> None:
        at = self._at - round((self._played - mark.place) * SECOND)
        fragment = mark.fragment
        fragment.anchors = (*fragment.anchors, mark.char, at, mark.timed)

    def _found_zero(self, sounds_at: int, made_at: int) -> _Zero:
        """Return what the words of an utterance count from, given the time of its first word.

        Of what it may be, it is what puts that word nearest to the begin of the utterance.
        """
        usual = _Zero(made_at, self._begin)
        possible = [usual, _Zero(self._last_word, self._begin)]
        if self._zero_before:
            possible.append(self._zero_before)

        def delay(zero: _Zero) -> float:
            return zero.place_of(sounds_at) - self._begin

        return min(
            (zero for zero in possible if delay(zero) >= -_EARLY_SECS), key=delay, default=usual
        )
