"""Speech services on Pipecat's own base class that speak tones, without a network."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from typing import TYPE_CHECKING, Any

from pipecat.frames.frames import (
    Frame,
    StartFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)

from support.speech import SECS_PER_LETTER, speech

with warnings.catch_warnings():
    # The module of the base derives from a class that Pipecat has deprecated.
    warnings.filterwarnings("ignore", "`AudioContextTTSService`", DeprecationWarning)
    from pipecat.services.tts_service import TTSService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BASE_BRACKETS = "push_start_frame" in inspect.signature(TTSService.__init__).parameters
"""Whether the base class pushes the frames around an utterance."""
HAS_WORD_TIMES = hasattr(TTSService, "add_word_timestamps")
"""Whether every service can report when a word is spoken."""


def _options(**options: bool) -> dict[str, Any]:
    if not BASE_BRACKETS:
        return options
    from pipecat.services.settings import TTSSettings  # noqa: PLC0415  # not on old Pipecats

    settings = TTSSettings(model=None, voice=None, language=None)
    return {"push_start_frame": True, "settings": settings, **options}


class SentenceVoice(TTSService):
    """Sends the audio of a sentence and then its text, as services on HTTP do."""

    def __init__(self) -> None:
        super().__init__(**_options(push_stop_frames=BASE_BRACKETS))

    async def run_tts(self, text: str, *_: str) -> AsyncIterator[Frame]:  # type: ignore[override]
        if not BASE_BRACKETS:
            yield TTSStartedFrame()
        for frame in speech(text):
            yield frame
            await asyncio.sleep(0)
        if not BASE_BRACKETS:
            yield TTSStoppedFrame()


class SocketVoice(TTSService):
    """Takes the text and sends its audio a moment later, as services on a websocket do."""

    def __init__(self) -> None:
        super().__init__(**_options())
        self._texts: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()
        self._maker: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._maker = asyncio.create_task(self._make())

    async def cleanup(self) -> None:
        if self._maker:
            self._maker.cancel()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def run_tts(self, text: str, context_id: str = "") -> AsyncIterator[Frame | None]:  # type: ignore[override]
        if not BASE_BRACKETS:
            yield TTSStartedFrame()
        self._texts.put_nowait((context_id, text))
        yield None

    async def flush_audio(self, context_id: str = "") -> None:  # type: ignore[override]
        self._texts.put_nowait((context_id, None))

    async def _make(self) -> None:
        while True:
            context_id, text = await self._texts.get()
            await asyncio.sleep(0.02)
            for frame in speech(text) if text else [TTSStoppedFrame()]:
                await self._emit(context_id, frame)
            if not text and BASE_BRACKETS:
                await self.remove_audio_context(context_id)

    async def _emit(self, context_id: str, frame: Frame) -> None:
        if BASE_BRACKETS:
            await self.append_to_audio_context(context_id, frame)
        else:
            await self.push_frame(frame)


class WordVoice(TTSService):
    """Reports the time of every word."""

    def __init__(self) -> None:
        super().__init__(**_options(push_stop_frames=True, push_text_frames=False))

    async def run_tts(self, text: str, context_id: str = "") -> AsyncIterator[Frame]:  # type: ignore[override]
        words, times = text.split(), []
        for number, word in enumerate(words):
            times.append((word, len(" ".join([*words[:number], ""])) * SECS_PER_LETTER))
        await self.add_word_timestamps(times, context_id)
        for frame in speech(text):
            yield frame
