"""Where another recorder lays the audio that reaches it, which is not always where the clock is.

Some recorders fill a gap between frames with silence, and others don't. One that does lays what is
said during a stall of the machine twice as long: first the silence, and then the frames that
waited, which it appends. What it hands out shows which kind it is.

Pure: no I/O, and time comes in as a value, in nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from pipecat_roark.moments import SECOND

if TYPE_CHECKING:
    from pipecat_roark.moments import Speaker

_GAP_NS = SECOND // 5
"""How long a gap is at least that is filled: Pipecat's figure, from 1.3.0 on."""
_STEP_NS = SECOND // 10
"""A smaller change is jitter, which a search for the sound bridges."""
_EVER = -(1 << 62)


class _Side:
    """How far a recorder has laid one speaker's audio, and how that compares with the clock."""

    def __init__(self) -> None:
        self.laid = 0
        """How long the track is."""
        self.until = 0
        """When it was made longer the last time."""
        self.spoke = 0
        """When its last frame arrived."""
        self.began = _EVER
        """Since when the audio was spoken that comes in a burst."""
        self.steps: list[tuple[int, int]] = []
        """From when on the clock differs from the track, and by how much."""

    def note(self, at: int) -> None:
        """Note the difference, if it is another than the last one."""
        ahead = self.laid - at
        if self.steps and abs(ahead - self.steps[-1][1]) < _STEP_NS:
            return
        while self.steps and self.steps[-1][0] >= self.began:
            del self.steps[-1]
        self.steps.append((self.began, ahead))


class Laying:
    """Lays audio as a recorder does that fills gaps, or as one that doesn't.

    Args:
        fills: Whether it fills them.
    """

    def __init__(self, *, fills: bool) -> None:
        self.error = 0
        """By how much the recorder turned out to differ from this one, in total."""
        self._fills = fills
        self._sides: dict[Speaker, _Side] = {"user": _Side(), "bot": _Side()}

    def add_frame(self, speaker: Speaker, at: int, length: int) -> None:
        """Lay the audio of a speaker that arrives, which has a length."""
        side = self._sides[speaker]
        gap = at - side.until - length
        if not side.steps:
            pass
        elif gap > _GAP_NS:
            side.laid += gap if self._fills else 0
            side.began = at - length - gap
        elif gap > -length // 2:
            side.began = at - length
        side.until = side.spoke = at
        for other in self._sides.values():
            if other.laid < side.laid and at - other.spoke > _GAP_NS:
                other.laid, other.until = side.laid, at
        side.laid += length
        side.note(at)

    def hand_out(self, length: int) -> None:
        """Note how long both tracks are that were handed out, some frames ago at most."""
        self.error += abs(max(side.laid for side in self._sides.values()) - length)
        for side in self._sides.values():
            side.laid = max(side.laid, length)

    def ahead(self, speaker: Speaker, at: int) -> int:
        """Return by how much the track of a speaker is longer than the clock says of a moment.

        The clock counts from the time 0.
        """
        steps = self._sides[speaker].steps
        found = bisect_right(steps, (at, 1 << 62)) - 1
        return steps[found][1] if found >= 0 else 0
