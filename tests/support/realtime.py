"""A model that hears speech and answers with speech, as the realtime services do."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import (
    Frame,
    TranscriptionFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from support.calls import spoken
from support.speech import speech


class RealtimeModel(FrameProcessor):
    """Answers speech with speech, and sends the transcription upstream after its answer began.

    Args:
        answers: Its answer to each turn of the user, in pieces.
        understood: The transcription of each turn of the user.
    """

    def __init__(self, answers: list[list[str]], understood: list[str]) -> None:
        super().__init__()
        self._answers, self._understood = iter(answers), iter(understood)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer when the user has finished."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, UserStoppedSpeakingFrame):
            await self.answer()

    async def answer(self) -> None:
        """Speak, and then send the transcription upstream."""
        await self.push_frame(TTSStartedFrame())
        for piece in next(self._answers):
            for audio in speech(piece):
                await self.push_frame(audio)
            text = spoken(piece)
            if hasattr(text, "includes_inter_frame_spaces"):
                text.includes_inter_frame_spaces = True
            await self.push_frame(text)
        await self.push_frame(TTSStoppedFrame())
        await asyncio.sleep(0.2)
        said = TranscriptionFrame(next(self._understood), "", "2026-01-01T00:00:00Z")
        await self.push_frame(said, FrameDirection.UPSTREAM)
