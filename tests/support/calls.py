"""Calls in real pipelines, with scripted transports and with tones for speech."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames import frames
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    SpeechControlParamsFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from numpy.typing import NDArray
    from pipecat.observers.base_observer import BaseObserver
    from pipecat.processors.frame_processor import FrameProcessor

IN_RATE = 16000
OUT_RATE = 24000
FRAME_SECS = 0.02
START_SECS = STOP_SECS = 0.2
"""How long the scripted detector needs to detect that speech begins or ends."""
CLIENT_MESSAGE: Any = getattr(
    frames, "InputTransportMessageFrame", getattr(frames, "TransportMessageUrgentFrame", None)
)
BUFFER_SECS = 0.2
"""How late a frame may come without a gap in the playback."""


def tone(secs: float, rate: int, hertz: float = 440.0, amplitude: int = 8000) -> NDArray[np.int16]:
    """Return a sine that is loud from its first sample to its last."""
    at = np.arange(round(secs * rate)) / rate
    return (amplitude * np.cos(2 * np.pi * hertz * at)).astype(np.int16)


class ScriptedInput(BaseInputTransport):
    """A microphone that plays the speech it is given, and otherwise silence, with a detector."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.speech = np.empty(0, np.int16)
        self.muted = False
        self.hushed = asyncio.Event()
        """Set when the detector reports the end of speech."""
        self._speaks = self._sounds = False
        self._sure_secs = 0.0
        self._microphone: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self._microphone = asyncio.create_task(self._play())

    async def cleanup(self) -> None:
        if self._microphone:
            self._microphone.cancel()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def _play(self) -> None:
        size, frames, began = round(FRAME_SECS * IN_RATE), 0, time.monotonic()
        while True:
            frames += 1
            await asyncio.sleep(began + frames * FRAME_SECS - time.monotonic())
            now, self.speech = self.speech[:size], self.speech[size:]
            samples = np.pad(now, (0, size - len(now)))
            if not self.muted:
                await self.push_audio_frame(InputAudioRawFrame(samples.tobytes(), IN_RATE, 1))
                await self._detect(sounds=len(now) > 0)

    async def _detect(self, *, sounds: bool) -> None:
        self._sure_secs = FRAME_SECS + (self._sure_secs if sounds is self._sounds else 0)
        self._sounds = sounds
        if sounds and not self._speaks and self._sure_secs > START_SECS - FRAME_SECS / 2:
            self._speaks = True
            await self.push_frame(vad(VADUserStartedSpeakingFrame, START_SECS))
            await self.push_frame(UserStartedSpeakingFrame())
        elif not sounds and self._speaks and self._sure_secs > STOP_SECS - FRAME_SECS / 2:
            self._speaks = False
            await self.push_frame(vad(VADUserStoppedSpeakingFrame, STOP_SECS))
            await self.push_frame(UserStoppedSpeakingFrame())
            self.hushed.set()


class PacedOutput(BaseOutputTransport):
    """A loudspeaker that plays in real time, with a buffer for a busy machine."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.started = asyncio.Event()
        self._free = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.started.set()

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        now = time.monotonic()
        if now - self._free > BUFFER_SECS:
            self._free = now
        self._free += frame.num_frames / frame.sample_rate
        await asyncio.sleep(self._free - now)
        return True


@dataclass
class Call:
    """One call in a real pipeline, and the methods to hold it."""

    observers: Sequence[BaseObserver]
    after_output: Sequence[FrameProcessor]
    before_output: Sequence[FrameProcessor] = ()
    params: dict[str, Any] = field(default_factory=dict)
    transport: dict[str, Any] = field(default_factory=dict)
    microphone_type: type[ScriptedInput] = ScriptedInput
    loudspeaker_type: type[PacedOutput] = PacedOutput

    def __post_init__(self) -> None:
        transport = TransportParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_end_silence_secs=0,
            **self.transport,
        )
        self.microphone = self.microphone_type(transport)
        self.loudspeaker = self.loudspeaker_type(transport)
        self.task = PipelineTask(
            Pipeline([self.microphone, *self.before_output, self.loudspeaker, *self.after_output]),
            params=PipelineParams(
                audio_in_sample_rate=IN_RATE, audio_out_sample_rate=OUT_RATE, **self.params
            ),
            observers=[*self.observers],
            idle_timeout_secs=None,
        )

    async def hold(self, script: Callable[[Call], Awaitable[None]], **runner: Any) -> None:
        """Run the pipeline, and a script at the same time, until the pipeline ends."""

        async def play() -> None:
            await self.loudspeaker.started.wait()
            await asyncio.sleep(0.2)
            try:
                await script(self)
            except BaseException:
                await self.task.cancel()  # or the call would never end
                raise

        playing = asyncio.create_task(play())
        await run(self.task, **runner)
        await asyncio.wait_for(playing, 1)

    async def push(self, *frames: Frame) -> None:
        """Queue frames at the start of the pipeline."""
        await self.task.queue_frames(frames)

    async def user_says(self, text: str, secs: float = 0.6, hertz: float = 440.0) -> None:
        """Let the user speak a tone, with the frames of a detector and a recognizer."""
        await self.user_sounds(secs, hertz)
        await self.push(TranscriptionFrame(text, "caller", "2026-01-01T00:00:00Z"))

    async def user_sounds(self, secs: float = 0.6, hertz: float = 440.0) -> None:
        """Let the user speak a tone, with the frames of a detector."""
        if not hasattr(VADUserStartedSpeakingFrame(), "start_secs"):  # up to 0.0.101
            params = VADParams(start_secs=START_SECS, stop_secs=STOP_SECS)
            await self.push(SpeechControlParamsFrame(vad_params=params))
        self.microphone.hushed.clear()
        self.microphone.speech = tone(secs, IN_RATE, hertz)
        await self.microphone.hushed.wait()

    async def bot_says(self, *sentences: str, secs: float = 0.6, hertz: float = 660.0) -> None:
        """Let the bot speak sentences, a tone each, without waiting for their end."""
        frames: list[Frame] = [TTSStartedFrame()]
        for sentence in sentences:
            audio = tone(secs, OUT_RATE, hertz).tobytes()
            frames += [TTSAudioRawFrame(audio, OUT_RATE, 1), spoken(sentence)]
        await self.push(*frames, TTSStoppedFrame())

    async def quiet(self) -> None:
        """Wait until the bot has stopped speaking."""
        stopped = asyncio.Event()

        @self.task.event_handler("on_frame_reached_downstream")  # type: ignore[untyped-decorator]
        async def _(_: PipelineTask, frame: Frame) -> None:
            if isinstance(frame, BotStoppedSpeakingFrame):
                stopped.set()

        self.task.set_reached_downstream_filter((BotStoppedSpeakingFrame,))
        await asyncio.wait_for(stopped.wait(), 10)

    async def client_sends(self, kind: str, **data: Any) -> None:
        """Let the user's client send a message of RTVI."""
        message = {"label": "rtvi-ai", "type": kind, "id": "1", "data": data}
        await self.push(CLIENT_MESSAGE(message=message))

    async def end(self) -> None:
        """End the pipeline with an `EndFrame`."""
        await self.push(EndFrame())


async def run(task: PipelineTask, **options: Any) -> None:
    """Run a task to its end, on any Pipecat."""
    runner = PipelineRunner(**{"handle_sigint": False, **options})
    if hasattr(runner, "add_workers"):  # from 1.3.0 on
        await runner.add_workers(task)
        await runner.run()
    else:
        await runner.run(task)


def spoken(text: str) -> TTSTextFrame:
    """Return the frame of a synthesized sentence, on any Pipecat."""
    try:
        return TTSTextFrame(text, "sentence")
    except TypeError:  # before 0.0.95 there is no kind of text
        return TTSTextFrame(text)  # type: ignore[call-arg]


def vad(kind: type[Frame], secs: float) -> Frame:
    """Return a detector's frame, with the time that it took to be sure."""
    frame = kind()
    for name in ("start_secs", "stop_secs"):
        if hasattr(frame, name):
            setattr(frame, name, secs)
    return frame
