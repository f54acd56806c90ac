"""Events on their way into a conversation: sorted by time, and each one harmless to the others.

Frames reach an observer late, and in another order than the recorder sees them. So events wait here
until enough later ones have come. A report reads the conversation as if all of them were applied.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pipecat_roark.conversation.checks import check, check_value
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.moments import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark.guard import ErrorBoundary

LATE_NS = 10 * SECOND
"""How late an event may come and still be applied in its turn. A callback is late by far less."""
INBOX_LIMIT = 512
"""How many events wait at most, however short the time is in which they come."""
_BATCH = 32
"""How many of the oldest events are applied together, as this copies the latest turns."""
_RECENT_NS = SECOND
"""How long ago an event is, at most, that each report applies anew; few come later than that."""
_ADDING: tuple[Callable[..., None], ...] = (
    Conversation.audio_made,
    Conversation.audio_played,
    Conversation.audio_streamed,
)
"""Verbs whose first argument is an amount: two such events in a row become one.

It is made from the time of the first one on, and played until the time of the second.
"""


@dataclass(slots=True, eq=False)
class _Event:
    kind: str
    at: int
    verb: Callable[..., None]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Inbox:
    """Takes the events of one call and applies them, in the order of time, to its conversation.

    An event with wrong arguments is refused. One that fails when it is applied is dropped, and the
    conversation is as if it had never come. Either is logged once, by the kind of the event.

    Args:
        boundary: Catches and logs errors.
    """

    def __init__(self, boundary: ErrorBoundary) -> None:
        self._boundary = boundary
        self._conversation = Conversation()
        self._events: list[_Event] = []
        self._known, self._count = self._conversation, 0
        """The conversation with so many of the waiting events, until an earlier one comes."""

    def add(
        self,
        kind: str,
        at: int,
        verb: Callable[..., None],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Add an event: `verb` is called with these arguments when its turn in time has come."""
        with self._boundary.reading(kind):
            check_value("at", at)
            check(verb, args, kwargs)
            place = len(self._events)
            if place and self._events[-1].at > at:
                place = bisect_right(self._events, at, key=attrgetter("at"))
            before = self._events[place - 1] if place else None
            if place <= self._count:
                self._known, self._count = self._conversation, 0
            if before and before.verb is verb and verb in _ADDING and not kwargs:
                # Audio comes fifty times a second.
                amount, rest = before.args[0] + args[0], before.args[1:]
                before.args = (amount, *(rest if verb is Conversation.audio_made else args[1:]))
            else:
                self._events.insert(place, _Event(kind, at, verb, args, kwargs))
        count = len(self._events)
        is_old = count >= _BATCH and self._events[-1].at - self._events[_BATCH - 1].at > LATE_NS
        if is_old or count > INBOX_LIMIT:
            batch = self._events[:_BATCH]
            self._conversation = self._applied(self._conversation, batch)
            del self._events[: len(batch)]
            self._count -= len(batch)
            if self._count < 0:
                self._known, self._count = self._conversation, 0

    def conversation(self) -> Conversation:
        """Return a copy of the conversation with all events applied."""
        if self._events:
            since = self._events[-1].at - _RECENT_NS
            known = bisect_right(self._events, since, self._count, key=attrgetter("at"))
            if events := self._events[self._count : known]:
                self._known = self._applied(self._known, events)
                self._count += len(events)
        return self._applied(self._known, self._events[self._count :])

    def settled(self, now: int) -> int:
        """Return how many of the first turns no event can change any more."""
        return self._conversation.settled(now)

    def _applied(self, before: Conversation, events: list[_Event]) -> Conversation:
        """Return a copy with events applied; one that fails leaves the list and the inbox."""
        while True:
            # An event that fails may have changed half of what it changes: begin again without it.
            conversation = before.fork()
            failed = next((one for one in events if not self._applies(one, conversation)), None)
            if failed is None:
                return conversation
            events.remove(failed)
            self._events.remove(failed)

    def _applies(self, event: _Event, conversation: Conversation) -> bool:
        with self._boundary.reading(event.kind):
            event.verb(conversation, *event.args, **event.kwargs)
            return True
        return False
