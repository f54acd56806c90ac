"""A room of LiveKit without a server: stand-ins for the classes of `livekit.rtc` that need one."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from livekit import rtc

from support.calls import IN_RATE
from support.peers import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

CALLER = SimpleNamespace(identity="caller", name="Caller", metadata="")
TRACK = SimpleNamespace(kind=rtc.TrackKind.KIND_AUDIO, sid="TR_0")
JOIN_SECS = 0.05


async def grant(*_: object) -> None:
    """Do what was asked for."""


class Room:
    """A room with one participant, who comes with the bot."""

    latest: Room

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handlers: dict[str, Callable[..., object]] = {}
        self.local_participant = SimpleNamespace(identity="bot", publish_track=grant)
        self.remote_participants: dict[str, object] = {}
        self.peer = Peer(lambda: loop.call_soon_threadsafe(self._leave))
        Room.latest = self

    def on(self, event: str) -> Callable[[Callable[..., object]], object]:
        """Return what takes the handler of an event."""
        return partial(self._handlers.__setitem__, event)

    async def connect(self, *_: object, **__: object) -> None:
        """Let the bot in, and then the caller."""
        self._loop.call_later(JOIN_SECS, self._enter)

    async def disconnect(self) -> None:
        """Let the bot out."""
        self.peer.stop()

    def _enter(self) -> None:
        self.remote_participants["caller"] = CALLER
        self._handlers["participant_connected"](CALLER)
        self._handlers["track_subscribed"](TRACK, SimpleNamespace(sid="TR_0"), CALLER)

    def _leave(self) -> None:
        self.remote_participants.clear()
        self._handlers["participant_disconnected"](CALLER)


class Stream:
    """The caller's audio."""

    def __init__(self, _: object) -> None:
        self._frames: asyncio.Queue[rtc.AudioFrameEvent] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def send(pcm: bytes) -> None:
            frame = rtc.AudioFrame(pcm, IN_RATE, 1, len(pcm) // 2)
            loop.call_soon_threadsafe(self._frames.put_nowait, rtc.AudioFrameEvent(frame))

        Room.latest.peer.talk(send)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> rtc.AudioFrameEvent:
        return await self._frames.get()

    async def aclose(self) -> None:
        """Take no more audio."""
        Room.latest.peer.stop()


class Source:
    """Takes the bot's audio, and plays it."""

    def __init__(self, *_: object, **__: object) -> None:
        self.aclose = grant

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play audio, for as long as it takes."""
        await asyncio.to_thread(Room.latest.peer.play, bytes(frame.data), frame.sample_rate)


STAND_INS: dict[str, Any] = {
    "Room": Room,
    "AudioStream": Stream,
    "AudioSource": Source,
    "LocalAudioTrack": SimpleNamespace(create_audio_track=lambda *_: TRACK),
}
"""What to put in the place of which class."""
