"""The caller: a WebRTC peer that plays recorded speech and listens."""

from __future__ import annotations

import asyncio
import time
import wave
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
from aiortc import (
    MediaStreamError,
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from av import AudioFrame

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

SAMPLE_RATE = 16_000
"""Sample rate of the recorded lines, in Hz."""

_FRAME_SECONDS = 0.02
_FRAME_BYTES = int(SAMPLE_RATE * _FRAME_SECONDS) * 2
# The bot speaks while the root mean square of its 16-bit samples is above this.
_LOUD = 150.0
# A shorter pause between two words is still speech.
_BREATH_SECONDS = 0.3


@dataclass(frozen=True)
class Line:
    """Something the caller says: its words, and a mono WAV file of them at `SAMPLE_RATE`."""

    text: str
    recording: Path


class CallFailedError(Exception):
    """The bot did not do its part of the conversation."""


def loopback() -> AbstractContextManager[object]:
    """Let new connections use 127.0.0.1, which aiortc never offers, and no other address.

    So the call works without a network, and never leaves this machine.
    """
    return patch("aioice.ice.get_host_addresses", return_value=["127.0.0.1"])


class Microphone(MediaStreamTrack):
    """Sends speech, and silence in between, in real time."""

    kind = "audio"

    def __init__(self) -> None:
        """Start silent."""
        super().__init__()
        self._speech = bytearray()
        self._frames = 0
        self._started = 0.0

    def say(self, pcm: bytes) -> None:
        """Send speech, 16-bit mono PCM, after the speech that still waits."""
        self._speech += pcm

    @property
    def speaking(self) -> bool:
        """Whether speech still waits to be sent."""
        return bool(self._speech)

    async def recv(self) -> AudioFrame:
        """Return the next frame when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        self._started = self._started or time.monotonic()
        await asyncio.sleep(self._started + self._frames * _FRAME_SECONDS - time.monotonic())
        pcm = bytes(self._speech[:_FRAME_BYTES]).ljust(_FRAME_BYTES, b"\0")
        del self._speech[:_FRAME_BYTES]
        frame = AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16)[None], layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = Fraction(1, SAMPLE_RATE)
        frame.pts = self._frames * _FRAME_BYTES // 2
        self._frames += 1
        return frame


class Caller:
    """One call: `dial`, then `say` and `listen` in turns, then `hang_up`."""

    def __init__(self, patience: float = 15.0) -> None:
        """Get ready to call.

        Args:
            patience: Seconds to wait for the bot before the call fails.
        """
        self._patience = patience
        # Without this, aiortc would ask a public STUN server for its own address.
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._microphone = Microphone()
        self._heard = asyncio.Condition()
        self._ear: asyncio.Task[None] | None = None
        self._bot_spoke = 0.0
        self._bot_quiet = 0.0

    @property
    def speaking(self) -> bool:
        """Whether the caller is speaking now."""
        return self._microphone.speaking

    @property
    def hears_bot(self) -> bool:
        """Whether the bot is speaking now."""
        return self._bot_spoke > 0 and self._bot_quiet < _BREATH_SECONDS

    async def dial(self, connection: SmallWebRTCConnection) -> None:
        """Offer a call to the bot's side and take its answer."""
        with loopback():
            offer = await self.offer()
            await connection.initialize(offer.sdp, offer.type)
        await self.accept(connection.pc.localDescription)

    async def offer(self) -> RTCSessionDescription:
        """Return an offer of a call, to be sent to the bot's side."""
        self._peer.addTrack(self._microphone)
        self._peer.on("track", self._hear)
        self._peer.createDataChannel("messages")  # Pipecat's clients always open one.
        await self._peer.setLocalDescription(await self._peer.createOffer())
        return self._peer.localDescription

    async def accept(self, answer: RTCSessionDescription) -> None:
        """Take the answer of the bot's side; the call begins."""
        await self._peer.setRemoteDescription(answer)

    async def say(self, line: Line) -> None:
        """Speak a line to its end."""
        with wave.open(str(line.recording)) as wav:
            self._microphone.say(wav.readframes(wav.getnframes()))
            await asyncio.sleep(wav.getnframes() / wav.getframerate())

    async def listen(self, pause: float = 1.0) -> None:
        """Wait until the bot has spoken and then been quiet for `pause` seconds."""
        await self._until("answer", lambda: self._bot_spoke > 0 and self._bot_quiet >= pause)

    async def listen_for(self, seconds: float) -> None:
        """Wait until the bot has been speaking for some seconds."""
        await self._until("speak on", lambda: self._bot_spoke >= seconds)

    async def hang_up(self) -> None:
        """Leave the call without notice to the bot."""
        await self._peer.close()
        if self._ear:
            self._ear.cancel()

    def _hear(self, track: MediaStreamTrack) -> None:
        self._ear = asyncio.create_task(self._listen_to(track))

    async def _listen_to(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if not isinstance(frame, AudioFrame):
                continue
            loud = np.sqrt(np.mean(frame.to_ndarray().astype(np.float32) ** 2)) > _LOUD
            seconds = frame.samples / frame.sample_rate
            async with self._heard:
                self._bot_spoke += seconds if loud else 0
                self._bot_quiet = 0 if loud else self._bot_quiet + seconds
                self._heard.notify_all()

    async def _until(self, what: str, heard: Callable[[], bool]) -> None:
        self._bot_spoke = 0
        try:
            async with self._heard:
                await asyncio.wait_for(self._heard.wait_for(heard), self._patience)
        except asyncio.TimeoutError:
            raise CallFailedError(f"the bot did not {what} within {self._patience:g} s") from None
