"""Frames fed to a recorder by hand, outside of any pipeline and on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    TTSAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import TransportParams

from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.recording.recorder import StereoRecorder
from support.calls import OUT_RATE, PacedOutput
from support.stage import Clock, Sink, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from pipecat.processors.frame_processor import FrameProcessorSetup

    from pipecat_roark.moments import Edge, Speaker
    from pipecat_roark.recording.listener import UserTrack

    Samples = NDArray[np.int16]
    Arrival = tuple[float, Frame]
    """When a frame reaches the recorder, in seconds, and the frame."""

SECOND = 1_000_000_000
DETECTED = 0.2
"""How long a detector of speech takes to be sure, in seconds."""


@dataclass(repr=False)
class Feed:
    """A recorder, and the listener that keeps everything that it hands out.

    By default it is linked behind an output transport and before a sink.
    """

    out_rate: int = OUT_RATE
    after_output: bool = True
    linked: bool = True
    clock: Clock = field(default_factory=Clock)
    sink: Sink = field(default_factory=Sink)
    chunks: list[bytes] = field(default_factory=list)
    seen: list[Frame] = field(default_factory=list)
    bot_edges: list[tuple[str, int | None]] = field(default_factory=list)
    user_edges: list[tuple[str, int | None]] = field(default_factory=list)
    finished: int = 0

    def __post_init__(self) -> None:
        self.recorder = StereoRecorder(self, chunk_bytes=CHUNK_BYTES)
        if self.linked and self.after_output:
            PacedOutput(TransportParams()).link(self.recorder)
        if self.linked:
            self.recorder.link(self.sink)

    def on_audio(self, pcm: bytes) -> bytes:
        self.chunks.append(pcm)
        return pcm

    def on_frame(self, frame: Frame, _at: int, track: UserTrack) -> None:
        self.seen.append(frame)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self.user_edges.append(("from", track.user_onset(DETECTED)))
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self.user_edges.append(("until", track.user_offset(DETECTED)))

    def on_bot_onset(self, _at: int, edge: Edge) -> None:
        self.bot_edges.append(("from", edge.index))

    def on_bot_offset(self, _at: int, edge: Edge) -> None:
        self.bot_edges.append(("until", edge.index))

    def on_setup(self, setup: FrameProcessorSetup) -> Callable[[], int]:
        """Return the pipeline's clock."""
        get_time: Callable[[], int] = setup.clock.get_time
        return get_time

    async def on_cleanup(self) -> None:
        self.finished += 1

    async def start(self) -> Feed:
        """Let the recorder see the start of its pipeline."""
        await start(self.recorder, self.clock, self.out_rate)
        return self

    async def push(self, frame: Frame, at: float | None = None) -> None:
        """Let a frame reach the recorder, at a time in seconds or now."""
        if at is not None:
            self.clock.now = round(at * SECOND)
        await self.recorder.process_frame(frame, FrameDirection.DOWNSTREAM)

    async def play(self, *arrivals: Iterable[Arrival]) -> None:
        """Let frames reach the recorder in the order of their arrival."""
        for at, frame in sorted((one for some in arrivals for one in some), key=lambda one: one[0]):
            await self.push(frame, at)

    def places(self, speaker: Speaker) -> list[float]:
        """Return where the recorder says that speech begins and ends, in seconds."""
        place = self.recorder.offset_ms
        assert place is not None
        edges = self.user_edges if speaker == "user" else self.bot_edges
        return [
            place(speaker, index, which == "until") / 1000
            for which, index in edges
            if index is not None
        ]

    def recorded(self) -> tuple[Samples, Samples]:
        """Return both channels of what was handed out."""
        stereo = np.frombuffer(b"".join(self.chunks), "<i2").reshape(-1, 2)
        return stereo[:, 0].copy(), stereo[:, 1].copy()


async def record(*arrivals: Iterable[Arrival], out_rate: int = OUT_RATE) -> tuple[Samples, Samples]:
    """Return both channels of a call in which frames arrive."""
    feed = await Feed(out_rate=out_rate).start()
    await feed.play(*arrivals)
    await feed.recorder.finish()
    return feed.recorded()


def microphone(
    samples: Samples,
    begin: float = 0.0,
    *,
    rate: int = 16000,
    secs: float = 0.02,
    arrives: Callable[[float], float] = float,
) -> list[Arrival]:
    """Return the frames of a microphone; `arrives` moves them from when they are due."""
    size = round(secs * rate)
    return [
        (
            arrives(begin + (place + size) / rate),
            InputAudioRawFrame(samples[place : place + size].tobytes(), rate, 1),
        )
        for place in range(0, len(samples), size)
    ]


def speech(
    samples: Samples,
    begin: float = 0.0,
    *,
    rate: int = OUT_RATE,
    secs: float = 0.04,
    arrives: Callable[[float], float] = float,
) -> list[Arrival]:
    """Return an utterance of the assistant as an output transport plays it."""
    size = round(secs * rate)
    frames: list[Arrival] = [
        (
            arrives(begin + (place + size) / rate),
            TTSAudioRawFrame(samples[place : place + size].tobytes(), rate, 1),
        )
        for place in range(0, len(samples), size)
    ]
    end = frames[-1][0] + 0.35
    return [(begin, BotStartedSpeakingFrame()), *frames, (end, BotStoppedSpeakingFrame())]


def stalls(*, every: float = 10, lasting: float = 1) -> Callable[[float], float]:
    """Return a network that holds frames back every so often, and then lets them all through."""

    def arrives(due: float) -> float:
        into = (due - every / 2) % every
        return max(due, due - into + lasting + into / 1000) if into < 2 * lasting else due

    return arrives


def bursts(begin: float) -> Callable[[float], float]:
    """Return a sender that sends a hundred times faster than real time."""
    return lambda due: begin + 0.04 + (due - begin) / 100
