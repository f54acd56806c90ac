"""What can be heard in a stored recording."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Samples = NDArray[np.int16]

Span = tuple[float, float]
"""When something begins and ends, in seconds."""

LEFT, RIGHT = 0, 1
LOUD = 1000
"""Amplitude that a test tone exceeds, and silence never."""


def channel(recording: Path, side: int) -> tuple[NDArray[np.int16], int]:
    """Return one channel of a recording, and its sample rate."""
    with wave.open(str(recording)) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        samples = frames.reshape(-1, file.getnchannels())[:, side]
        return samples.astype(np.int16), file.getframerate()


def audible_ms(recording: Path, side: int, *, pause_ms: int = 150) -> list[tuple[float, float]]:
    """Return where tones begin and end on a channel, in milliseconds."""
    samples, rate = channel(recording, side)
    spans = audible_secs(samples, rate, pause=pause_ms / 1000)
    return [(1000 * start, 1000 * end) for start, end in spans]


def audible_secs(samples: Samples, rate: int = 24000, *, pause: float = 0.06) -> list[Span]:
    """Return where sounds begin and end, in seconds."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > LOUD)
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > pause * rate)
    starts, ends = [loud[0], *loud[breaks + 1]], [*loud[breaks], loud[-1]]
    return [
        (float(start) / rate, float(end + 1) / rate)
        for start, end in zip(starts, ends, strict=True)
    ]
