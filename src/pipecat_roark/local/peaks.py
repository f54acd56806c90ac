"""How loud a recording is over time, small enough for a page: a byte for 50 ms of a channel.

The rate of a recording is known only when its call ends. So each chunk is measured in short blocks
when it comes, and the blocks are put together to the final resolution when they are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipecat_roark.local.contract import SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

WINDOW_MS = 50
"""What one peak stands for."""
_BLOCK = 128
"""Pairs of samples that are measured together: 5 ms at 24 kHz."""
LEAST_RATE = 2 * 1000 * _BLOCK // WINDOW_MS
"""At lower rates, which no call has, a block would be longer than what a peak stands for."""


def measure(pcm: bytes) -> bytes:
    """Return the largest amplitude of each block of a chunk, a byte for even and odd samples.

    In stereo these are left and right. Silence is 0, and full scale is 255.
    """
    samples = np.frombuffer(pcm, "<i2", count=len(pcm) // SAMPLE_BYTES).astype(np.int32)
    blocks = -(-len(samples) // (2 * _BLOCK))
    padded = np.zeros(blocks * 2 * _BLOCK, np.int32)
    padded[: len(samples)] = np.abs(samples)
    largest = padded.reshape(blocks, _BLOCK, 2).max(axis=1)
    return bytes(np.minimum((largest + 127) >> 7, 255).astype(np.uint8))


def join(chunks: Iterable[tuple[int, bytes]], rate: int, channels: int) -> bytes:
    """Put the blocks of chunks together to peaks of 50 ms.

    Args:
        chunks: The size in bytes of each chunk, and its blocks as `measure` returned them.
        rate: Sample rate in Hz.
        channels: Number of interleaved channels, 1 or 2.

    Returns:
        The peaks, a byte for each window and channel, interleaved. None below `LEAST_RATE`.
    """
    if rate < LEAST_RATE:
        return b""
    begin, starts, levels = 0, [np.zeros(0, np.int64)], [np.zeros((0, 2), np.uint8)]
    for size, blocks in chunks:
        level = np.frombuffer(blocks, np.uint8).reshape(-1, 2)
        samples = begin + np.arange(len(level), dtype=np.int64) * 2 * _BLOCK
        starts.append(samples * 1000 // (channels * rate * WINDOW_MS))
        levels.append(level)
        begin += size // SAMPLE_BYTES
    level, window = np.concatenate(levels), np.concatenate(starts)
    if channels == 1:
        level = level.max(axis=1, keepdims=True)
    peaks = np.zeros((int(window[-1]) + 1 if len(window) else 0, channels), np.uint8)
    if len(window):
        windows, first = np.unique(window, return_index=True)
        peaks[windows] = np.maximum.reduceat(level, first, axis=0)
    return peaks.tobytes()
