"""Speech synthesis without a network: eSpeak NG, called through ctypes."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from typing import TYPE_CHECKING

import espeakng_loader  # type: ignore[import-untyped]
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from pipecat.frames.frames import Frame

# From espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Synthesizer:
    """Turns English text into speech. eSpeak has global state, so only one may speak at a time."""

    _lock = threading.Lock()

    def __init__(self) -> None:
        """Load the library and its voice.

        Raises:
            RuntimeError: The voice's data could not be read.
        """
        self._espeak = ctypes.CDLL(espeakng_loader.get_library_path())
        self._pcm = bytearray()
        # Held on to for as long as the library may call it.
        self._callback = _CALLBACK(self._collect)
        with self._lock:
            data = espeakng_loader.get_data_path().encode()
            self.sample_rate: int = self._espeak.espeak_Initialize(
                _AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_DONT_EXIT
            )
            if self.sample_rate <= 0 or self._espeak.espeak_SetVoiceByName(b"en-us") != 0:
                raise RuntimeError(f"eSpeak NG could not read its voice from {data.decode()}")

    def _collect(self, samples: object, count: int, _events: object) -> int:
        if samples and count:
            self._pcm += ctypes.string_at(samples, count * 2)  # type: ignore[arg-type]
        return 0

    def synthesize(self, text: str) -> bytes:
        """Return the text as 16-bit mono PCM at `sample_rate`.

        Raises:
            RuntimeError: The library refused the text.
        """
        encoded = text.encode()
        with self._lock:
            self._espeak.espeak_SetSynthCallback(self._callback)
            self._pcm.clear()
            failed = self._espeak.espeak_Synth(
                encoded, len(encoded) + 1, 0, 0, 0, _CHARS_UTF8, None, None
            )
            if failed:
                raise RuntimeError("eSpeak NG could not speak the text")
            return bytes(self._pcm)


class EspeakTTS(TTSService):
    """Speaks sentence by sentence."""

    def __init__(self) -> None:
        """Load the voice."""
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model=None, voice="en-us", language=None),
        )
        self._synthesizer = Synthesizer()

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak one sentence."""

        async def speech() -> AsyncIterator[bytes]:
            yield await asyncio.to_thread(self._synthesizer.synthesize, text)

        async for frame in self._stream_audio_frames_from_iterator(
            speech(), in_sample_rate=self._synthesizer.sample_rate, context_id=context_id
        ):
            yield frame
