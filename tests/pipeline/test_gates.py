"""Processors behind the speech service that drop or change what it makes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from support.calls import spoken
from support.speech import SECS_PER_LETTER
from support.transcripts import audible_secs, held, lines

pytest.importorskip("websockets", reason="the base of Pipecat's speech services needs it")

from support.voices import SentenceVoice, SocketVoice

if TYPE_CHECKING:
    from pipecat.services.tts_service import TTSService

    from pipecat_roark.local import LocalRoark
    from support.calls import Call

pytestmark = [pytest.mark.live, pytest.mark.at_once]

SPEECH = (TTSStartedFrame, TTSStoppedFrame, TTSAudioRawFrame, TTSTextFrame)
ASKED = "Hello, is this Ann speaking?"
MESSAGE = "This is the clinic, please call us back about your visit on Monday."


class Gate(FrameProcessor):
    """Holds speech, as a detector of answering machines does, and drops or releases it."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[tuple[Frame, FrameDirection]] | None = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Hold speech while the gate is closed."""
        await super().process_frame(frame, direction)
        if self._held is not None and isinstance(frame, SPEECH):
            self._held.append((frame, direction))
        else:
            await self.push_frame(frame, direction)

    async def open(self, *, release: bool) -> None:
        """Let speech pass from now on, and release or drop what was held."""
        held_back, self._held = self._held or [], None
        for frame, direction in held_back if release else []:
            await self.push_frame(frame, direction)


class Cleaner(FrameProcessor):
    """Takes the asterisks out of what was spoken, in a new frame."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass a frame on, or a clean one in its place."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSTextFrame):
            frame = spoken(frame.text.replace("*", ""))
        await self.push_frame(frame, direction)


@pytest.mark.parametrize("voice", [SentenceVoice, SocketVoice])
async def test_what_a_gate_dropped_is_in_no_turn(
    local: LocalRoark, voice: type[TTSService]
) -> None:
    """Only the speech that gets to the output is in the transcript, as far as it was played."""
    gate = Gate()

    async def script(call: Call) -> None:
        await call.push(TTSSpeakFrame(ASKED))
        await asyncio.sleep(0.4)
        await gate.open(release=False)
        await call.push(TTSSpeakFrame(MESSAGE))
        await asyncio.sleep(1.3)
        await call.task.cancel()

    roark, stored = await held(local, script, voice(), gate)
    (turn,) = roark.report().turns
    assert f"{turn.content} {turn.unheard}" == MESSAGE
    letters = audible_secs(stored, turn.end_ms) / SECS_PER_LETTER
    assert letters - len("please ") - 3 <= len(turn.content) <= letters + 3


async def test_what_a_gate_released_is_heard(local: LocalRoark) -> None:
    """Speech that was held and then played whole is whole, though an interruption follows."""
    gate = Gate()

    async def script(call: Call) -> None:
        await call.push(TTSSpeakFrame("Hello, Ann."))
        await asyncio.sleep(0.3)
        await gate.open(release=True)
        await asyncio.sleep(0.7)
        await call.push(TTSSpeakFrame(MESSAGE))
        await asyncio.sleep(0.9)
        await call.push(InterruptionFrame())
        await asyncio.sleep(0.3)
        await call.end()

    roark, _ = await held(local, script, SentenceVoice(), gate)
    (turn,) = roark.report().turns
    assert f"{turn.content} {turn.unheard}" == f"Hello, Ann. {MESSAGE}"
    assert turn.content.startswith("Hello, Ann. This is")
    assert turn.interrupted


@pytest.mark.parametrize("cut", [True, False], ids=["interrupted", "whole"])
async def test_text_that_is_rewritten_is_in_its_own_turn(
    local: LocalRoark,
    cut: bool,  # noqa: FBT001
) -> None:
    """Of a text that another replaces, nothing is left behind for later turns."""

    async def script(call: Call) -> None:
        for answer in ("*One* moment.", "Your *table* is free."):
            await call.user_says("Well?", secs=0.3)
            await call.push(TTSSpeakFrame(answer))
            await call.quiet()
        await call.user_says("Fine.", secs=0.3)
        await call.push(TTSSpeakFrame(f"*{MESSAGE}*"))
        if cut:
            await asyncio.sleep(1.0)
            await call.push(InterruptionFrame())
            await asyncio.sleep(0.2)
        else:
            await call.quiet()
        await call.end()

    roark, stored = await held(local, script, SentenceVoice(), Cleaner())
    *first, last = lines(stored)
    assert first == [
        *["user: Well?", "assistant: One moment.", "user: Well?"],
        *["assistant: Your table is free.", "user: Fine."],
    ]
    turn = roark.report().turns[-1]
    assert f"{turn.content} {turn.unheard}".strip() == MESSAGE
    assert turn.interrupted is cut
    assert (last == f"assistant: {MESSAGE}") is not cut
