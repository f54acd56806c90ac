"""Calls through Pipecat's own transports for a sound card, Daily and LiveKit, the ends replaced.

There is no sound card here, and rooms of Daily and LiveKit need accounts. So `pyaudio`, the client
of `daily-python`, and the rooms and audio streams of `livekit`, all below Pipecat's transports, are
stand-ins that send and play audio in real time.
"""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the transports are those of Pipecat 1.14: Python 3.11", allow_module_level=True)

from livekit import rtc
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport

from pipecat_roark import RoarkObserver
from support.livekit_room import STAND_INS
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


async def call_by_sound_card(local: LocalRoark, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a call through a microphone and a loudspeaker, which the program ends."""
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


async def call_in_a_room_of_daily(local: LocalRoark, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a call in a room that the participant leaves."""
    from pipecat.transports.daily import transport as daily  # noqa: PLC0415  # of an extra

    # The real library, which another test may need, is left to be initialized there.
    monkeypatch.setattr(daily.DailyTransportClient, "_daily_initialized", True)
    for name, stand_in in (
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


async def call_in_a_room_of_livekit(local: LocalRoark, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a call in a room that the participant leaves."""
    for name, stand_in in STAND_INS.items():
        monkeypatch.setattr(rtc, name, stand_in)
    roark = RoarkObserver(agent_id="front-desk")
    transport = LiveKitTransport(
        "wss://example.livekit.cloud", "token", "1", LiveKitParams(**AUDIO)
    )
    await hold(transport, roark)
    check_places(local.calls[roark.pipecat_call_id])


async def test_calls_of_other_transports(
    local: LocalRoark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three calls at once arrive whole, with their turns where they can be heard."""
    await asyncio.gather(
        call_by_sound_card(local, monkeypatch),
        call_in_a_room_of_daily(local, monkeypatch),
        call_in_a_room_of_livekit(local, monkeypatch),
    )
    assert len(local.calls) == 3
