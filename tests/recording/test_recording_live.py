"""What is in the recording of a call in real time, through a real pipeline and its transports."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pipecat.audio.mixers.base_audio_mixer import BaseAudioMixer
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    MixerControlFrame,
    StopFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipecat_roark import RoarkObserver
from support.audio import LEFT, LOUD, RIGHT, audible_ms, audible_secs, channel
from support.calls import IN_RATE, OUT_RATE, Call, ScriptedInput, spoken, tone
from support.feed import Feed
from support.live import PERIOD, LiveCall

if TYPE_CHECKING:
    from pipecat_roark.local import LocalRoark

pytestmark = [pytest.mark.live, pytest.mark.at_once]

ENDS = (EndFrame, CancelFrame, StopFrame)


async def test_a_call_in_real_time() -> None:
    """With a mute, a stall and talk over talk, every sound is whole and within 20 ms."""
    feed = Feed(linked=False)
    call = LiveCall(1, feed.recorder)
    await call.hold()
    channels = feed.recorded()
    assert len(channels[0]) / OUT_RATE == pytest.approx(PERIOD, abs=0.02)
    for samples, spans in zip(channels, call.truth(), strict=True):
        assert audible_secs(samples, pause=0.005) == [
            pytest.approx(span, abs=0.02) for span in spans
        ]


class Tap(FrameProcessor):
    """Measures the user's audio that passes before the end."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self.secs = 0.0
        self._over = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self._over |= isinstance(frame, ENDS)
        if isinstance(frame, InputAudioRawFrame) and not self._over:
            self.secs += frame.num_frames / frame.sample_rate
        await self.push_frame(frame, direction)


@pytest.mark.parametrize("end", ["end", "cancel", "stop", "flush"])
async def test_the_last_samples_are_delivered(local: LocalRoark, end: str) -> None:
    """What the user says until the very end is at Roark to the last 20 ms, however it ends."""
    roark, tap = RoarkObserver(agent_id="front-desk"), Tap()
    call = Call(observers=[roark], after_output=[tap, roark.audio_processor])
    passed = 0.0

    async def script(call: Call) -> None:
        nonlocal passed
        call.microphone.speech = tone(5, IN_RATE)
        await asyncio.sleep(0.73)
        if end == "flush":
            passed = tap.secs
            await roark.aflush()
        if end in ("flush", "cancel"):
            await call.task.cancel()
        else:
            await call.push(EndFrame() if end == "end" else StopFrame())

    await call.hold(script)
    recording = local.calls[roark.pipecat_call_id].recording
    assert recording is not None
    samples, rate = channel(recording, LEFT)
    if end == "flush":
        assert passed <= len(samples) / rate + 0.001 <= passed + 0.022
    else:
        assert len(samples) / rate == pytest.approx(tap.secs, abs=0.001)
    loud = np.abs(samples[-round(0.02 * rate) :].astype(int)) > LOUD
    assert loud.mean() > 0.5


class Noise(BaseAudioMixer):
    """Mixes noise into what the bot says, and into its silence."""

    async def start(self, sample_rate: int) -> None:
        self._random = np.random.default_rng(sample_rate)

    async def stop(self) -> None:
        """It has nothing to stop."""

    async def process_frame(self, frame: MixerControlFrame) -> None:
        """It cannot be controlled."""

    async def mix(self, audio: bytes) -> bytes:
        noise = self._random.integers(-600, 600, len(audio) // 2)
        return (np.frombuffer(audio, np.int16) + noise).astype(np.int16).tobytes()


@pytest.mark.parametrize("late", [0.0, 2.0])
async def test_background_sound_ends_no_turn(local: LocalRoark, late: float) -> None:
    """With an audio mixer in the output, a turn ends with the voice of the bot."""
    roark = RoarkObserver(agent_id="front-desk")
    mixer = {"audio_out_mixer": Noise()}
    call = Call(observers=[roark], after_output=[roark.audio_processor], transport=mixer)

    async def script(call: Call) -> None:
        await asyncio.sleep(0.8)
        audio = np.concatenate([tone(1, OUT_RATE, 660), np.zeros(round(0.4 * OUT_RATE), np.int16)])
        frame = TTSAudioRawFrame(audio.tobytes(), OUT_RATE, 1)
        await call.push(TTSStartedFrame(), frame, spoken("Hello."))
        await asyncio.sleep(late)
        await call.push(TTSStoppedFrame())
        await asyncio.sleep(2)
        await call.end()

    await call.hold(script)
    arrived = local.calls[roark.pipecat_call_id]
    assert arrived.ended is not None
    assert arrived.recording is not None
    (turn,) = arrived.ended["transcript"]
    samples, rate = channel(arrived.recording, RIGHT)
    voice = np.flatnonzero(np.abs(samples.astype(int)) > 4000)
    expected = [1000 * int(voice[0]) / rate, 1000 * int(voice[-1]) / rate]
    assert [turn["audioOffsetMs"], turn["endAudioOffsetMs"]] == pytest.approx(expected, abs=20)


async def test_words_that_no_audio_holds_have_no_place(local: LocalRoark) -> None:
    """What the user said before the recording began is left without offsets."""
    roark = RoarkObserver(agent_id="front-desk")
    apart = {"audio_in_passthrough": False}
    call = Call(observers=[roark], after_output=[roark.audio_processor], transport=apart)

    async def script(call: Call) -> None:
        await call.user_says("Hello?", secs=0.6)
        await call.bot_says("Hi.")
        await call.quiet()
        await call.end()

    await call.hold(script)
    arrived = local.calls[roark.pipecat_call_id]
    assert arrived.problems == ()
    assert arrived.ended is not None
    user, bot = arrived.ended["transcript"]
    assert "audioOffsetMs" not in user
    assert "endAudioOffsetMs" not in user
    assert (bot["audioOffsetMs"], bot["endAudioOffsetMs"]) == pytest.approx((0, 600), abs=20)


class WaitingMicrophone(ScriptedInput):
    """A microphone whose first second, with a word in it, waited and is read at once."""

    began = 0.0
    """Wall time of its first sample."""

    async def _play(self) -> None:
        first = np.zeros(IN_RATE, np.int16)
        first[round(0.3 * IN_RATE) : round(0.7 * IN_RATE)] = tone(0.4, IN_RATE)
        for start in range(0, IN_RATE, 320):
            part = first[start : start + 320]
            await self.push_audio_frame(InputAudioRawFrame(part.tobytes(), IN_RATE, 1))
            await asyncio.sleep(0.001)  # the audio passes before what is detected in it
            await self._detect(sounds=bool(part.any()))
        self.began = time.time() - 1.0
        await super()._play()


async def test_a_call_whose_first_second_waited(local: LocalRoark) -> None:
    """Times and places are those of the caller, also of a word that waited."""
    roark = RoarkObserver(agent_id="front-desk")
    call = Call(observers=[roark], after_output=[roark.audio_processor])
    call.microphone.__class__ = WaitingMicrophone
    said_at = 0.0

    async def script(call: Call) -> None:
        nonlocal said_at
        await call.push(TranscriptionFrame("Hello?", "caller", "2026-01-01T00:00:00Z"))
        await call.bot_says("Hello.")
        await call.quiet()
        said_at = time.time()
        await call.user_says("Goodbye.")
        await asyncio.sleep(0.2)
        await call.end()

    await call.hold(script)
    arrived = local.calls[roark.pipecat_call_id]
    assert arrived.problems == ()
    assert arrived.recording is not None
    (waited, goodbye), (hello,) = (audible_ms(arrived.recording, side) for side in (LEFT, RIGHT))
    assert waited == pytest.approx((300, 700), abs=20)
    turns = roark.report().turns
    places = [(turn.start_ms, turn.end_ms) for turn in turns]
    assert places == [pytest.approx(span, abs=20) for span in (waited, hello, goodbye)]
    assert isinstance(call.microphone, WaitingMicrophone)
    began = call.microphone.began
    assert turns[0].started_at.timestamp() == pytest.approx(began + 0.3, abs=0.05)
    assert turns[2].started_at.timestamp() == pytest.approx(said_at, abs=0.06)
    assert goodbye[0] == pytest.approx(1000 * (said_at - began), abs=60)
