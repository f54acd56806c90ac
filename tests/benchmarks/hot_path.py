"""What a frame costs that the observer has no use for, beside an observer that does nothing.

uv run python tests/benchmarks/hot_path.py

Most of what a pipeline shows its observers is of this kind. Rounds of both alternate, and the
median of their ratios counts. Exits with 1 if it is above 2 for any kind of frame.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from loguru import logger
from pipecat.frames.frames import (
    BotSpeakingFrame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipecat_roark import RoarkObserver
from pipecat_roark.local import LocalRoark
from support.feed import OUT_RATE, Clock, Sink, start

if TYPE_CHECKING:
    from pipecat.frames.frames import Frame

FRAMES: list[Frame] = [
    InputAudioRawFrame(bytes(640), 16000, 1),
    InterimTranscriptionFrame("half a", "caller", "2026-01-01T00:00:00Z"),
    BotSpeakingFrame(),
]
ROUNDS = 31
PUSHES = 20_000
LIMIT = 2.0


class Empty(BaseObserver):
    """An observer that does nothing."""

    async def on_push_frame(self, data: FramePushed) -> None:
        """Do nothing."""


async def nanoseconds(observer: BaseObserver, data: FramePushed) -> float:
    """Return the mean time of a callback in nanoseconds."""
    began = time.perf_counter_ns()
    for _ in range(PUSHES):
        await observer.on_push_frame(data)
    return (time.perf_counter_ns() - began) / PUSHES


async def compare(roark: RoarkObserver, data: FramePushed) -> float:
    """Print a frame's line, and return how much more it costs ours than an empty observer."""
    pairs = [
        (await nanoseconds(Empty(), data), await nanoseconds(roark, data)) for _ in range(ROUNDS)
    ]
    empty, ours = (median(times) for times in zip(*pairs, strict=True))
    ratio = median(ours / empty for empty, ours in pairs)
    print(f"{type(data.frame).__name__:<26} {empty:>7.0f} {ours:>7.0f} {ratio:>7.2f}")
    return ratio


async def main() -> int:
    """Print the figures; 1 if a frame costs too much."""
    logger.remove()
    source, destination, clock = Sink(), Sink(), Clock()
    for processor in (source, destination):
        await start(processor, clock, OUT_RATE)
    with tempfile.TemporaryDirectory() as folder:
        async with LocalRoark(Path(folder)) as local:
            os.environ["ROARK_BASE_URL"] = local.url
            roark = RoarkObserver(agent_id="benchmark", api_key="benchmark")
            pushes = [
                FramePushed(source, destination, frame, FrameDirection.DOWNSTREAM, clock.now)
                for frame in FRAMES
            ]
            for push in pushes:
                await roark.on_push_frame(push)
            await asyncio.sleep(1)  # until nothing else runs: the call's start was sent
            print(f"{'ns a callback':<26} {'empty':>7} {'ours':>7} {'ratio':>7}")
            worst = max([await compare(roark, push) for push in pushes])
            await roark.aflush()
    print(f"worst ratio: {worst:.2f}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
