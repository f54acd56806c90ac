"""What is in the recording of a call in real time, through a real pipeline and its transports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    StopFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipecat_roark import RoarkObserver
from support.audio import LEFT, LOUD, channel
from support.calls import IN_RATE, Call, tone
from support.feed import OUT_RATE, heard
from support.live import PERIOD, LiveCall

if TYPE_CHECKING:
    from pipecat_roark.local import LocalRoark

pytestmark = pytest.mark.live

ENDS = (EndFrame, CancelFrame, StopFrame)


async def test_a_call_in_real_time() -> None:
    """With a mute, a stall and talk over talk, every sound is whole and within 20 ms."""
    call = LiveCall(periods=1)
    await call.hold()
    channels = call.feed.recorded()
    assert len(channels[0]) / OUT_RATE == pytest.approx(PERIOD, abs=0.02)
    for samples, spans in zip(channels, call.truth(), strict=True):
        assert heard(samples, pause=0.005) == [pytest.approx(span, abs=0.02) for span in spans]


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
