"""A real call's frames, played through a real pipeline: as fast as it takes them, or in real time.

The pipeline has the demo's processors, each reduced to passing frames on, and its clock has the
time of the call that is played. Each frame is pushed by the processor that made it, and ends at the
last one that it reached, before the next one is pushed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pipecat.frames import frames
from pipecat.frames.frames import EndFrame, Frame, StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams

from benchmarks.mix import POSITIONS, Step, stored
from support.calls import IN_RATE, OUT_RATE, run
from support.stage import Clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from benchmarks.contenders import Wiring

OUTPUT, RECORDER = 5, 6
"""Positions of the output and of the processor behind it."""
PAUSE_MS = 1000
"""Between the end of the call and its repetition."""
VALUES: dict[str, Callable[[], Any]] = {
    "text": lambda: "Hello",
    "user_id": lambda: "caller",
    "timestamp": lambda: "2026-01-01T00:00:00Z",
    "aggregated_by": lambda: "sentence",
    "text_type": lambda: "sentence",
    "data": list,
    "context": LLMContext,
    "function_calls": list,
    "function_name": lambda: "get_weather",
    "tool_call_id": lambda: "call-1",
    "arguments": lambda: {"city": "London"},
    "result": lambda: {"weather": "sunny"},
    "message": lambda: {"label": "rtvi-ai"},
}
"""What a field gets; any other without a default is None."""


def new_frame(step: Step) -> Frame | None:
    """Return a new frame like one of the call; None if this Pipecat has no such kind."""
    kind = getattr(frames, step.kind, None)
    if kind is None:
        return None
    if step.size:
        values: dict[str, Any] = {
            "audio": bytes(step.size),
            "sample_rate": step.rate,
            "num_channels": 1,
        }
    else:
        values = _values(kind)
    frame: Frame = kind(**values)
    return frame


def _values(kind: type) -> dict[str, Any]:
    """Return what a frame of this kind is made with."""
    values = {}
    for each in dataclasses.fields(kind):
        required = each.default is each.default_factory is dataclasses.MISSING
        if each.init and (required or each.name in VALUES):
            values[each.name] = VALUES.get(each.name, lambda: None)()
    return values


class Stage:
    """What the processors of a played call share: which of them a frame reaches last."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.processors: list[FrameProcessor] = []
        self.started = asyncio.Event()
        self._awaited: tuple[int, int] = (0, 0)
        self._arrived = asyncio.Event()

    def passes(self, frame: Frame, position: int) -> bool:
        """Return whether a frame goes on from here."""
        self.started_at(frame, position)
        if (frame.id, position) != self._awaited:
            return True
        self._arrived.set()
        return False

    def started_at(self, frame: Frame, position: int) -> None:
        """Note that the pipeline has started when its start reaches the end."""
        if isinstance(frame, StartFrame) and position == POSITIONS - 1:
            self.started.set()

    async def play(
        self,
        steps: list[Step],
        repeats: int,
        after: Callable[[], Awaitable[None]] | None,
        *,
        realtime: bool,
    ) -> None:
        """Let all frames take their way, repeated so often."""
        began, start = time.monotonic(), 0
        for _ in range(repeats):
            for step in steps:
                due_ms = start + step.at_ms
                self.clock.now = max(self.clock.now, due_ms * 1_000_000)
                if realtime:
                    await asyncio.sleep(began + due_ms / 1000 - time.monotonic())
                await self.show(step)
            start += steps[-1].at_ms + PAUSE_MS
            if after:
                await after()

    async def show(self, step: Step) -> None:
        """Let a frame take its way through the pipeline."""
        frame = new_frame(step)
        if frame is None:
            return
        last = step.last
        if last == RECORDER:  # a recorder passes everything on
            last += -1 if step.upstream else 1
        self._arrived.clear()
        self._awaited = frame.id, last
        way = FrameDirection.UPSTREAM if step.upstream else FrameDirection.DOWNSTREAM
        await self.processors[step.origin].push_frame(frame, way)
        if last != step.origin:
            await self._arrived.wait()


class _Passing(FrameProcessor):
    """Passes frames on, up to the last processor that they reach."""

    stage: Stage
    position: int

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        # Not as a transport does it: nothing is played in real time.
        await FrameProcessor.process_frame(self, frame, direction)
        if self.stage.passes(frame, self.position):
            await self.push_frame(frame, direction)


class _Input(_Passing, BaseInputTransport):
    """The microphone's place."""


class _Output(_Passing, BaseOutputTransport):
    """The loudspeaker's place."""


def processors(stage: Stage, wiring: Wiring) -> list[FrameProcessor]:
    """Return the processors of the pipeline; the contender's own stands behind the output."""
    params = TransportParams()
    parts: list[_Passing] = [_Input(params), *(_Passing() for _ in range(1, POSITIONS))]
    parts[OUTPUT] = _Output(params)
    for position, part in enumerate(parts):
        part.stage, part.position = stage, position
    return [*parts[:RECORDER], *(wiring.processors or [parts[RECORDER]]), *parts[RECORDER + 1 :]]


async def play(  # noqa: PLR0913  # keyword-only, each with a default
    wiring: Wiring,
    repeats: int,
    *,
    steps: list[Step] | None = None,
    settle_secs: float = 0.2,
    after: Callable[[], Awaitable[None]] | None = None,
    realtime: bool = False,
) -> float:
    """Play the call, repeated so often, with a contender.

    Args:
        wiring: What the contender adds.
        repeats: How often the call is played, one after another in one pipeline.
        steps: The frames, if not those of the whole call.
        settle_secs: How long to wait before the first frame: until the call's start was sent.
        after: Awaited after each repetition.
        realtime: Whether each frame comes when it came in the call.

    Returns:
        Seconds of CPU time of the process, from the first frame until the pipeline has ended.
    """
    steps, stage = steps or stored(), Stage()
    stage.processors = processors(stage, wiring)
    task = PipelineTask(
        Pipeline(stage.processors),
        params=PipelineParams(audio_in_sample_rate=IN_RATE, audio_out_sample_rate=OUT_RATE),
        observers=[*wiring.observers],
        clock=stage.clock,
        idle_timeout_secs=None,
    )
    wiring.on_task(task)
    began = 0.0

    async def script() -> None:
        nonlocal began
        await stage.started.wait()
        await asyncio.sleep(settle_secs)
        began = time.process_time()
        await stage.play(steps, repeats, after, realtime=realtime)
        await task.queue_frame(EndFrame())

    with nullcontext() if realtime else _time_of(stage.clock):
        playing = asyncio.create_task(script())
        await run(task)
        await playing
    return time.process_time() - began


@contextmanager
def _time_of(clock: Clock) -> Iterator[None]:
    """Give Pipecat's own recorder the time of the call: it takes that of the machine."""
    now = SimpleNamespace(monotonic=lambda: clock.now / 1e9, time=lambda: clock.now / 1e9)
    with patch("pipecat.processors.audio.audio_buffer_processor.time", now, create=True):
        yield
