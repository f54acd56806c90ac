"""Calls through Pipecat's own transports for a sound card and for Daily, with the ends replaced.

There is no sound card here, and a room of Daily needs an account. So `pyaudio`, and the client of
`daily-python` below Pipecat's transport, are stand-ins that send and play audio in real time.
"""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the transports are those of Pipecat 1.14: Python 3.11", allow_module_level=True)

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.processors.audio.vad_processor import VADProcessor

from pipecat_roark import RoarkObserver
from support.peers import Peer, Room, Source, sound_card
from support.places import check_places
from support.telephone import Answers, converse

if TYPE_CHECKING:
    from pipecat.transports.base_transport import BaseTransport

    from pipecat_roark.local import LocalRoark

pytestmark = [
    pytest.mark.live,
    # Pipecat's models
    pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning"),
]
AUDIO: dict[str, Any] = {"audio_in_enabled": True, "audio_out_enabled": True}


async def hold(transport: BaseTransport, roark: RoarkObserver) -> None:
    """Hold a call over a transport until the caller leaves."""
    detector = VADProcessor(vad_analyzer=SileroVADAnalyzer())
    await asyncio.wait_for(converse(transport, roark, detector, Answers(0.2)), 60)


async def test_a_sound_card(local: LocalRoark, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call through a microphone and a loudspeaker arrives whole when the program ends it."""
    loop, roark = asyncio.get_running_loop(), RoarkObserver(agent_id="front-desk")
    ending: list[Any] = []

    async def end() -> None:
        # Nobody can leave a sound card: the program ends the call.
        await roark.aflush("program-ended")
        holding.cancel()

    peer = Peer(lambda: ending.append(asyncio.run_coroutine_threadsafe(end(), loop)))
    monkeypatch.setitem(sys.modules, "pyaudio", sound_card(peer))
    monkeypatch.delitem(sys.modules, "pipecat.transports.local.audio", raising=False)
    from pipecat.transports.local.audio import (  # noqa: PLC0415  # with the stand-in
        LocalAudioTransport,
        LocalAudioTransportParams,
    )

    transport = LocalAudioTransport(LocalAudioTransportParams(**AUDIO))
    holding = asyncio.create_task(hold(transport, roark))
    await asyncio.wait([holding])
    monkeypatch.delitem(sys.modules, "pipecat.transports.local.audio")
    check_places(local.calls[roark.pipecat_call_id], "program-ended")


async def test_a_room_of_daily(local: LocalRoark, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call in a room arrives whole when the participant has left, with who it was."""
    from pipecat.transports.daily import transport as daily  # noqa: PLC0415  # of an extra

    nothing = SimpleNamespace(init=lambda: None)
    for name, stand_in in (
        ("Daily", nothing),
        ("CallClient", Room),
        ("CustomAudioSource", Source),
        ("CustomAudioTrack", lambda _: SimpleNamespace(id="microphone")),
    ):
        monkeypatch.setattr(daily, name, stand_in)
    transport = daily.DailyTransport(
        "https://example.daily.co/room", None, "Bot", daily.DailyParams(**AUDIO)
    )
    roark = RoarkObserver(agent_id="front-desk")
    await hold(transport, roark)
    check_places(local.calls[roark.pipecat_call_id])
