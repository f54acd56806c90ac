"""What a frame costs at a hop between two processors, beside an observer that does nothing.

uv run python tests/benchmarks/hot_path.py

For each kind of frame that a call has: what the first sight of it takes, and how much more a later
sight costs than the callback of an empty observer. Frames are shown between processors of the
application, where most hops are. Rounds alternate, and the median of their ratios counts. Exits
with 1 if a later sight costs more than twice as much.
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
    BotStartedSpeakingFrame,
    HeartbeatFrame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    MetricsFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipecat_roark import RoarkObserver
from pipecat_roark.local import LocalRoark
from support.calls import spoken
from support.feed import OUT_RATE, Clock, Sink, start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipecat.frames.frames import Frame

STAMP = "2026-01-01T00:00:00Z"
KINDS: dict[str, Callable[[], Frame]] = {
    "user's audio": lambda: InputAudioRawFrame(bytes(640), 16000, 1),
    "assistant's audio": lambda: TTSAudioRawFrame(bytes(960), OUT_RATE, 1),
    "assistant's words": lambda: spoken("Hello"),
    "final transcription": lambda: TranscriptionFrame("Hello", "caller", STAMP),
    "interim transcription": lambda: InterimTranscriptionFrame("Hel", "caller", STAMP),
    "user speaks": UserStartedSpeakingFrame,
    "bot speaks": BotStartedSpeakingFrame,
    "bot is speaking": BotSpeakingFrame,
    "metrics": lambda: MetricsFrame(data=[]),
    "heartbeat": lambda: HeartbeatFrame(timestamp=0),
}
ROUNDS = 31
PUSHES = 20_000
FIRSTS = 2_000
LIMIT = 2.0


class Empty(BaseObserver):
    """An observer that does nothing."""

    async def on_push_frame(self, data: FramePushed) -> None:
        """Do nothing."""


async def later(observer: BaseObserver, data: FramePushed) -> float:
    """Return the mean time of a callback for one frame, in nanoseconds."""
    began = time.perf_counter_ns()
    for _ in range(PUSHES):
        await observer.on_push_frame(data)
    return (time.perf_counter_ns() - began) / PUSHES


async def first(observer: BaseObserver, pushes: Sequence[FramePushed]) -> float:
    """Return the median time of a callback for frames that are new, in nanoseconds."""
    times = []
    for push in pushes:
        began = time.perf_counter_ns()
        await observer.on_push_frame(push)
        times.append(time.perf_counter_ns() - began)
    return median(times)


async def compare(
    roark: RoarkObserver, kind: str, push: Callable[[Frame], FramePushed]
) -> tuple[float, float]:
    """Print a line, and return the time of a first sight and the ratio of a later one."""
    make = KINDS[kind]
    sighted = await first(roark, [push(make()) for _ in range(FIRSTS)])
    data = push(make())
    await roark.on_push_frame(data)
    pairs = [(await later(Empty(), data), await later(roark, data)) for _ in range(ROUNDS)]
    empty, ours = (median(times) for times in zip(*pairs, strict=True))
    ratio = median(ours / empty for empty, ours in pairs)
    print(f"{kind:<22} {sighted:>9.0f} {empty:>7.0f} {ours:>7.0f} {ratio:>7.2f}")
    return sighted, ratio


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

            def push(frame: Frame) -> FramePushed:
                return FramePushed(source, destination, frame, FrameDirection.DOWNSTREAM, clock.now)

            await roark.on_push_frame(push(KINDS["metrics"]()))
            await asyncio.sleep(1)  # until nothing else runs: the call's start was sent
            print(f"{'ns a callback':<22} {'first':>9} {'empty':>7} {'later':>7} {'ratio':>7}")
            figures = [await compare(roark, kind, push) for kind in KINDS]
            await roark.aflush()
    slowest, worst = (max(figure) for figure in zip(*figures, strict=True))
    print(f"slowest first sight: {slowest / 1000:.1f} us, worst ratio: {worst:.2f}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
