"""Speech services that know when each of their words sounds: a word is a burst of a tone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
from pipecat.frames.frames import Frame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame

from support.audio import RIGHT, audible_ms
from support.calls import OUT_RATE, tone
from support.speech import PIECE_SECS
from support.voices import BASE_BRACKETS, SentenceVoice, WordVoice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

LEAD_SECS, TAIL_SECS = 0.12, 0.2
"""Silence before and behind each text, as synthesizers make it."""
GAP_SECS, PAUSE_SECS = 0.06, 0.25
"""Silence behind a word, and behind a comma."""
SLOW, QUICK = 0.075, 0.045
"""Seconds for a letter; speech slows down towards the end of a text."""


def times(text: str) -> list[tuple[str, float, float]]:
    """Return each word of a text with its begin and its end in its audio, in seconds."""
    words, at, spoken = text.split(), LEAD_SECS, []
    for number, word in enumerate(words):
        length = len(word) * (QUICK + (SLOW - QUICK) * number / len(words))
        spoken.append((word, at, at + length))
        at += length + (PAUSE_SECS if word.endswith(",") else GAP_SECS)
    return spoken


def length(text: str) -> float:
    """Return how long the audio of a text is, in seconds."""
    return times(text)[-1][2] + TAIL_SECS


def bursts(text: str) -> Iterator[TTSAudioRawFrame]:
    """Yield the audio of a text, piece by piece."""
    spoken = times(text)
    samples = np.zeros(round(length(text) * OUT_RATE), np.int16)
    for _, begin, end in spoken:
        first = round(begin * OUT_RATE)
        sound = tone(end - begin, OUT_RATE, 660)
        samples[first : first + len(sound)] = sound
    size = round(PIECE_SECS * OUT_RATE)
    for start in range(0, len(samples), size):
        yield TTSAudioRawFrame(samples[start : start + size].tobytes(), OUT_RATE, 1)


def onsets_ms(recording: Path) -> list[float]:
    """Return where in a recording each burst of the bot begins."""
    return [begin for begin, _ in audible_ms(recording, RIGHT, pause_ms=round(500 * GAP_SECS))]


class TimedBursts(WordVoice):
    """Reports when each word sounds."""

    async def run_tts(self, text: str, context_id: str = "") -> AsyncIterator[Frame]:  # type: ignore[override]
        if not BASE_BRACKETS:
            yield TTSStartedFrame()
        await self.add_word_timestamps([(word, at) for word, at, _ in times(text)], context_id)
        for frame in bursts(text):
            yield frame
            await asyncio.sleep(0)


class UntimedBursts(SentenceVoice):
    """Sends the audio of a sentence and then its text."""

    async def run_tts(self, text: str, *_: str) -> AsyncIterator[Frame]:  # type: ignore[override]
        if not BASE_BRACKETS:
            yield TTSStartedFrame()
        for frame in bursts(text):
            yield frame
            await asyncio.sleep(0)
        if not BASE_BRACKETS:
            yield TTSStoppedFrame()
