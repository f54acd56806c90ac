"""The opening of a track: audio that waited in a socket before anybody read it.

Pure: delays are in samples of the track, and time comes in as a value.
"""

from __future__ import annotations


class Opening:
    """The time in which a track's first audio can still turn out to be older than it seems.

    Frames that waited are read faster than real time, so the later ones are less delayed. The
    smallest delay shows when the first one was spoken.

    Args:
        lasts_ns: How long it lasts from the first frame on, in nanoseconds.
        jitter: Delays that differ by no more than this are the same.
    """

    def __init__(self, lasts_ns: int, jitter: float) -> None:
        self._lasts_ns = lasts_ns
        self._jitter = jitter
        self._until: int | None = None
        self._least = 0.0

    def includes(self, at: int) -> bool:
        """Return whether a moment lies in it; it begins with the first frame."""
        return self._until is not None and at < self._until

    def may_include(self, at: int) -> bool:
        """Return whether a moment lies in it, or before it."""
        return self._until is None or at < self._until

    def note(self, at: int, lag: float) -> bool:
        """Note the delay of a frame that arrives; return whether the opening still lasts."""
        if self._until is None:
            self._until = at + self._lasts_ns
        if not self.includes(at):
            return False
        self._least = min(self._least, lag)
        return True

    def close(self) -> None:
        """End it, because audio that was handed out can't be moved."""
        self._until, self._least = 0, 0.0

    def early(self) -> int:
        """Return by how many samples the audio began before it seemed to."""
        return int(-self._least) if -self._least > self._jitter else 0

    def move(self, count: int) -> None:
        """Count from an origin that is `count` samples earlier."""
        self._least += count
