"""Where speech can be heard in samples. Numbers in, numbers out.

A detector of speech says *that* somebody speaks, some time after the first sound: it wants to be
sure. The sound itself tells where it began and ended.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipecat_roark.moments import Frames

    Samples = NDArray[np.int16]

AUDIBLE = 100
"""Amplitude from which a 16-bit sample counts as heard: -50 dB of full scale."""
WINDOW_SECS = 0.01
"""Loudness is taken over stretches of this length, so an edge may err by as much."""
PAUSE_SECS = 0.15
"""A silence up to this long lies inside a word, and not before or after it."""
REACH_SECS = 0.6
"""How far a detector's announcement may be from the sound."""
KEPT_SECS = 2.5
"""How much of a track is remembered: a detector's delay, and the reach around it."""
_QUIETEST = 5
"""Percentile of the loudness that counts as the line's noise."""
_ABOVE_NOISE = 3.0
"""Speech is so many times louder than the noise ..."""
_OF_PEAK = 0.03, 0.25
"""... but its threshold is no smaller and no larger a part of its own peak."""


def audible(samples: Samples) -> NDArray[np.intp]:
    """Return the places of the samples that can be heard at all."""
    return np.flatnonzero(_level(samples) >= AUDIBLE)


class RecentAudio:
    """The latest audio of one track, to find the edges of speech in.

    Args:
        rate: Sample rate of the track in Hz, at which its indexes count.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._source_rate = rate
        self._parts: deque[tuple[int, bytes]] = deque()

    def add(self, frames: Frames, rate: int, index: int) -> None:
        """Remember the next frames.

        Args:
            frames: Their samples and arrivals.
            rate: Their sample rate in Hz.
            index: Index of the first sample on the track.
        """
        if rate != self._source_rate:
            self._source_rate = rate
            self._parts.clear()
        self._parts.append((index, b"".join([pcm for pcm, _ in frames])))
        while self._parts[0][0] < index - KEPT_SECS * self._rate:
            self._parts.popleft()

    def onset(self, near: int, *, after: int = 0) -> int:
        """Return the index at which speech begins near another, but not before `after`."""
        return self._find(onset, near, after)

    def offset(self, near: int) -> int:
        """Return the index at which speech ends near another."""
        return self._find(offset, near, 0)

    def _find(self, edge: Callable[[Samples, int, int], int], near: int, after: int) -> int:
        if not self._parts:
            return near
        first = self._parts[0][0]
        samples = np.frombuffer(b"".join([pcm for _, pcm in self._parts]), "<i2")
        ratio = self._source_rate / self._rate
        skipped = max(0, round((after - first) * ratio))
        place = round((near - first) * ratio) - skipped
        if not 0 <= place <= len(samples) - skipped:
            return near
        return first + round((skipped + edge(samples[skipped:], self._source_rate, place)) / ratio)


def onset(samples: Samples, rate: int, near: int) -> int:
    """Return where the speech begins that a detector places near a sample.

    Args:
        samples: What was heard until now.
        rate: Its sample rate in Hz.
        near: The detector's idea of the beginning.

    Returns:
        The place of the first sample of that speech; `near` if nothing stands out there.
    """
    loud, threshold, size = _loud(samples, rate)
    here = near // size
    after = loud[(loud >= here) & (loud <= here + REACH_SECS / WINDOW_SECS)]
    if not len(after):
        return near
    first = int(after[0])
    for window in loud[loud < first][::-1]:
        if first - window > PAUSE_SECS / WINDOW_SECS or here - window > REACH_SECS / WINDOW_SECS:
            break
        first = int(window)
    start = first * size
    return start + int(np.argmax(_level(samples[start : start + size]) >= threshold))


def offset(samples: Samples, rate: int, near: int) -> int:
    """Return where the speech ends that a detector places near a sample.

    Args:
        samples: What was heard until now.
        rate: Its sample rate in Hz.
        near: The detector's idea of the end.

    Returns:
        The place behind the last sample of that speech; `near` if nothing stands out there.
    """
    return len(samples) - onset(samples[::-1], rate, len(samples) - near)


def _loud(samples: Samples, rate: int) -> tuple[NDArray[np.intp], float, int]:
    """Return the windows that stand out, the level from which they do, and a window's size."""
    size = max(1, round(WINDOW_SECS * rate))
    whole = len(samples) // size
    if not whole:
        return np.empty(0, np.intp), 0.0, size
    level = _level(samples[: whole * size]).reshape(whole, size).max(axis=1)
    noise, peak = float(np.percentile(level, _QUIETEST)), float(level.max())
    low, high = (part * peak for part in _OF_PEAK)
    threshold = max(AUDIBLE, low, min(_ABOVE_NOISE * noise, high))
    return np.flatnonzero(level >= threshold), threshold, size


def _level(samples: Samples) -> NDArray[np.int32]:
    return np.abs(samples.astype(np.int32))
