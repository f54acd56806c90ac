"""What an API that fails costs the calls of a process, in figures."""

from __future__ import annotations

import asyncio
import os
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
from pipecat.frames.frames import OutputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipecat_roark import Loss, RoarkObserver, wire
from pipecat_roark.budget import Budget, Share
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import CHUNK_BYTES, Delivery
from pipecat_roark.local import LocalRoark
from pipecat_roark.receipt import CHUNK
from pipecat_roark.settings import MAX_PROCESS_WAITING_BYTES
from scenarios import faults
from support.audio import RIGHT, channel
from support.calls import OUT_RATE, Call

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pipecat.frames.frames import Frame


async def flaky(folder: Path, calls: int, *, scale: float, at_once: int = 20) -> int:
    """Deliver calls while 30 % of all requests fail at random. Return how many arrived whole."""
    broken = (
        *(faults.answer(status) for status in (429, 500, 502, 503)),
        *(
            faults.reset,
            faults.reset_in_the_middle,
            faults.take_and_reset,
            faults.take_and_truncate,
        ),
    )
    places = asyncio.Semaphore(at_once)

    async def one(roark: LocalRoark, name: str) -> bool:
        chunks = faults.audio(name, 8000)
        async with places:
            receipt = await faults.deliver(
                roark.url, name, chunks, secs=2 * scale, scale=scale, deadline_secs=10
            )
        return faults.outcome(receipt, roark.calls.get(name), chunks).as_it_should(faults.Case())

    async with LocalRoark(folder, middlewares=[faults.sometimes(0.3, *broken)]) as roark:
        return sum(await asyncio.gather(*(one(roark, f"call {n}") for n in range(calls))))


async def crowd(folder: Path, calls: int, *, secs: float) -> int:
    """Hold real calls at once, the API away in the middle. Return how many arrived as they were.

    Each call has a sentence and a tone of its own.
    """
    away = [faults.between(0.3 * secs, 0.6 * secs, faults.answer(503))]

    async with LocalRoark(folder, middlewares=away) as local:

        async def one(number: int) -> bool:
            hertz = 300 + 20 * number

            async def script(call: Call) -> None:
                call.microphone.muted = True
                await call.bot_says(f"This is call {number}.", secs=secs, hertz=hertz)
                await call.quiet()
                await call.end()

            with _at(local):
                roark = RoarkObserver(agent_id="front-desk", pipecat_call_id=f"call {number}")
            await Call([roark], [roark.audio_processor]).hold(script)
            stored = local.calls[f"call {number}"]
            if not (stored.complete and stored.ended and stored.recording and roark.receipt.whole):
                return False
            said = [turn["content"] for turn in stored.ended["transcript"]]
            samples, _ = channel(stored.recording, RIGHT)
            loudest = int(np.argmax(np.abs(np.fft.rfft(samples)))) * OUT_RATE / len(samples)
            return said == [f"This is call {number}."] and abs(loudest - hertz) < 5

        return sum(await asyncio.gather(*(one(number) for number in range(calls))))


class Pacer(FrameProcessor):
    """Notes when the assistant's audio passes."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputAudioRawFrame):
            self.times.append(time.perf_counter())
        await self.push_frame(frame, direction)

    def gap_ms(self, share: float) -> float:
        """Return a quantile of the time between two frames, in milliseconds."""
        return float(1000 * np.quantile(np.diff(self.times), share))


@dataclass(frozen=True)
class Pace:
    """The time between two frames of the assistant's audio, in milliseconds."""

    median: float
    p99: float
    ending_secs: float = 0.0


async def pacing(secs: float, *observers: RoarkObserver) -> Pace:
    """Hold a call in which both talk, and measure its pace."""

    async def script(call: Call) -> None:
        await call.bot_says("A long story.", secs=secs)
        await call.user_says("Yes.", secs=max(secs / 2, secs - 5))
        await call.quiet()
        await call.end()

    pacer = Pacer()
    processors: list[FrameProcessor] = [roark.audio_processor for roark in observers]
    await Call([*observers], [*processors, pacer]).hold(script)
    endings = [roark.receipt.ending_secs or 0.0 for roark in observers]
    return Pace(pacer.gap_ms(0.5), pacer.gap_ms(0.99), *endings)


async def black_hole(folder: Path, secs: float, *, deadline_secs: float) -> tuple[Pace, Pace]:
    """Measure a call without an observer, and one whose API never answers."""
    alone = await pacing(secs)
    async with _never(folder) as local:
        with _at(local):
            roark = RoarkObserver(agent_id="front-desk", deadline_secs=deadline_secs)
        return alone, await pacing(secs, roark)


@dataclass(frozen=True)
class Kept:
    """What calls cost whose audio no server accepts.

    Attributes:
        grown: By how many bytes the memory in use grew.
        reasons: Why audio of each call is lost, and how many chunks.
    """

    grown: int
    reasons: list[Counter[str]]


async def memory(
    folder: Path,
    captured: int,
    *,
    max_waiting_bytes: int,
    max_process_waiting_bytes: int = MAX_PROCESS_WAITING_BYTES,
    calls: int = 1,
) -> Kept:
    """Capture audio of some calls at once that no server accepts."""
    budget = Budget()
    async with _never(folder) as local:
        held = [
            Delivery(
                RoarkClient(local.url, "key", f"call {number}"),
                label=f"call {number}",
                deadline_secs=0.1,
                memory=Share(max_waiting_bytes, max_process_waiting_bytes, budget),
            )
            for number in range(calls)
        ]
        for number, delivery in enumerate(held):
            delivery.begin(wire.call_started(f"call {number}", faults.AT, "front-desk"))
        await asyncio.sleep(0.5)  # until the clients are there
        tracemalloc.start()
        for _ in range(captured // CHUNK_BYTES):
            for delivery in held:
                delivery.add_audio(os.urandom(CHUNK_BYTES))
            await asyncio.sleep(0.001)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await asyncio.gather(*(delivery.finish(b"{}") for delivery in held))
    return Kept(grown, [_reasons(delivery.receipt.lost) for delivery in held])


def _reasons(lost: tuple[Loss, ...]) -> Counter[str]:
    counts = Counter[str]()
    for loss in lost:
        if loss.what == CHUNK:
            counts[loss.reason] += loss.count
    return counts


def _never(folder: Path) -> LocalRoark:
    """Return a Roark that takes every request and never answers."""
    return LocalRoark(folder, middlewares=[faults.first(faults.FOR_GOOD, faults.hang)])


def _at(local: LocalRoark) -> AbstractContextManager[None]:
    """Let observers that are made now talk to this Roark."""
    return patch.dict(os.environ, ROARK_BASE_URL=local.url, ROARK_API_KEY="key")
