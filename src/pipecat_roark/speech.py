"""Where speech can be heard in samples. Numbers in, numbers out.

A detector of speech says *that* somebody speaks, some time after the first sound: it wants to be
sure. The sound itself tells where it began and ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipecat_roark.timeline import Samples

AUDIBLE = 100
"""Amplitude from which a 16-bit sample counts as heard: -50 dB of full scale."""
WINDOW_SECS = 0.01
"""Loudness is taken over stretches of this length, so an edge may err by as much."""
PAUSE_SECS = 0.15
"""A silence up to this long lies inside a word, and not before or after it."""
REACH_SECS = 0.6
"""How far a detector's announcement may be from the sound."""
_ABOVE_NOISE = 3.0
_BELOW_PEAK = 0.03


def audible(samples: Samples) -> NDArray[np.intp]:
    """Return the places of the samples that can be heard at all."""
    return np.flatnonzero(_level(samples) >= AUDIBLE)


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
    noise, peak = float(np.percentile(level, 10)), float(level.max())
    threshold = max(AUDIBLE, _ABOVE_NOISE * noise, _BELOW_PEAK * peak)
    return np.flatnonzero(level >= threshold), threshold, size


def _level(samples: Samples) -> NDArray[np.int32]:
    return np.abs(samples.astype(np.int32))
