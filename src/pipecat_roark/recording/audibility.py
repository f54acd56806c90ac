"""Finds where speech begins and ends in samples.

A detector of speech announces *that* somebody speaks some time after the first sound, because it
waits until it is sure. The samples show where the sound began and ended.

Pure: functions of samples, and a memory of the latest ones.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipecat_roark.moments import Frames

    Samples = NDArray[np.int16]
    Levels = NDArray[np.uint16]

AUDIBLE = 100
"""Amplitude from which a 16-bit sample can be heard: -50 dB of full scale.

A silent line stays below it: the smallest step of a telephone codec is 8, and comfort noise lies
near -60 dB. The soft ends of spoken words lie above it.
"""
WINDOW_SECS = 0.01
"""Loudness is the largest amplitude in each window of this length.

A window holds at least one half-wave of any voice (50 Hz), so that a voice has no silent window.
"""
PAUSE_SECS = 0.15
"""A silence of up to this length lies inside an utterance.

The closure before a plosive is silent for up to 0.1 s; a pause between sentences is longer.
"""
REACH_SECS = 0.6
"""How far from the sound a detector may announce its edge.

Detectors hear a beginning 0.2 s after it; they believe in an end after 0.2 to 0.8 s, and their own
figure for that, which is subtracted, is exact to some windows of analysis.
"""
KEPT_SECS = 2.5
"""How much of a track is kept: the longest delay of a detector, and the reach around it."""
_QUIETEST = 5
"""Percentile of the loudness that counts as the noise of the line.

Speech pauses for more than a twentieth of any two seconds; a single silent window, such as a lost
packet, is less than that.
"""
_ABOVE_NOISE = 3.0
"""Speech is at least this many times louder than the noise: 10 dB, as steady noise varies by 3."""
OF_PEAK = 0.03, 0.25
"""Smallest and largest threshold, as a part of the loudest window.

Below -30 dB of its peak a voice only echoes. Above -12 dB the threshold would cut the soft sounds
at both ends of a word, however loud the noise is.
"""


def window_size(rate: int) -> int:
    """Return how many samples a window of loudness has."""
    return max(1, round(WINDOW_SECS * rate))


def levels(samples: Samples, rate: int) -> Levels:
    """Return the largest amplitude of each window; the last window may be shorter."""
    size = window_size(rate)
    amplitudes = _amplitudes(samples)
    whole = len(samples) // size * size
    found = amplitudes[:whole].reshape(-1, size).max(axis=1)
    return np.append(found, amplitudes[whole:].max()) if whole < len(samples) else found


def noise_of(loudness: Levels) -> float:
    """Return the loudness of the noise in a line, given that of all its windows."""
    # Not `np.percentile`, which imports more of numpy in the middle of the first call.
    place = (len(loudness) - 1) * _QUIETEST / 100
    below, above = math.floor(place), math.ceil(place)
    low, high = np.partition(loudness, (below, above))[[below, above]]
    return float(low) + (place - below) * (float(high) - float(low))


def above_noise(noise: float) -> float:
    """Return the loudness from which a sound is more than noise."""
    return max(AUDIBLE, _ABOVE_NOISE * noise)


def audible(samples: Samples, threshold: float = AUDIBLE) -> NDArray[np.intp]:
    """Return the places of the samples as loud as a threshold; by default, of all audible ones."""
    return np.flatnonzero(_amplitudes(samples) >= threshold)


class RecentAudio:
    """Keeps the latest audio of one track, and finds the edges of speech in it.

    Args:
        rate: Sample rate of the track in Hz, at which its indexes count.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._source_rate = rate
        self._parts: deque[tuple[int, bytes]] = deque()

    def add(self, frames: Frames, rate: int, index: int) -> None:
        """Keep the next frames, and drop the oldest.

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
    """Return where the speech begins that a detector announces near a sample.

    Args:
        samples: The latest audio.
        rate: Its sample rate in Hz.
        near: Where the detector places the beginning.

    Returns:
        The place of the first sample of that speech; `near` if no sound stands out there.
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
    return start + int(audible(samples[start : start + size], threshold)[0])


def offset(samples: Samples, rate: int, near: int) -> int:
    """Return where the speech ends that a detector announces near a sample.

    Args:
        samples: The latest audio.
        rate: Its sample rate in Hz.
        near: Where the detector places the end.

    Returns:
        The place behind the last sample of that speech; `near` if no sound stands out there.
    """
    return len(samples) - onset(samples[::-1], rate, len(samples) - near)


def _loud(samples: Samples, rate: int) -> tuple[NDArray[np.intp], float, int]:
    """Return the windows that are louder than the threshold, the threshold, and a window's size."""
    size = window_size(rate)
    whole = len(samples) // size
    if not whole:
        return np.empty(0, np.intp), 0.0, size
    loudness = levels(samples[: whole * size], rate)
    low, high = (part * float(loudness.max()) for part in OF_PEAK)
    threshold = max(AUDIBLE, low, min(above_noise(noise_of(loudness)), high))
    return np.flatnonzero(loudness >= threshold), threshold, size


def _amplitudes(samples: Samples) -> Levels:
    # The amplitude of the lowest sample doesn't fit into a signed one.
    return np.abs(samples).view(np.uint16)
