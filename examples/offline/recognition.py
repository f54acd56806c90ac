"""Speech recognition without a network: Moonshine's tiny English model, from its wheel."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import TYPE_CHECKING

import numpy as np
from moonshine_voice import (  # type: ignore[import-untyped]
    ModelArch,
    Transcriber,
    get_model_path,
)
from pipecat.frames.frames import Frame, TranscriptionFrame
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SAMPLE_RATE = 16_000
"""Sample rate of the speech that the model was trained on, in Hz."""


class Recognizer:
    """Turns English speech into text."""

    def __init__(self) -> None:
        """Load the model, which takes about half a second."""
        self._transcriber = Transcriber(get_model_path("tiny-en"), ModelArch.TINY)

    def transcribe(self, pcm: bytes, sample_rate: int = SAMPLE_RATE) -> str:
        """Return the words in 16-bit mono PCM, or an empty string if there are none."""
        samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 2**15
        heard = self._transcriber.transcribe_without_streaming(samples.tolist(), sample_rate)
        return " ".join(line.text for line in heard.lines).strip()


class MoonshineSTT(SegmentedSTTService):
    """Transcribes each piece of speech that the voice activity detector marks."""

    def __init__(self) -> None:
        """Load the model."""
        super().__init__(
            sample_rate=SAMPLE_RATE,
            settings=STTSettings(model="tiny-en", language=Language.EN),
            # From the end of speech to its text: well under this on two cores.
            ttfs_p99_latency=0.5,
        )
        self._recognizer = Recognizer()

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame, None]:
        """Transcribe one piece of speech, given as a WAV file."""
        with wave.open(io.BytesIO(audio)) as wav:
            pcm = wav.readframes(wav.getnframes())
        text = await asyncio.to_thread(self._recognizer.transcribe, pcm)
        if text:
            yield TranscriptionFrame(text, self._user_id, time_now_iso8601(), Language.EN)
