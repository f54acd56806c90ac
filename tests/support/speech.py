"""A tone in place of speech, as long as its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat.frames.frames import TTSAudioRawFrame

from support.calls import OUT_RATE, tone

if TYPE_CHECKING:
    from collections.abc import Iterator

SECS_PER_LETTER = 0.04
PIECE_SECS = 0.1


def speech(text: str) -> Iterator[TTSAudioRawFrame]:
    """Yield a tone for a text, piece by piece."""
    samples = tone(len(text) * SECS_PER_LETTER, OUT_RATE, 660)
    size = round(PIECE_SECS * OUT_RATE)
    for start in range(0, len(samples), size):
        yield TTSAudioRawFrame(samples[start : start + size].tobytes(), OUT_RATE, 1)
