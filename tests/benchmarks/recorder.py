"""What recording costs, beside Pipecat's own recorder.

uv run python tests/benchmarks/recorder.py

Both get the same frames: a microphone at each rate, and an assistant at the pipeline's 24 kHz that
speaks all the time, in frames of 20 ms. Both cut chunks of 256 KiB. The rounds alternate. Of the
rounds' times of a frame, the median counts for the cost, and the least for the stall, which leaves
out those of the machine. The first frames, which set the resamplers up, are left out. Exits with 1
if ours costs more at any rate, holds up the event loop for longer, or takes more than 2 MiB.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from loguru import logger
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    InputAudioRawFrame,
    TTSAudioRawFrame,
)
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import TransportParams

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.recording.recorder import StereoRecorder
from support.calls import PacedOutput
from support.feed import OUT_RATE, Clock, start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipecat.frames.frames import Frame
    from pipecat.processors.frame_processor import FrameProcessorSetup

    from pipecat_roark.moments import Edge
    from pipecat_roark.recording.listener import UserTrack

RATES = (8000, 16000, 24000, 48000)
ROUNDS = 7
SECS = 60
HOURS = 2
WARM_UP = 4
FRAME_NS = 20_000_000
MEMORY_LIMIT = 2 * 1024 * 1024
DOWN = FrameDirection.DOWNSTREAM


@dataclass(frozen=True)
class Cost:
    """What a recorder costs, in microseconds.

    Attributes:
        frame: Mean over the frames.
        chunk: The longest stall of the event loop at a chunk.
        other: The longest at any other frame.
    """

    frame: float
    chunk: float
    other: float

    @property
    def stall(self) -> float:
        """The longest stall of the event loop."""
        return max(self.chunk, self.other)


class Deaf:
    """A listener that keeps nothing."""

    def on_audio(self, pcm: bytes) -> bytes:
        return pcm

    def on_frame(self, frame: Frame, at: int, track: UserTrack) -> None:
        """Do nothing."""

    def on_bot_onset(self, at: int, edge: Edge) -> None:
        """Do nothing."""

    def on_bot_offset(self, at: int, edge: Edge) -> None:
        """Do nothing."""

    def on_setup(self, setup: FrameProcessorSetup) -> Callable[[], int]:
        """Return the pipeline's clock."""
        get_time: Callable[[], int] = setup.clock.get_time
        return get_time

    async def on_cleanup(self) -> None:
        """Do nothing."""


def ours() -> AudioBufferProcessor:
    """Return the recorder of this package."""
    return StereoRecorder(Deaf(), chunk_bytes=CHUNK_BYTES)


def stock() -> AudioBufferProcessor:
    """Return Pipecat's recorder, with chunks of the same size: it counts one channel."""
    return AudioBufferProcessor(
        num_channels=2, buffer_size=CHUNK_BYTES // 2, enable_direct_mode=True
    )


async def begin(recorder: AudioBufferProcessor, clock: Clock) -> None:
    """Start a recorder after an output transport that speaks."""
    PacedOutput(TransportParams()).link(recorder)
    await start(recorder, clock, OUT_RATE)
    await recorder.start_recording()
    await recorder.process_frame(BotStartedSpeakingFrame(), DOWN)


def noise(rate: int) -> bytes:
    """Return a frame's worth of loud audio."""
    size = rate * FRAME_NS // 1_000_000_000
    return np.random.default_rng(rate).integers(-8000, 8000, size, np.int16).tobytes()


def call(rate: int) -> list[Frame]:
    """Return the frames of a call in which both talk all the time, in turn."""
    said, spoken = noise(rate), noise(OUT_RATE)
    frames: list[Frame] = []
    for _ in range(SECS * 50):
        frames += [InputAudioRawFrame(said, rate, 1), TTSAudioRawFrame(spoken, OUT_RATE, 1)]
    return frames


async def timed(recorder: AudioBufferProcessor, frames: Sequence[Frame]) -> list[tuple[float, int]]:
    """Return, for every frame, how long it took in microseconds, and the chunks that it cut."""
    clock, chunks = Clock(), 0

    async def on_audio_data(*_: object) -> None:
        nonlocal chunks
        chunks += 1

    recorder.add_event_handler("on_audio_data", on_audio_data)
    await begin(recorder, clock)
    times = []
    for number, frame in enumerate(frames):
        clock.now = (number // 2 + 1) * FRAME_NS
        before, began = chunks, time.perf_counter()
        await recorder.process_frame(frame, DOWN)
        await asyncio.sleep(0)  # the turn of the loop in which the chunk's handlers run
        times.append((1e6 * (time.perf_counter() - began), chunks - before))
    return times


async def compare(rate: int) -> list[Cost]:
    """Return what our recorder costs, and what the stock one does."""
    frames = call(rate)
    makers: list[Callable[[], AudioBufferProcessor]] = [ours, stock]
    rounds: list[list[list[tuple[float, int]]]] = [[], []]
    for _ in range(ROUNDS):
        for make, times in zip(makers, rounds, strict=True):
            gc.collect()
            gc.disable()
            times.append(await timed(make(), frames))
            gc.enable()
    costs = []
    for times in rounds:
        taken = np.array(times)[:, WARM_UP:, 0]
        cut = np.array(times)[0, WARM_UP:, 1] > 0
        typical, least = np.median(taken, axis=0), taken.min(axis=0)
        costs.append(Cost(float(typical.mean()), least[cut].max(), least[~cut].max()))
    return costs


async def memory() -> tuple[int, int]:
    """Return what our recorder holds after hours of a call, and the most at any time, in bytes."""
    recorder, clock = ours(), Clock()
    said, spoken = bytearray(noise(16000)), bytearray(noise(OUT_RATE))
    tracemalloc.start()
    await begin(recorder, clock)
    for number in range(HOURS * 3600 * 50):
        clock.now += FRAME_NS
        within = number % 1000
        await recorder.process_frame(InputAudioRawFrame(bytes(said), 16000, 1), DOWN)
        if within == 0:
            await recorder.process_frame(BotStartedSpeakingFrame(), DOWN)
        if within < 400:
            await recorder.process_frame(TTSAudioRawFrame(bytes(spoken), OUT_RATE, 1), DOWN)
        if within == 400:
            await recorder.process_frame(BotStoppedSpeakingFrame(), DOWN)
    held = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held


async def main() -> int:
    """Print the figures; 1 if a limit is exceeded."""
    logger.disable("pipecat")
    exceeded = False
    print("            |   us a frame    |  longest stall of the loop, in us   |")
    print("            |                 |    at a chunk    |    otherwise     |")
    print("microphone  |  ours     stock |   ours     stock |   ours     stock |")
    for rate in RATES:
        mine, theirs = await compare(rate)
        exceeded |= mine.frame > theirs.frame or mine.stall > theirs.stall
        print(
            f"{rate:>8} Hz | {mine.frame:>5.2f} {theirs.frame:>9.2f} "
            f"| {mine.chunk:>6.0f} {theirs.chunk:>9.0f} | {mine.other:>6.0f} {theirs.other:>9.0f} |"
        )
    held, most = await memory()
    exceeded |= most > MEMORY_LIMIT
    print(f"memory of ours: {held / 1024:.0f} KiB after {HOURS} h, {most / 1024:.0f} KiB at most")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
