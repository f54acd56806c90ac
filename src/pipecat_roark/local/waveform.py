"""The waveform of a stored call, kept up as chunks come, and saved beside its recording."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from itertools import count, takewhile
from math import ceil, floor
from typing import TYPE_CHECKING

from pipecat_roark.local.contract import SAMPLE_BYTES
from pipecat_roark.local.peaks import WINDOW_MS, join, measure
from pipecat_roark.local.store import PEAKS_FILE, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipecat_roark.local.store import StoredCall


_PIECE_FRAMES = 65_536
_STEREO = 2
_USUAL_RATES = (8000, 16000, 24000, 44100, 48000)
_DEFAULT_RATE = 24000
"""Of Pipecat's output, unless it is told otherwise."""
_PACE_SECS = 8
"""In less time, a burst of chunks would tell a wrong pace."""


@dataclass(frozen=True, slots=True)
class Waveform:
    """How loud a call is over time.

    Attributes:
        rate: Sample rate in Hz.
        channels: Number of channels.
        frames: Length of the audio, in samples of one channel.
        peaks: The largest amplitude of each 50 ms, a byte for each channel, interleaved.
        chunks: The files that hold the audio while there is no recording.
        is_estimate: Whether the rate is estimated, as the call has not ended.
    """

    rate: int
    channels: int
    frames: int
    peaks: bytes
    chunks: tuple[Path, ...] = ()
    is_estimate: bool = False

    @property
    def length_ms(self) -> float:
        """Length in milliseconds."""
        return 1000 * self.frames / self.rate

    def level(self, role: str, start_ms: float = 0, end_ms: float | None = None) -> float:
        """Return how loud somebody is, from 0 for silence to 1 for full scale.

        Args:
            role: `user` (the left channel) or `assistant` (the right one).
            start_ms: Where to begin, in milliseconds of the recording.
            end_ms: Where to end; None for the end of the recording.

        Returns:
            The largest amplitude, measured in steps of 50 ms.
        """
        track = self.peaks[self.channels - 1 if role == "assistant" else 0 :: self.channels]
        end = None if end_ms is None else ceil(end_ms / WINDOW_MS)
        return max(track[max(0, floor(start_ms / WINDOW_MS)) : end], default=0) / 255


class Waveforms:
    """The waveforms of the calls in a folder; those of running calls are kept in memory."""

    def __init__(self) -> None:
        self._measured: dict[Path, bytes] = {}

    def add(self, chunk: Path, data: bytes) -> None:
        """Measure a chunk that came."""
        self._measured[chunk] = measure(data)

    def save(self, call: StoredCall, rate: int, channels: int) -> None:
        """Write the peaks of a call that has ended, and keep nothing of it in memory."""
        chunks = [call.chunks[index] for index in sorted(call.chunks)]
        sizes = [path.stat().st_size for path in chunks]
        measured = [self._measure(path) for path in chunks]
        write_whole(
            call.folder / PEAKS_FILE, join(zip(sizes, measured, strict=True), rate, channels)
        )
        for path in chunks:
            self._measured.pop(path, None)

    def read(self, call: StoredCall) -> Waveform | None:
        """Return a call's waveform, or None if it has no audio that can be read.

        This reads files: the peaks of a call that has ended, and what is not measured yet.
        """
        try:
            if call.recording is not None:
                return self._of_recording(call.recording)
            return self._of_chunks(call)
        except (OSError, EOFError, wave.Error):
            return None

    def _measure(self, chunk: Path) -> bytes:
        # Another thread may drop it meanwhile, as the call ends.
        measured = self._measured.get(chunk)
        if measured is None:
            measured = self._measured[chunk] = measure(chunk.read_bytes())
        return measured

    @staticmethod
    def _of_recording(path: Path) -> Waveform:
        with wave.open(str(path)) as wav:
            rate, channels, frames = wav.getframerate(), wav.getnchannels(), wav.getnframes()
        saved = path.with_name(PEAKS_FILE)
        if not saved.exists():
            write_whole(saved, join(_pieces(path), rate, channels))
        return Waveform(rate, channels, frames, saved.read_bytes())

    def _of_chunks(self, call: StoredCall) -> Waveform | None:
        # What comes after a missing chunk has no place yet.
        known = [call.chunks[i] for i in takewhile(call.chunks.__contains__, count())]
        if not known:
            return None
        sizes = [path.stat().st_size for path in known]
        rate = _pace(known, sizes)
        measured = [self._measure(path) for path in known]
        peaks = join(zip(sizes, measured, strict=True), rate, _STEREO)
        frames = sum(sizes) // (SAMPLE_BYTES * _STEREO)
        return Waveform(rate, _STEREO, frames, peaks, tuple(known), is_estimate=True)


def _pieces(recording: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the size and the blocks of each piece of a recording, without holding it whole."""
    with wave.open(str(recording)) as wav:
        while pcm := wav.readframes(_PIECE_FRAMES):
            yield len(pcm), measure(pcm)


def _pace(chunks: list[Path], sizes: list[int]) -> int:
    """Return the usual sample rate that is nearest to the pace at which chunks come, in Hz."""
    seconds = chunks[-1].stat().st_mtime - chunks[0].stat().st_mtime
    if seconds < _PACE_SECS:
        return _DEFAULT_RATE
    pace = sum(sizes[1:]) / (SAMPLE_BYTES * _STEREO * seconds)
    return min(_USUAL_RATES, key=lambda rate: abs(rate - pace))
