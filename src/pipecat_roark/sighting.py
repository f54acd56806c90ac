"""Which sighting of a frame counts.

A frame is seen at every hop between two processors. Many frames are broadcast: then two of them,
one in each direction, say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from pipecat_roark import compat
from pipecat_roark.moments import SECOND

if TYPE_CHECKING:
    from pipecat.frames.frames import Frame

    from pipecat_roark.recording.listener import UserTrack

REMEMBERED = 4096
"""So many frames are remembered at least, far more than are on their way through a pipeline."""
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Sighting(NamedTuple):
    """How a frame was seen.

    Attributes:
        at: Pipeline time in nanoseconds.
        played: Whether the output transport has released the frame, or there is none.
        handed: Whether the frame is on its way into the output transport.
        source: The processor that pushed the frame; None if it was seen inline.
        track: Gives places on the user's track, if the recorder saw the frame inline.
    """

    at: int
    played: bool
    handed: bool = False
    source: object = None
    track: UserTrack | None = None

    @property
    def is_before_output(self) -> bool:
        """Whether it shows which processor pushed the frame on its way to the output."""
        return self.source is not None and not self.played


class Memory(dict[_Key, _Value]):
    """A dictionary that forgets its oldest entries when it is full: a call may go on for hours."""

    def __setitem__(self, key: _Key, value: _Value) -> None:
        dict.__setitem__(self, key, value)
        forget_oldest(self)


def forget_oldest(memory: dict[_Key, _Value]) -> None:
    """Forget the older half of a dictionary that is full.

    Many at once: a dictionary searches for its oldest entry among all that were deleted before.
    """
    if len(memory) > 2 * REMEMBERED:
        latest = [*memory.items()][-REMEMBERED:]
        memory.clear()
        memory.update(latest)


class Sightings:
    """The frames that were seen already."""

    def __init__(self) -> None:
        self._known: Memory[object, None] = Memory()
        self._released: Memory[int, int] = Memory()
        self._broadcasts: Memory[int, int] = Memory()
        self._unpaired: Memory[tuple[type, str, str], tuple[int, int | None]] = Memory()

    def is_first(self, frame: Frame) -> bool:
        """Return whether neither the frame nor the other one of its broadcast was seen before."""
        return self._is_new(compat.identity(frame))

    def has_seen(self, frame: Frame) -> bool:
        """Return whether the frame was first, or made, before."""
        return compat.identity(frame) in self._known

    def is_made(self, frame: Frame, seen: Sighting) -> bool:
        """Return whether speech counts as made by this sighting, if it can be interrupted.

        Pipecat interrupts nothing but the output's default destination.
        """
        return self.stage(frame, seen) == "made" and frame.transport_destination is None

    def stage(self, frame: Frame, seen: Sighting) -> Literal["made", "released"] | None:
        """Return what this sighting shows of speech, or None if an earlier one showed it.

        Speech is made when it is handed to the output transport: nobody ever hears what a processor
        drops before. A release may be seen inline before the hops that led there, because an
        observer lags.
        """
        key = compat.identity(frame)
        if seen.played and key not in self._released:
            self._released[key] = seen.at
            return "released"
        before_release = seen.at < self._released.get(key, seen.at + 1)
        if not seen.played and seen.handed and before_release and self._is_new(key):
            return "made"
        return None

    def is_first_of_tool(self, frame: Frame, at: int, call_id: str, content: str) -> bool:
        """Return whether a tool's frame was not seen before; see `tool_broadcast`."""
        return self._is_new(self.tool_broadcast(frame, at, call_id, content))

    def tool_broadcast(self, frame: Frame, at: int, call_id: str, content: str) -> int:
        """Return what the two frames of a tool's broadcast share.

        Frames that do not name each other are one broadcast if two that are alike come within a
        second; a third one is another.
        """
        if compat.names_sibling(frame):
            return compat.identity(frame)
        if frame.id not in self._broadcasts:
            key = type(frame), call_id, content
            first, before = self._unpaired.pop(key, (frame.id, None))
            if before is None or abs(at - before) > SECOND:
                first = frame.id
                self._unpaired[key] = (first, at)
            self._broadcasts[frame.id] = first
        return self._broadcasts[frame.id]

    def _is_new(self, key: object) -> bool:
        if key in self._known:
            return False
        self._known[key] = None
        return True
