"""Converts audio to the sample rate of a track.

Pure: 16-bit mono PCM in and out.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import soxr

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Resampler:
    """Converts audio of one rate, which has no gap."""

    def __init__(self, source_rate: int, rate: int, quality: str) -> None:
        self.source_rate = source_rate
        self._ratio = rate / source_rate
        self._received = 0
        self._returned = 0
        self._stream = (
            None
            if source_rate == rate
            else soxr.ResampleStream(source_rate, rate, 1, dtype="int16", quality=quality)
        )

    def push(self, pcm: bytes, *, last: bool = False) -> bytes:
        """Convert the next audio; with `last`, also the audio that the filter holds back."""
        self._received += len(pcm) // 2
        if self._stream is not None:
            samples = np.frombuffer(pcm, "<i2").astype(np.int16, copy=False)
            samples = self._stream.resample_chunk(samples, last=last)
            pcm = samples.astype("<i2", copy=False).tobytes()
        self._returned += len(pcm) // 2
        return pcm

    @property
    def held_back(self) -> float:
        return self._received * self._ratio - self._returned


class Converter:
    """Converts audio of any rates; it goes on until it is finished, and then begins anew.

    Args:
        rate: Sample rate of what it returns, in Hz.
        quality: One of soxr's recipes; "HQ" is exact to 20 bits, and samples have 16.
    """

    def __init__(self, rate: int, *, quality: str = "HQ") -> None:
        self._rate = rate
        self._quality = quality
        self._resampler: _Resampler | None = None
        self._error = 0.0

    @property
    def held_back(self) -> float:
        """Samples, at the track's rate, that were received and not returned yet."""
        return self._resampler.held_back if self._resampler else 0.0

    def push(self, audio: Iterable[tuple[bytes, int]]) -> bytes:
        """Convert the next audio, given as PCM and its sample rate, piece by piece."""
        converted = []
        for rate, pieces in groupby(audio, itemgetter(1)):
            if self._resampler is None or self._resampler.source_rate != rate:
                converted.append(self.finish())
                self._resampler = _Resampler(rate, self._rate, self._quality)
            converted.append(self._resampler.push(b"".join([pcm for pcm, _ in pieces])))
        return b"".join(converted)

    def finish(self) -> bytes:
        """Return the audio that the filter holds back."""
        if self._resampler is None:
            return b""
        pcm = self._resampler.push(b"", last=True)
        self._error += self._resampler.held_back
        self._resampler = None
        return pcm

    def pop_error(self) -> float:
        """Return how many samples fewer were returned than the audio's rates and length give.

        The filter rounds the length to whole samples whenever it is finished. Each error is
        returned once.
        """
        error, self._error = self._error, 0.0
        return error


def converted(audio: Iterable[tuple[bytes, int]], rate: int) -> bytes:
    """Return audio at a rate, all of it; quickly, for it is only looked at."""
    converter = Converter(rate, quality="QQ")
    return converter.push(audio) + converter.finish()
