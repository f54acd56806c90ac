"""How true a recording is to a call in real time, through a real pipeline and its transports.

The call has mutes, stalls of the network with the bursts that follow, and talk over talk. Every
sound is a tone, and its place in the recording is compared with when it could be heard. The call
has steady time: where a machine stands still, so does its clock, and no recorder is to blame.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.contenders import make
from support.audio import audible_secs
from support.live import PERIOD, LiveCall
from support.steady import install, steady_time

if TYPE_CHECKING:
    from support.audio import Samples, Span

LIMIT_MS = 20.0


class Truth(NamedTuple):
    """How far a recording is from the truth.

    Attributes:
        sounds: How many sounds there should be.
        right: How many of them lie within 20 ms of where they could be heard, and no more of them.
        length_ms: By how much the recording is too long.
    """

    sounds: int
    right: int
    length_ms: float


def right(found: list[Span], true: list[Span]) -> int:
    """Return how many sounds are found where they truly are, from their start to their end."""
    return sum(
        any(
            abs(begin - since) < LIMIT_MS / 1000 and abs(end - until) < LIMIT_MS / 1000
            for begin, end in found
        )
        for since, until in true
    )


async def truth(name: str, periods: int) -> Truth:
    """Hold a call of some periods of 20 s, and compare its recording with it."""
    wiring = await make(name)
    (recorder,) = wiring.processors
    call = LiveCall(periods, recorder, wiring.observers)
    audio, rates = [], []

    async def on_audio_data(_: object, pcm: bytes, rate: int, _channels: int) -> None:
        audio.append(pcm)
        rates.append(rate)

    recorder.add_event_handler("on_audio_data", on_audio_data)
    await call.hold()
    await asyncio.sleep(0.2)  # handlers run in the background
    stereo = np.frombuffer(b"".join(audio), "<i2").reshape(-1, 2)
    channels: list[Samples] = [stereo[:, 0].copy(), stereo[:, 1].copy()]
    true = call.truth()
    found = (audible_secs(samples, rates[0], pause=0.005) for samples in channels)
    return Truth(
        sum(map(len, true)),
        sum(right(*pair) for pair in zip(found, true, strict=True)),
        1000 * (len(stereo) / rates[0] - PERIOD * periods),
    )


async def measure(contenders: list[str], periods: int) -> dict[str, Truth]:
    """Return how true the recordings of contenders are, by contender; all at the same time."""
    install()
    async with steady_time():
        found = await asyncio.gather(*(truth(name, periods) for name in contenders))
    return dict(zip(contenders, found, strict=True))
