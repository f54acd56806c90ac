"""A bot whose every step takes a known time, and stamps when it is taken."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    DataFrame,
    Frame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStoppedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from support.calls import (
    OUT_RATE,
    PacedOutput,
    ScriptedInput,
    tone,
)
from support.transcripts import said
from support.voices import BASE_BRACKETS, SentenceVoice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

RECOGNITION_SECS = 0.15
DETECTION_SECS = 0.1
MODEL_SECS = (0.3, 0.25)
TOOL_SECS = 0.4
TEXT_SECS = 0.12
SYNTHESIS_SECS = 0.15
BUFFER_SECS = 0.06
SILENT_SECS = 0.08
"""The silence with which the synthesis begins."""


class Stamps:
    """When each step was taken, by the clock that pipelines run with; the first time counts."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def stamp(self, step: str) -> None:
        """Take note of a step."""
        self._at.setdefault(step, time.monotonic())

    def ms(self, begin: str, end: str) -> float:
        """Return the milliseconds between two steps."""
        return 1000 * (self._at[end] - self._at[begin])


STAMPS: ContextVar[Stamps] = ContextVar("stamps")
"""Where the services of a call stamp their steps."""


def stamp(step: str) -> None:
    """Stamp a step of the call that is held."""
    STAMPS.get().stamp(step)


class Microphone(ScriptedInput):
    """A detector that only says when speech begins and ends."""

    async def push_frame(self, frame: Frame, *way: Any) -> None:
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            stamp("silence detected")
        if way or not isinstance(frame, UserStoppedSpeakingFrame):
            await super().push_frame(frame, *way)


class Loudspeaker(PacedOutput):
    """An output that stamps when it announces speech."""

    async def push_frame(self, frame: Frame, *way: Any) -> None:
        if isinstance(frame, BotStartedSpeakingFrame):
            stamp("announced")
        await super().push_frame(frame, *way)


class Buffer(FrameProcessor):
    """Holds the bot's audio up on its way to the output."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            await asyncio.sleep(BUFFER_SECS)
        await self.push_frame(frame, direction)


@dataclass
class Ask(DataFrame):
    """Asks the model."""


class Step(FrameProcessor):
    """A service that works beside the pipeline."""

    def __init__(self) -> None:
        super().__init__(name=type(self).__name__)
        self._work: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass a frame on, or begin to work on it."""
        await super().process_frame(frame, direction)
        work = self.work(frame)
        if work is None:
            await self.push_frame(frame, direction)
        else:
            self._work = asyncio.create_task(work)

    def work(self, frame: Frame) -> Coroutine[Any, Any, None] | None:
        """Return what is to be done about a frame, instead of passing it on."""

    async def both_ways(self, kind: type[Frame], **fields: Any) -> None:
        """Push a frame each way, as this Pipecat does."""
        if hasattr(self, "broadcast_frame"):
            await self.broadcast_frame(kind, **fields)
        else:
            await self.push_frame(kind(**fields), FrameDirection.DOWNSTREAM)
            await self.push_frame(kind(**fields), FrameDirection.UPSTREAM)


class Recognizer(Step):
    """Knows the words some time after the silence."""

    def work(self, frame: Frame) -> Coroutine[Any, Any, None] | None:
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            return self._recognize(frame)
        return None

    async def _recognize(self, frame: Frame) -> None:
        await self.push_frame(frame)
        await asyncio.sleep(RECOGNITION_SECS)
        stamp("transcribed")
        await self.push_frame(said("Is it sunny?"))


class Strategies(Step):
    """Decides that the user has finished."""

    def work(self, frame: Frame) -> Coroutine[Any, Any, None] | None:
        return self._decide() if isinstance(frame, TranscriptionFrame) else None

    async def _decide(self) -> None:
        await asyncio.sleep(DETECTION_SECS)
        stamp("floor taken")
        await self.push_frame(UserStoppedSpeakingFrame())
        await self.push_frame(Ask())


class Model(Step):
    """Calls a tool, and then writes the answer in two pieces."""

    def work(self, frame: Frame) -> Coroutine[Any, Any, None] | None:
        return self._answer() if isinstance(frame, Ask) else None

    async def _answer(self) -> None:
        call = {"function_name": "weather", "tool_call_id": "1", "arguments": {}}
        await self._think("asked", MODEL_SECS[0])
        stamp("tool called")
        await self.both_ways(FunctionCallInProgressFrame, **call)
        await self.push_frame(LLMFullResponseEndFrame())
        await asyncio.sleep(TOOL_SECS)
        stamp("tool returned")
        await self.both_ways(FunctionCallResultFrame, **call, result="sunny")
        await self._think("asked again", MODEL_SECS[1])
        stamp("first text")
        await self.push_frame(LLMTextFrame("It is sunny"))
        await asyncio.sleep(TEXT_SECS)
        await self.push_frame(LLMTextFrame(" and warm"))
        await self.push_frame(LLMFullResponseEndFrame())

    async def _think(self, step: str, secs: float) -> None:
        stamp(step)
        await self.push_frame(LLMFullResponseStartFrame())
        await asyncio.sleep(secs)


class Voice(SentenceVoice):
    """A speech service that needs some time, and begins with silence."""

    def can_generate_metrics(self) -> bool:
        """Return that it measures itself, if that is switched on."""
        return True

    async def run_tts(self, *_: str) -> AsyncIterator[Frame]:  # type: ignore[override]
        stamp("sentence made")
        await self.start_ttfb_metrics()
        if not BASE_BRACKETS:
            yield TTSStartedFrame()
        await asyncio.sleep(SYNTHESIS_SECS)
        await self.stop_ttfb_metrics()
        stamp("first audio")
        silence = np.zeros(round(SILENT_SECS * OUT_RATE), np.int16)
        samples = np.concatenate([silence, tone(0.5, OUT_RATE, 660)])
        yield TTSAudioRawFrame(samples.tobytes(), OUT_RATE, 1)
        if not BASE_BRACKETS:
            yield TTSStoppedFrame()
