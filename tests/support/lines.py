"""What a caller and a bot send each other over a websocket: two telephony providers', and none's.

A line sends a message for each 20 ms of the caller's audio, and reads those of the bot.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import soxr
from pipecat.frames.frames import InputAudioRawFrame, InterruptionFrame, OutputAudioRawFrame
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer

from support.calls import FRAME_SECS, IN_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pipecat.serializers.base_serializer import FrameSerializer

    from support.feed import Samples

LINE_RATE = 8000
FRAME_SAMPLES = round(FRAME_SECS * LINE_RATE)
STREAM = "MZ0"


def _mu_law() -> NDArray[np.int16]:
    """Return the sample of each byte of mu-law audio."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(int), (code & 15).astype(int)
    magnitude = ((mantissa << 3) + 0x84 << exponent) - 0x84
    samples: NDArray[np.int16] = np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)
    return samples


MU_LAW = _mu_law()
_SORTED = np.argsort(MU_LAW, kind="stable")


def encoded(samples: Samples) -> bytes:
    """Return samples as mu-law audio, each by the nearest value that is not smaller."""
    places = np.searchsorted(MU_LAW[_SORTED], samples).clip(max=255)
    codes: bytes = _SORTED[places].astype(np.uint8).tobytes()
    return codes


class Line(Protocol):
    """A connection of one call."""

    clears: int
    """How often the bot took back what it had sent."""

    def begin(self) -> list[dict[str, Any]]:
        """Return the messages that the bot reads before its pipeline starts."""

    def end(self) -> list[dict[str, Any]]:
        """Return the messages at the end of the call."""

    def speak(self, audio: Samples) -> Iterator[str | bytes]:
        """Yield the audio of the whole call, a message for each 20 ms."""

    async def read(self, message: str | bytes) -> Samples | None:
        """Return what the caller hears by a message of the bot, if it is audio."""

    def answer(self, message: str | bytes) -> dict[str, Any] | None:
        """Return what the telephone sends back for a message, once it has played all before."""

    def serializer(self) -> FrameSerializer:
        """Return what the bot's transport needs."""


@dataclass
class Twilio:
    """Twilio's media streams."""

    clears: int = 0
    marks: list[str] = field(default_factory=list)
    """The marks that were played."""
    speaks: str = "media"
    clear: str = "clear"

    def begin(self) -> list[dict[str, Any]]:
        return [
            {"event": "connected", "protocol": "Call"},
            {
                "event": "start",
                "streamSid": STREAM,
                "start": {"streamSid": STREAM, "callSid": "CA0", "customParameters": {}},
            },
        ]

    def end(self) -> list[dict[str, Any]]:
        return [{"event": "stop", "streamSid": STREAM}]

    def speak(self, audio: Samples) -> Iterator[str | bytes]:
        codes = encoded(audio)
        for place in range(0, len(codes), FRAME_SAMPLES):
            payload = base64.b64encode(codes[place : place + FRAME_SAMPLES]).decode()
            media = {"payload": payload, "track": "inbound"}
            yield json.dumps({"event": "media", "streamSid": STREAM, "media": media})

    async def read(self, message: str | bytes) -> Samples | None:
        known = json.loads(message)
        self.clears += known["event"] == self.clear
        if known["event"] != self.speaks:
            return None
        heard: Samples = MU_LAW[np.frombuffer(base64.b64decode(known["media"]["payload"]), "u1")]
        return heard

    def answer(self, message: str | bytes) -> dict[str, Any] | None:
        known: dict[str, Any] = json.loads(message)
        if known["event"] != "mark":
            return None
        self.marks.append(known["mark"]["name"])
        return known

    def serializer(self) -> FrameSerializer:
        quiet = TwilioFrameSerializer.InputParams(auto_hang_up=False)
        return TwilioFrameSerializer(STREAM, params=quiet)


@dataclass
class Plivo(Twilio):
    """Plivo's audio streams: the same audio, in messages of other names."""

    speaks: str = "playAudio"
    clear: str = "clearAudio"

    def begin(self) -> list[dict[str, Any]]:
        return [{"event": "start", "start": {"streamId": STREAM, "callId": "CA0"}}]

    def end(self) -> list[dict[str, Any]]:
        return [{"event": "stop"}]

    def serializer(self) -> FrameSerializer:
        from pipecat.serializers.plivo import PlivoFrameSerializer  # noqa: PLC0415  # seldom needed

        quiet = PlivoFrameSerializer.InputParams(auto_hang_up=False)
        return PlivoFrameSerializer(STREAM, params=quiet)


@dataclass
class Plain:
    """A program of one's own: Pipecat's frames, at the bot's own sample rate."""

    clears: int = 0
    wire: ProtobufFrameSerializer = field(default_factory=ProtobufFrameSerializer)

    def begin(self) -> list[dict[str, Any]]:
        return []

    def end(self) -> list[dict[str, Any]]:
        return []

    def speak(self, audio: Samples) -> Iterator[str | bytes]:
        # What a serializer makes of a frame needs no event loop to wait for.
        fine, size = soxr.resample(audio, LINE_RATE, IN_RATE), round(FRAME_SECS * IN_RATE)
        for place in range(0, len(fine), size):
            pcm = fine[place : place + size].astype("<i2").tobytes()
            made = self.wire.serialize(OutputAudioRawFrame(pcm, IN_RATE, 1))
            try:
                made.send(None)
            except StopIteration as done:
                yield done.value

    async def read(self, message: str | bytes) -> Samples | None:
        frame = await self.wire.deserialize(message)
        if not isinstance(frame, InputAudioRawFrame):
            self.clears += isinstance(frame, InterruptionFrame)
            return None
        step = frame.sample_rate // LINE_RATE  # how loud it is does not need more
        return np.frombuffer(frame.audio, "<i2")[::step].astype(np.int16)

    def answer(self, _: str | bytes) -> dict[str, Any] | None:
        return None

    def serializer(self) -> FrameSerializer:
        return ProtobufFrameSerializer()
