"""A processor alone, outside of any pipeline and on a clock that is moved by hand.

It knows nothing of this package, so that others can be shown the same.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from pipecat.clocks.base_clock import BaseClock
from pipecat.frames.frames import Frame, StartFrame
from pipecat.processors.frame_processor import (
    FrameDirection,
    FrameProcessor,
    FrameProcessorSetup,
)
from pipecat.utils.asyncio.task_manager import TaskManager, TaskManagerParams


class Clock(BaseClock):
    """A pipeline clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 0

    def get_time(self) -> int:
        return self.now

    def start(self) -> None:
        """It has no time of its own."""


class Sink(FrameProcessor):
    """Keeps what the processor before it passes on."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self.frames: list[Frame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(frame)


async def set_up(processor: FrameProcessor, clock: BaseClock, out_rate: int) -> StartFrame:
    """Set a processor up, on any Pipecat. Return the start of its pipeline."""
    fields = {field.name for field in dataclasses.fields(FrameProcessorSetup)}
    setup: dict[str, Any] = {"clock": clock, "task_manager": _task_manager()}
    if "pipeline_worker" in fields:
        setup["pipeline_worker"] = None
    # From 1.8.0 on, the rates come with the setup instead.
    rates: dict[str, Any] = {"audio_in_sample_rate": 16000, "audio_out_sample_rate": out_rate}
    with_setup = "audio_out_sample_rate" in fields
    await processor.setup(FrameProcessorSetup(**setup, **(rates if with_setup else {})))
    return StartFrame(**({} if with_setup else rates))


async def start(processor: FrameProcessor, clock: BaseClock, out_rate: int) -> None:
    """Set a processor up and let it see the start of a pipeline."""
    frame = await set_up(processor, clock, out_rate)
    await processor.process_frame(frame, FrameDirection.DOWNSTREAM)


def _task_manager() -> TaskManager:
    loop = asyncio.get_running_loop()
    try:
        return TaskManager(loop=loop)
    except TypeError:  # before 1.5.0
        manager = TaskManager()
        manager.setup(TaskManagerParams(loop=loop))
        return manager
