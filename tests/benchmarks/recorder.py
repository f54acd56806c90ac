"""Goal 4: what recording costs, beside Pipecat's own recorder.

Both get the same frames: a microphone and an assistant that talk all the time, in frames of 20 ms,
each at its rate; the recording has that of the assistant. Both cut chunks of 256 KiB. The cost is
the mean over all frames of a round, so work that is put off until later counts, whatever frame it
falls on. The worst piece of work is the least of the rounds' worst, which leaves out the machine's
own stalls. The first frames, which set the resamplers up, are left out of both. A chunk that was
handed out is dropped, as after an upload: if it were kept, the memory of one contender's chunks
would be there already for the next one, and new memory costs each of them as much as the work.

With and without a spool, there is a pause before the first frame and after each chunk, in which its
thread may begin and write: a call has seconds for that, and here they pass in no time.
"""

from __future__ import annotations

import asyncio
import gc
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pipecat.frames.frames import BotStartedSpeakingFrame, InputAudioRawFrame, TTSAudioRawFrame
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import TransportParams

from benchmarks.contenders import CHUNK_BYTES, make
from benchmarks.rounds import alternate, ratio, warm
from benchmarks.table import Row, plain
from pipecat_roark.recording.recorder import StereoRecorder
from support.calls import PacedOutput
from support.stage import Clock, start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipecat.frames.frames import Frame
    from pipecat.processors.frame_processor import FrameProcessorSetup

    from benchmarks.bench import Bench
    from pipecat_roark.moments import Edge
    from pipecat_roark.recording.listener import UserTrack

RATES = (
    *((rate, rate) for rate in (8000, 16000, 24000, 48000)),
    *((16000, 8000), (8000, 24000), (16000, 24000), (48000, 24000)),
)
"""Rates of the microphone and of the assistant."""
WARM_UP = 4
BEGIN_SECS, DISK_SECS = 0.1, 0.005
FRAME_NS = 20_000_000
WORST_US = 500.0
DOWN = FrameDirection.DOWNSTREAM


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


class Cost(NamedTuple):
    """What a recorder took in a round, in microseconds.

    Attributes:
        frame: Mean over the frames.
        worst: The longest piece of work.
    """

    frame: float
    worst: float


async def recorder(name: str) -> AudioBufferProcessor:
    """Return a new recorder: ours alone, Pipecat's own, or that of an observer."""
    if name == "ours":
        return StereoRecorder(Deaf(), chunk_bytes=CHUNK_BYTES)
    if name == "stock":
        return AudioBufferProcessor(
            num_channels=2, buffer_size=CHUNK_BYTES // 2, enable_direct_mode=True
        )
    (processor,) = (await make(name)).processors
    assert isinstance(processor, AudioBufferProcessor)
    return processor


def noise(rate: int) -> bytes:
    """Return a frame's worth of loud audio."""
    size = rate * FRAME_NS // 1_000_000_000
    return np.random.default_rng(rate).integers(-8000, 8000, size, np.int16).tobytes()


def call(rate: int, out_rate: int, secs: int) -> list[Frame]:
    """Return the frames of a call in which both talk all the time."""
    said, spoken = noise(rate), noise(out_rate)
    frames: list[Frame] = []
    for _ in range(secs * 50):
        frames += [InputAudioRawFrame(said, rate, 1), TTSAudioRawFrame(spoken, out_rate, 1)]
    return frames


async def timed(
    processor: AudioBufferProcessor, frames: Sequence[Frame], out_rate: int, disk_secs: float
) -> Cost:
    """Show a recorder the frames behind an output transport, and return what that took."""
    clock = Clock()
    handed_out = written = 0

    async def on_audio_data(*_: object) -> None:
        nonlocal handed_out
        handed_out += 1

    processor.add_event_handler("on_audio_data", on_audio_data)
    PacedOutput(TransportParams()).link(processor)
    await start(processor, clock, out_rate)
    await processor.start_recording()
    await processor.process_frame(BotStartedSpeakingFrame(), DOWN)
    await asyncio.sleep(BEGIN_SECS if disk_secs else 0)
    times = []
    for number, frame in enumerate(frames):
        if disk_secs and handed_out > written:
            written = handed_out
            await asyncio.sleep(disk_secs)
        clock.now = (number // 2 + 1) * FRAME_NS
        began = time.perf_counter()
        await processor.process_frame(frame, DOWN)
        await asyncio.sleep(0)  # the turn of the loop in which the chunk's handlers run
        times.append(1e6 * (time.perf_counter() - began))
    assert handed_out
    return Cost(float(np.mean(times[WARM_UP:])), max(times[WARM_UP:]))


async def measure(
    contenders: list[str],
    rates: list[tuple[int, int]],
    rounds: int,
    secs: int,
    disk_secs: float = 0,
) -> dict[str, dict[str, list[Cost]]]:
    """Return what recorders cost: by rates, contender, and round."""
    warm()
    found = {}
    for rate, out_rate in rates:
        frames = call(rate, out_rate, secs)

        async def once(name: str, frames: list[Frame] = frames, out_rate: int = out_rate) -> Cost:
            processor = await recorder(name)
            gc.collect()
            gc.disable()
            cost = await timed(processor, frames, out_rate, disk_secs)
            gc.enable()
            await processor.cleanup()
            return cost

        found[f"{rate}, {out_rate}"] = await alternate(rounds, contenders, once)
    return found


async def row(bench: Bench) -> Row:
    """Measure, print the figures by rate, and judge."""
    options = bench.pick({"rounds": 1, "secs": 10}, {"rounds": 7, "secs": 60})
    found = await bench.ours("recorder", contenders=["ours", "stock"], rates=RATES, **options)
    lines, ratios, worst = [], [], []
    for rates, costs in found.items():
        frame = {name: [cost[0] for cost in rounds] for name, rounds in costs.items()}
        longest = {name: min(cost[1] for cost in rounds) for name, rounds in costs.items()}
        ratios.append(ratio(frame, "ours", "stock"))
        worst.append(longest)
        us = (f"{median(frame[name]):.1f}" for name in ("ours", "stock"))
        lines.append((rates, *us, f"{ratios[-1]:.2f}", *map("{:.0f}".format, longest.values())))
    header = ("rates in, out, Hz", "us, ours", "stock", "ratio", "worst, ours", "stock")
    print(plain(header, lines))
    spool = await bench.ours(
        "recorder",
        contenders=["unsent", "spooled_unsent"],
        rates=RATES[-2:-1],
        disk_secs=DISK_SECS,
        **{**options, "rounds": bench.pick(1, 21)},
    )
    (rounds,) = spool.values()
    frame = {name: [cost[0] for cost in costs] for name, costs in rounds.items()}
    bench.spool[4] = ratio(frame, "spooled_unsent", "unsent")
    longest = {name: max(each[name] for each in worst) for name in ("ours", "stock")}
    return Row(
        4,
        "Recorder: a 20 ms frame not above stock, worst piece of work under 0.5 ms",
        f"{min(ratios):.2f}-{max(ratios):.2f}x, worst {longest['ours'] / 1000:.2f} ms",
        f"stock 1x, worst {longest['stock'] / 1000:.2f} ms",
        max(ratios) <= 1 and longest["ours"] < WORST_US,
    )
