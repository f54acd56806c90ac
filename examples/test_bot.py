"""Tests of a bot, with a Roark on this machine. Run them with `pytest examples/test_bot.py`.

The fixture `local_roark` comes with the package. What the tests say of the bot is what Roark gets:
the words that were played, who spoke when, and what can be heard. The bot is that of
`basic_observer.py`, over a transport without a network.
"""

from __future__ import annotations

import asyncio
import math
import struct
from typing import TYPE_CHECKING

from pipecat.frames.frames import (
    EndFrame,
    OutputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.workers.runner import WorkerRunner

from basic_observer import build_task

if TYPE_CHECKING:
    from pipecat.processors.frame_processor import FrameProcessor

    from pipecat_roark.local import ThreadedRoark

RATE = 24_000


class Loudspeaker(BaseOutputTransport):
    """Plays into the air, in real time."""

    async def start(self, frame: StartFrame) -> None:
        """Begin to play."""
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Play a frame."""
        await asyncio.sleep(frame.num_frames / frame.sample_rate)
        return True


class NoNetwork(BaseTransport):
    """A transport between nobody and a loudspeaker."""

    def __init__(self) -> None:
        super().__init__()
        self._output = Loudspeaker(TransportParams(audio_out_enabled=True))
        self._register_event_handler("on_client_disconnected")

    def input(self) -> FrameProcessor:
        """Return the microphone: frames are queued instead."""
        return IdentityFilter()

    def output(self) -> FrameProcessor:
        """Return the loudspeaker."""
        return self._output


def speech(secs: float) -> TTSAudioRawFrame:
    """Return a tone in place of speech."""
    wave = (8000 * math.sin(at / 10) for at in range(round(secs * RATE)))
    return TTSAudioRawFrame(b"".join(struct.pack("<h", int(at)) for at in wave), RATE, 1)


async def hold_a_call() -> None:
    """Let the bot welcome a caller, and hang up. Its services are played."""
    task, _ = build_task(NoNetwork(), [])
    welcome = [TTSStartedFrame(), speech(0.5), TTSTextFrame("Welcome.", "sentence")]
    await task.queue_frames([*welcome, TTSStoppedFrame(), EndFrame()])
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(task)
    await runner.run()


def test_bot_welcomes_the_caller(local_roark: ThreadedRoark) -> None:
    """The caller hears the welcome, and Roark gets it."""
    asyncio.run(hold_a_call())
    call = local_roark.call()
    (welcome,) = call.turns
    assert (welcome.role, welcome.content) == ("assistant", "Welcome.")
    assert call.reason == "agent-ended"
    assert call.audio is not None
    assert call.audio.level("assistant") > 0.2
    assert call.audio.level("user") == 0


def test_call_survives_an_outage(local_roark: ThreadedRoark) -> None:
    """Roark answers with errors for a while, and still gets everything."""
    local_roark.fail(503, times=2)
    asyncio.run(hold_a_call())
    assert local_roark.call().stored.complete
