"""Goal 1: what a frame costs at a hop between two processors, beside an observer that does nothing.

For each kind of frame that a call has: what the first sight of it takes, in the best of rounds that
are spread over the measurement, and how much more a later sight costs than the callback of an empty
observer. Frames are shown between processors of the
application, where most hops are; the assistant's audio is also shown where it enters the output and
leaves it, which each frame does once.
"""

from __future__ import annotations

import asyncio
import gc
import time
from statistics import median
from typing import TYPE_CHECKING, Any

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
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams

from benchmarks.contenders import make
from benchmarks.rounds import alternate, ratio, warm
from benchmarks.table import Row, plain
from support.calls import OUT_RATE, PacedOutput, spoken
from support.stage import Clock, Sink, set_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipecat.frames.frames import Frame

    from benchmarks.bench import Bench

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
AUDIO = "assistant's audio"
AT_OUTPUT = (f"{AUDIO}, into the output", f"{AUDIO}, out of the output")
LIMIT, LIMIT_US = 2.0, 10.0
DOWN = FrameDirection.DOWNSTREAM


async def later(observer: BaseObserver, data: FramePushed, pushes: int) -> float:
    """Return the mean time of a callback for one frame, in nanoseconds."""
    began = time.perf_counter_ns()
    for _ in range(pushes):
        await observer.on_push_frame(data)
    return (time.perf_counter_ns() - began) / pushes


async def first(observer: BaseObserver, pushes: Sequence[FramePushed]) -> float:
    """Return the median time of a callback for frames that are new, in nanoseconds."""
    times = []
    for push in pushes:
        began = time.perf_counter_ns()
        await observer.on_push_frame(push)
        times.append(time.perf_counter_ns() - began)
    return median(times)


def least(rounds: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the least of the rounds' times: the others were in a slow phase of the machine."""
    return {
        kind: {name: min(found[kind][name] for found in rounds) for name in names}
        for kind, names in rounds[0].items()
    }


async def later_of(
    observers: Mapping[str, BaseObserver], data: FramePushed, rounds: int, pushes: int
) -> dict[str, list[float]]:
    """Return the times of later sights of a frame, by contender and round."""
    for observer in observers.values():
        await observer.on_push_frame(data)

    async def once(name: str) -> float:
        return await later(observers[name], data, pushes)

    return await alternate(rounds, [*observers], once)


async def measure(contenders: list[str], rounds: int, pushes: int, firsts: int) -> dict[str, Any]:
    """Return the times of callbacks, in nanoseconds: by kind, contender, and round."""
    clock, app, more, last = Clock(), Sink(), Sink(), Sink()
    output = PacedOutput(TransportParams())
    for processor in (app, more, last, output):
        await set_up(processor, clock, OUT_RATE)

    def push(frame: Frame, source: FrameProcessor = app, to: FrameProcessor = more) -> FramePushed:
        return FramePushed(source, to, frame, DOWN, clock.now)

    async def first_of(kind: str, *way: FrameProcessor) -> dict[str, float]:
        return {
            name: await first(observer, [push(KINDS[kind](), *way) for _ in range(firsts)])
            for name, observer in observers.items()
        }

    async def firsts_of() -> dict[str, dict[str, float]]:
        found = {kind: await first_of(kind) for kind in KINDS}
        for kind, way in zip(AT_OUTPUT, ((app, output), (output, last)), strict=True):
            found[kind] = await first_of(AUDIO, *way)
        return found

    observers = {name: (await make(name)).observer for name in contenders}
    for observer in observers.values():
        await observer.on_push_frame(push(MetricsFrame(data=[])))
    await asyncio.sleep(1)  # until nothing else runs: the call's start was sent
    gc.disable()
    warm()
    seen = [await firsts_of()]
    found: dict[str, Any] = {"later": {}}
    for kind, new in KINDS.items():
        found["later"][kind] = await later_of(observers, push(new()), rounds, pushes)
        seen.append(await firsts_of())
    found["first"] = least(seen)
    for observer in observers.values():
        if hasattr(observer, "aflush"):
            await observer.aflush()
    return found


def worst(found: dict[str, Any], name: str) -> tuple[float, float]:
    """Return the slowest first sight in microseconds, and the worst ratio of later sights."""
    slowest = max(times[name] for times in found["first"].values()) / 1000
    return slowest, max(ratio(times, name, "empty") for times in found["later"].values())


async def row(bench: Bench) -> Row:
    """Measure, print the figures by kind, and judge."""
    options = bench.pick(
        {"rounds": 11, "pushes": 2000, "firsts": 50},
        {"rounds": 21, "pushes": 10_000, "firsts": 200},
    )
    floor = ["empty", "turns", "roark"]
    found = await bench.ours("hot_path", contenders=[*floor, "spooled"], **options)
    print(_by_kind(found))
    old = await bench.each(
        [bench.old] if bench.old else [], "hot_path", contenders=floor, **options
    )
    peers = await bench.each(bench.peers, "hot_path", contenders=["empty", "peer"], **options)
    figures = [worst(found, "roark"), *(worst(other, "roark") for other in old.values())]
    contender = {peer.name: peer.contender for peer in bench.peers}
    beside = {name: worst(other, contender[name]) for name, other in peers.items()}
    bench.failures += [
        f"a later sight costs {more:.2f}x an empty callback" for _, more in figures if more > LIMIT
    ]
    bench.spool[1] = max(ratio(times, "spooled", "roark") for times in found["later"].values())
    return Row(
        1,
        "A callback: 2x an empty one, a first sight under 10 us",
        "; ".join(map(_text, figures)) + (" on Pipecat 0.0.108" if old else ""),
        "; ".join(
            f"{name} {_text(figure)}"
            for name, figure in {"TurnTrackingObserver": worst(found, "turns"), **beside}.items()
        ),
        all(us < LIMIT_US and times <= LIMIT for us, times in figures),
    )


def _text(figure: tuple[float, float]) -> str:
    return f"{figure[1]:.2f}x, {figure[0]:.1f} us"


def _by_kind(found: dict[str, Any]) -> str:
    return plain(
        ("ns a callback", "first", "empty", "later", "ratio"),
        [
            (
                kind,
                f"{times['roark']:.0f}",
                *(f"{median(found['later'][kind][name]):.0f}" for name in ("empty", "roark")),
                f"{ratio(found['later'][kind], 'roark', 'empty'):.2f}",
            )
            if kind in found["later"]
            else (kind, f"{times['roark']:.0f}", "", "", "")
            for kind, times in found["first"].items()
        ],
    )
