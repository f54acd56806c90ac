"""The ends of two of Pipecat's transports, replaced: a sound card, and a room of Daily.

Both play a caller's audio in real time from a thread of their own, as the real ones do, and note
when the bot can be heard.
"""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from support.audio import LOUD
from support.calls import FRAME_SECS, IN_RATE
from support.lines import LINE_RATE
from support.telephone import recorded

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.feed import Samples

PAUSE_SECS = 1.0
"""How long the bot must be silent behind its answer until the caller leaves."""


class Peer:
    """A caller who asks one question, hears the answer, and leaves.

    Args:
        leaves: Called when the answer is over.
    """

    def __init__(self, leaves: Callable[[], object]) -> None:
        import soxr  # noqa: PLC0415  # comes with the newest Pipecat

        question = np.concatenate([np.zeros(LINE_RATE // 2, np.int16), recorded("weather")])
        self._audio: Samples = soxr.resample(question, LINE_RATE, IN_RATE).astype(np.int16)
        self._leaves = leaves
        self._gone = threading.Event()
        self._free = 0.0
        self.heard = 0.0
        """When the bot could be heard last, by `time.monotonic`; 0 before."""

    def talk(self, send: Callable[[bytes], object]) -> None:
        """Start to send 20 ms of audio at a time."""
        threading.Thread(target=self._talk, args=[send], daemon=True).start()

    def _talk(self, send: Callable[[bytes], object]) -> None:
        size, clock, number, left = round(FRAME_SECS * IN_RATE), time.monotonic(), 0, False
        while not self._gone.wait(clock + (number + 1) * FRAME_SECS - time.monotonic()):
            now = self._audio[number * size : (number + 1) * size]
            send(np.pad(now, (0, size - len(now))).tobytes())
            number += 1
            if not left and 0 < self.heard < time.monotonic() - PAUSE_SECS:
                left = True
                self._leaves()

    def play(self, pcm: bytes, rate: int) -> None:
        """Play audio of the bot, for as long as it takes."""
        self._free = max(self._free, time.monotonic()) + len(pcm) / 2 / rate
        if np.abs(np.frombuffer(pcm, "<i2").astype(int)).max(initial=0) > LOUD:
            self.heard = self._free
        time.sleep(max(0.0, self._free - time.monotonic()))

    def stop(self) -> None:
        """Send nothing any more."""
        self._gone.set()


def sound_card(peer: Peer) -> SimpleNamespace:
    """Return what stands for the module `pyaudio`: a microphone and a loudspeaker."""

    def stream(**options: Any) -> SimpleNamespace:
        if not options.get("input"):
            return SimpleNamespace(
                start_stream=lambda: None,
                stop_stream=lambda: None,
                close=lambda: None,
                write=lambda pcm: peer.play(pcm, options["rate"]),
            )
        call: Callable[..., object] = options["stream_callback"]
        return SimpleNamespace(
            start_stream=lambda: peer.talk(lambda pcm: call(pcm, len(pcm) // 2, None, None)),
            stop_stream=peer.stop,
            close=lambda: None,
        )

    device = SimpleNamespace(get_format_from_width=lambda width: 4 * width, open=stream)
    return SimpleNamespace(PyAudio=lambda: device, paContinue=0)


class Room:
    """Stands for `daily.CallClient`: a room with one participant, who comes with the bot.

    Args:
        event_handler: Pipecat's client, which gets the events.
    """

    caller = {"id": "caller", "info": {"isLocal": False, "userName": "Caller"}}  # noqa: RUF012

    def __init__(self, event_handler: Any) -> None:
        self.events = event_handler
        self.peer = Peer(lambda: self.events.on_participant_left(self.caller, "leftCall"))
        Room.latest = self

    latest: Room

    def join(self, *_: Any, completion: Callable[..., None], **__: Any) -> None:
        """Let the bot in, and then the caller."""
        completion({"participants": {"local": {"id": "bot"}}, "meetingSession": {"id": "1"}}, None)
        joined = self.events.on_participant_joined
        threading.Thread(target=joined, args=[self.caller], daemon=True).start()

    def set_audio_renderer(
        self, participant_id: str, callback: Callable[..., None], **options: Any
    ) -> None:
        """Send the caller's audio."""
        rate, source = options["sample_rate"], options["audio_source"]

        def send(pcm: bytes) -> None:
            data = SimpleNamespace(audio_frames=pcm, sample_rate=rate, num_channels=1)
            callback(participant_id, data, source)

        self.peer.talk(send)

    def leave(self, completion: Callable[..., None]) -> None:
        """Let the bot out."""
        self.peer.stop()
        completion(None)

    def participants(self) -> dict[str, Any]:
        """Return who is there."""
        return {"caller": self.caller}

    def __getattr__(self, _: str) -> Callable[..., None]:
        """Return what takes any other request, and grants it."""

        def grant(*_: Any, completion: Callable[..., None] | None = None, **__: Any) -> None:
            if completion:
                completion(None)

        return grant


class Source:
    """Stands for `daily.CustomAudioSource`: it plays the bot's audio in the latest room."""

    def __init__(self, rate: int, *_: object) -> None:
        self._rate = rate

    def write_frames(self, pcm: bytes, completion: Callable[..., None]) -> None:
        """Play audio, and tell when it was played."""

        def play() -> None:
            Room.latest.peer.play(pcm, self._rate)
            completion(len(pcm) // 2)

        threading.Thread(target=play, daemon=True).start()
