"""Finds where an utterance can be heard, between the silence or the noise around it.

Synthesized speech has silence before and behind it, and the output may mix in background sound.

Pure: no Pipecat, no I/O, and time comes in as a value, in nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipecat_roark.moments import SECOND, Edge
from pipecat_roark.recording.audibility import (
    AUDIBLE,
    KEPT_SECS,
    OF_PEAK,
    WINDOW_SECS,
    above_noise,
    audible,
    levels,
    noise_of,
    window_size,
)

if TYPE_CHECKING:
    from pipecat_roark.moments import Frames
    from pipecat_roark.recording.audibility import Levels, Samples

_BACKGROUND_WINDOWS = round(0.5 / WINDOW_SECS)
"""How long background sound lasts at least: an output pushes up to 0.1 s of a cut utterance."""
_KEPT_WINDOWS = round(20 / WINDOW_SECS)
"""How much is kept of an utterance to find its end in.

Pipecat announces an end up to 3 s after the last sound.
"""


class Sound(NamedTuple):
    """An edge of a sound, and the arrival of the frame that holds it."""

    arrival: int
    edge: Edge


class LateEnd(NamedTuple):
    """The end of an utterance that was announced over before its last frame came."""

    arrival: int
    edge: Edge


class Background:
    """The sound of the bot's line while the bot doesn't speak."""

    def __init__(self) -> None:
        self._levels: deque[Levels] = deque()
        self._windows = 0
        self._noise: float | None = None

    def add(self, frames: Frames, rate: int) -> None:
        """Measure the next frames, and forget the oldest."""
        samples = np.frombuffer(b"".join([pcm for pcm, _ in frames]), "<i2")
        self._levels.append(levels(samples, rate))
        self._windows += len(self._levels[-1])
        while self._windows - len(self._levels[0]) >= KEPT_SECS / WINDOW_SECS:
            self._windows -= len(self._levels.popleft())

    def interrupt(self) -> float | None:
        """End a stretch of it, because the bot speaks; return the loudness of its noise if known.

        A short stretch is no background: when an utterance is cut, its last frames follow its end.
        """
        if self._windows >= _BACKGROUND_WINDOWS:
            self._noise = noise_of(np.concatenate(self._levels))
        self._levels.clear()
        self._windows = 0
        return self._noise


class _Part:
    """Consecutive frames of one utterance, measured.

    Args:
        frames: Their samples and arrivals.
        rate: Their sample rate in Hz.
        first: Index of the first sample on its track, if it is known.
    """

    def __init__(self, frames: Frames, rate: int, first: int | None) -> None:
        self.samples: Samples | None = np.frombuffer(b"".join([pcm for pcm, _ in frames]), "<i2")
        """May be dropped; the end of a sound is then known to a window of loudness."""
        self.levels = levels(self.samples, rate)
        self._ends = [*accumulate([len(pcm) // 2 for pcm, _ in frames])]
        self._arrivals = [at for _, at in frames]
        self._rate = rate
        self._size = window_size(rate)
        self._first = first

    def onset(self, threshold: float, rate: int) -> Sound | None:
        """Return the first sound as loud as a threshold."""
        windows = np.flatnonzero(self.levels >= threshold)
        if not windows.size:
            return None
        start = int(windows[0]) * self._size
        place = self._audible(start, threshold)[0]
        return self._sound(place, rate, frame=bisect_right(self._ends, place))

    def offset(self, threshold: float, rate: int) -> Edge | None:
        """Return the end of the last sound as loud as a threshold."""
        windows = np.flatnonzero(self.levels >= threshold)
        if not windows.size:
            return None
        start = int(windows[-1]) * self._size
        place = self._audible(start, threshold)[-1]
        return self._sound(place + 1, rate, frame=bisect_right(self._ends, place)).edge

    def _audible(self, start: int, threshold: float) -> tuple[int, int]:
        """Return the first and the last sample of a window that are as loud as a threshold."""
        if self.samples is None:
            return start, min(start + self._size, self._ends[-1]) - 1
        loud = audible(self.samples[start : start + self._size], threshold)
        return start + int(loud[0]), start + int(loud[-1])

    def _sound(self, place: int, rate: int, *, frame: int) -> Sound:
        arrival = self._arrivals[frame]
        at = arrival - (self._ends[frame] - place) * SECOND // self._rate
        index = self._first
        if index is not None:
            index += round(place * rate / self._rate)
        return Sound(arrival, Edge(at, index))


class Utterance:
    """One utterance of the bot, between the announcements of its start and its end.

    Args:
        rate: Sample rate of its track in Hz.
        noise: Loudness of the background sound, if there is one.
        announced_ns: Pipeline time at which the output announced it.
    """

    def __init__(self, rate: int, noise: float | None = None, *, announced_ns: int = 0) -> None:
        self.begun = False
        """Whether audio of it came."""
        self._rate = rate
        self._noise = noise
        self._announced_ns = announced_ns
        self._early_ns = 0
        self._heard = False
        self._parts: deque[_Part] = deque()
        self._sounding: _Part | None = None
        self._windows = 0
        self._peak = 0
        self._quietest = 2**15
        self._end: Edge | None = None

    def as_played(self, frames: Frames, rate: int) -> Frames:
        """Return frames with the time at which each has been played to its end.

        Some outputs pass a frame on when they begin to play it, not when they have played it. Then
        the first frame would begin before the utterance was announced. By as much as that, all
        frames of the utterance come early.

        Args:
            frames: Their samples and arrivals.
            rate: Their sample rate in Hz.
        """
        if not self.begun:
            pcm, arrival = frames[0]
            begins = arrival - len(pcm) // 2 * SECOND // rate
            self._early_ns = max(0, self._announced_ns - begins)
        return [(pcm, arrival + self._early_ns) for pcm, arrival in frames]

    def add(self, frames: Frames, rate: int, index: int | None) -> Sound | None:
        """Search the next frames.

        Args:
            frames: Their samples and arrivals.
            rate: Their sample rate in Hz.
            index: Index of the first sample on its track, if it is known.

        Returns:
            The first sound of the utterance, if it is in these frames.
        """
        self.begun = True
        part = _Part(frames, rate, index)
        loudness = part.levels.tolist()  # for so few, Python's own functions are faster
        self._peak = max(self._peak, *loudness)
        self._quietest = min(self._quietest, *loudness)
        first = None
        if not self._heard:
            # Only the noise counts here: the peak of the utterance isn't known yet.
            first = part.onset(above_noise(self._noise or 0.0), self._rate)
            self._heard = first is not None
        self._keep(part, sounds=max(loudness) >= self._threshold())
        return first

    def end(self) -> Edge | None:
        """Return where the last sound so far ends; None if there was no sound."""
        self._search()
        return self._end

    def _search(self) -> None:
        threshold = self._threshold()
        for part in reversed(self._parts):
            edge = part.offset(threshold, self._rate)
            if edge is not None:
                self._end = edge
                break

    def _threshold(self) -> float:
        """Return the loudness from which a sound is speech, as far as it is known.

        Without sound outside of the utterance, its own quietest window shows the noise.
        """
        noise = self._quietest if self._noise is None else self._noise
        return max(AUDIBLE, min(above_noise(noise), OF_PEAK[1] * self._peak))

    def _keep(self, part: _Part, *, sounds: bool) -> None:
        """Keep a part, and the samples of the last one that sounds; forget the oldest parts."""
        if not sounds:
            part.samples = None
        else:
            if self._sounding is not None:
                self._sounding.samples = None
            self._sounding = part
        self._parts.append(part)
        self._windows += len(part.levels)
        if self._windows > 2 * _KEPT_WINDOWS:
            self._search()
            while self._windows - len(self._parts[0].levels) >= _KEPT_WINDOWS:
                self._windows -= len(self._parts.popleft().levels)
