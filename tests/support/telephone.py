"""Telephone calls: a caller with a clock of its own, and a bot behind a real websocket.

The caller sends a message for each 20 ms of audio, from the moment of the connection on, whether
somebody reads the messages or not.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
import wave
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
import uvicorn
from fastapi import FastAPI, WebSocket
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    OutputTransportMessageFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from support.at_once import apart
from support.audio import LOUD
from support.calls import FRAME_SECS, IN_RATE, run, spoken, tone
from support.lines import LINE_RATE, STREAM, Line, Twilio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from pipecat.transports.base_transport import BaseTransport

    from pipecat_roark import RoarkObserver
    from support.audio import Span
    from support.feed import Samples

SPEECH = Path(__file__).parents[2] / "examples" / "offline" / "speech"
_OF_PEAK = 0.03
"""Recorded speech can be heard from this part of its peak on."""
_PAUSE_SECS = 0.3
"""A sound after a silence of this length is another answer."""


def recorded(name: str, begin: float = 0.0, end: float | None = None) -> Samples:
    """Return recorded speech at the rate of the line, without the silence at both ends.

    Args:
        name: Name of the recording.
        begin: Where to begin, in seconds of the recording.
        end: Where to end; None at its end.
    """
    with wave.open(str(SPEECH / f"{name}.wav")) as wav:
        whole = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
        samples = soxr.resample(whole, wav.getframerate(), LINE_RATE)
    samples = samples[round(begin * LINE_RATE) : None if end is None else round(end * LINE_RATE)]
    loud = np.flatnonzero(np.abs(samples.astype(int)) >= _OF_PEAK * samples.max())
    cut: Samples = samples[loud[0] : loud[-1] + 1].astype(np.int16)
    return cut


@dataclass
class Caller:
    """Somebody on the telephone, who measures how long the bot takes to answer.

    All times are in seconds since the first sample that the telephone sent.
    """

    lines: Sequence[tuple[float, Samples]]
    """When the caller says what."""
    stays: float
    """When the caller hangs up."""
    hold: Span = (0.0, 0.0)
    """When the telephone sends nothing."""
    breaks: bool = False
    """Whether the line breaks in the end, rather than being closed."""
    line: Line = field(default_factory=Twilio)
    began: float = 0.0
    """Wall time of second 0."""
    hears: list[Span] = field(default_factory=list)
    """When the caller heard each answer."""
    _clock: float = 0.0

    def says(self) -> list[Span]:
        """Return when the caller speaks."""
        return [(begin, begin + len(line) / LINE_RATE) for begin, line in self.lines]

    def waits(self) -> list[float]:
        """Return how long the caller waited for each answer."""
        ends = [end for _, end in self.says()]
        return [begin - end for (begin, _), end in zip(self.hears, ends, strict=True)]

    def audio(self) -> Samples:
        """Return all that the caller's telephone hears, also while it sends nothing."""
        samples = np.zeros(round(self.stays * LINE_RATE), np.int16)
        for begin, line in self.lines:
            samples[round(begin * LINE_RATE) :][: len(line)] = line
        return samples

    async def call(self, url: str) -> None:
        """Hold the call on an event loop of its own: that of the bot may stand still."""
        await apart(self._call(url))

    async def _call(self, url: str) -> None:
        async with connect(url) as socket:
            for message in self.line.begin():
                await socket.send(json.dumps(message))
            listening = asyncio.create_task(self._listen(socket))
            await self._speak(socket)
            if self.breaks:
                socket.transport.abort()
            else:
                for message in self.line.end():
                    await socket.send(json.dumps(message))
        await listening

    async def _speak(self, socket: ClientConnection) -> None:
        messages = [*self.line.speak(self.audio())]
        self._clock, self.began = time.monotonic(), time.time()
        for number, message in enumerate(messages, 1):
            due = number * FRAME_SECS
            await asyncio.sleep(self._clock + due - time.monotonic())
            if not self.hold[0] < due <= self.hold[1]:
                await socket.send(message)

    async def _listen(self, socket: ClientConnection) -> None:
        """Play the messages as they arrive, each behind the one before."""
        free = 0.0
        with suppress(ConnectionClosedError):
            async for message in socket:
                clears, now = self.line.clears, time.monotonic() - self._clock
                audio = await self.line.read(message)
                if audio is not None:
                    begin = max(free, now)
                    free = begin + len(audio) / LINE_RATE
                    self._hear(audio, begin)
                elif self.line.clears > clears:
                    free = now
                    if self.hears:
                        begin, end = self.hears.pop()
                        self.hears.append((begin, min(end, now)))
                elif reply := self.line.answer(message):
                    await asyncio.sleep(free - now)
                    await socket.send(json.dumps(reply))

    def _hear(self, samples: Samples, at: float) -> None:
        loud = np.flatnonzero(np.abs(samples) > LOUD)
        if len(loud):
            begin, end = at + float(loud[0]) / LINE_RATE, at + float(loud[-1] + 1) / LINE_RATE
            if self.hears and begin - self.hears[-1][1] < _PAUSE_SECS:
                begin, _ = self.hears.pop()
            self.hears.append((begin, end))


class Answers(FrameProcessor):
    """Recognizer, model and voice: some time after the caller's last word it answers with a tone.

    New speech interrupts an answer. Behind each answer it sends a mark of Twilio's.

    Args:
        thinks: How long the answer takes, in seconds.
        speaks: How long the answer is, in seconds.
    """

    def __init__(self, thinks: float, speaks: float = 0.8) -> None:
        super().__init__()
        self._thinks = thinks
        self._speaks = speaks
        self._questions = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            await self.broadcast_interruption()  # type: ignore[no-untyped-call]
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._questions += 1
            self.create_task(self._answer(self._questions))

    async def _answer(self, number: int) -> None:
        said = TranscriptionFrame(f"Question {number}.", "caller", "2026-01-01T00:00:00Z")
        await self.push_frame(said)
        await asyncio.sleep(self._thinks)
        audio = tone(self._speaks, LINE_RATE, 660).tobytes()
        await self.push_frame(TTSStartedFrame())
        await self.push_frame(TTSAudioRawFrame(audio, LINE_RATE, 1))
        await self.push_frame(spoken(f"Answer {number}."))
        await self.push_frame(TTSStoppedFrame())
        mark = {"event": "mark", "streamSid": STREAM, "mark": {"name": f"answer {number}"}}
        await self.push_frame(OutputTransportMessageFrame(message=mark))


async def converse(
    transport: BaseTransport, roark: RoarkObserver, *services: FrameProcessor, **params: Any
) -> None:
    """Hold a call over a transport, wired as the README says, until the client leaves."""
    task = PipelineTask(
        Pipeline([transport.input(), *services, transport.output(), roark.audio_processor]),
        params=PipelineParams(audio_in_sample_rate=IN_RATE, **params),
        observers=[roark],
    )

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def hang_up(_transport: object, _client: object) -> None:
        await roark.aflush()
        await task.cancel()

    await run(task)


@dataclass
class Bot:
    """A bot, wired as the README says, that takes one call; only then does it load its models."""

    roark: RoarkObserver
    loads: float = 0.0
    """How long the models take to load, in seconds. The event loop stands still meanwhile."""
    thinks: float = 0.7
    """How long an answer takes after the detector has heard the end of speech, in seconds."""
    speaks: float = 0.8
    """How long an answer is, in seconds."""
    line: Line = field(default_factory=Twilio)

    async def answer(self, websocket: WebSocket) -> None:
        """Hold the call to its end."""
        await websocket.accept()
        for _ in self.line.begin():
            await websocket.receive_text()
        detector = self._load()
        transport = FastAPIWebsocketTransport(
            websocket,
            FastAPIWebsocketParams(
                audio_in_enabled=True,
                audio_out_enabled=True,
                serializer=self.line.serializer(),
            ),
        )
        await converse(
            transport,
            self.roark,
            VADProcessor(vad_analyzer=detector),
            Answers(self.thinks, self.speaks),
            audio_out_sample_rate=LINE_RATE,
        )

    def _load(self) -> SileroVADAnalyzer:
        began = time.monotonic()
        detector = SileroVADAnalyzer()
        time.sleep(max(0.0, began + self.loads - time.monotonic()))
        return detector


@asynccontextmanager
async def listening(answer: Callable[[WebSocket], Awaitable[None]]) -> AsyncIterator[str]:
    """Take calls at a port of this machine; on exit, wait until they are over."""
    app = FastAPI()
    app.add_api_websocket_route("/", answer)
    async with served(app) as url:
        yield url


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serve an application at a port of this machine; on exit, wait until its calls are over."""
    port = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            ws="websockets-sansio",
            lifespan="off",
            log_level="warning",
            timeout_graceful_shutdown=10,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[port]))
    try:
        yield f"ws://127.0.0.1:{port.getsockname()[1]}/"
    finally:
        server.should_exit = True
        await serving
