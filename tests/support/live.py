"""A call in real time, with what goes wrong in one, and what is true of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pipecat.frames.frames import (
    EndFrame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.transports.base_transport import TransportParams

from support.calls import FRAME_SECS, IN_RATE, OUT_RATE, PacedOutput, ScriptedInput, run, tone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pipecat.observers.base_observer import BaseObserver
    from pipecat.processors.frame_processor import FrameProcessor

    from support.audio import Span

PERIOD = 20.0
"""Everything below comes again after as many seconds."""
SAYS: list[Span] = [(1, 2.5), (5, 6), (9.5, 12.5), (14.5, 17)]
MUTES: list[Span] = [(7, 9)]
STALLS: list[Span] = [(10.5, 11.5)]
ANSWERS: list[Span] = [(3, 4.6), (13, 16), (18, 19)]


def repeated(spans: list[Span], periods: int) -> list[Span]:
    """Return spans in every period."""
    shifts = [PERIOD * number for number in range(periods)]
    return [(begin + shift, end + shift) for shift in shifts for begin, end in spans]


def inside(at: float, spans: list[Span]) -> Span | None:
    """Return the span that a time is in."""
    return next((span for span in spans if span[0] < at <= span[1]), None)


IDLE_SECS = 0.5
"""A loudspeaker that has had nothing to play for so long begins anew."""


class PatchyInput(ScriptedInput):
    """A microphone behind a network that stalls, and with a button that mutes it."""

    def __init__(self, params: TransportParams, periods: int) -> None:
        super().__init__(params)
        self._periods = periods
        self.talks = asyncio.Event()
        self.began = 0.0
        """When its first frame left it, less the frame's length."""

    async def _play(self) -> None:
        speech: NDArray[np.int16] = np.zeros(round(PERIOD * self._periods * IN_RATE), np.int16)
        for begin, end in repeated(SAYS, self._periods):
            speech[round(begin * IN_RATE) : round(end * IN_RATE)] = tone(end - begin, IN_RATE)
        mutes, stalls = repeated(MUTES, self._periods), repeated(STALLS, self._periods)
        size, clock = round(FRAME_SECS * IN_RATE), time.monotonic()
        for place in range(0, len(speech), size):
            due = (place + size) / IN_RATE
            stall = inside(due, stalls)
            await asyncio.sleep(clock + (stall[1] if stall else due) - time.monotonic())
            if inside(due, mutes):
                continue
            if not self.talks.is_set():
                self.began = time.monotonic() - FRAME_SECS
                self.talks.set()
            audio = speech[place : place + size].tobytes()
            await self.push_audio_frame(InputAudioRawFrame(audio, IN_RATE, 1))


class WatchedOutput(PacedOutput):
    """A loudspeaker that notes when it began to play."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.began: list[float] = []

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        now = time.monotonic()
        if now - self._free > IDLE_SECS:
            self._free = now
            self.began.append(now)
        # A busy machine may be late with a frame, and makes up for it with the next ones.
        self._free += frame.num_frames / frame.sample_rate
        await asyncio.sleep(self._free - now)
        return True


@dataclass
class LiveCall:
    """A call of so many periods, and where everything should be in its recording.

    Attributes:
        periods: How long it is.
        recorder: Stands after the output.
        observers: See the call, too.
    """

    periods: int
    recorder: FrameProcessor
    observers: Sequence[BaseObserver] = ()

    def __post_init__(self) -> None:
        params = TransportParams(
            audio_in_enabled=True, audio_out_enabled=True, audio_out_end_silence_secs=0
        )
        self.microphone = PatchyInput(params, self.periods)
        self.loudspeaker = WatchedOutput(params)
        self.task = PipelineTask(
            Pipeline([self.microphone, self.loudspeaker, self.recorder]),
            params=PipelineParams(audio_in_sample_rate=IN_RATE, audio_out_sample_rate=OUT_RATE),
            observers=[*self.observers],
            idle_timeout_secs=None,
        )

    async def hold(self) -> None:
        """Hold the call to its end."""

        async def answer() -> None:
            await self.microphone.talks.wait()
            for begin, end in repeated(ANSWERS, self.periods):
                await asyncio.sleep(self.microphone.began + begin - time.monotonic())
                audio = tone(end - begin, OUT_RATE, 660).tobytes()
                await self.task.queue_frame(TTSAudioRawFrame(audio, OUT_RATE, 1))
            over = self.microphone.began + self.periods * PERIOD + 0.1
            await asyncio.sleep(over - time.monotonic())
            await self.task.queue_frame(EndFrame())

        answering = asyncio.create_task(answer())
        await run(self.task)
        await answering

    def truth(self) -> tuple[list[Span], list[Span]]:
        """Return when the user and the assistant could be heard, in seconds of the recording."""
        begins = [began - self.microphone.began for began in self.loudspeaker.began]
        answers = repeated(ANSWERS, self.periods)
        spoken = [
            (begin, begin + until - since)
            for begin, (since, until) in zip(begins, answers, strict=True)
        ]
        return repeated(SAYS, self.periods), spoken
