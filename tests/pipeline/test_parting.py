"""Speech that fails, that an avatar plays later, or that cannot be interrupted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pipecat.frames import frames
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from support.speech import SECS_PER_LETTER
from support.transcripts import ANSWER, audible_secs, held, lines, said

pytest.importorskip("websockets", reason="the base of Pipecat's speech services needs it")

from support.voices import SentenceVoice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipecat_roark.local import LocalRoark
    from support.calls import Call

AVATAR_FRAMES: list[Any] = [
    TTSAudioRawFrame,
    pytest.param(
        getattr(frames, "SpeechOutputAudioRawFrame", None),
        marks=pytest.mark.skipif(
            not hasattr(frames, "SpeechOutputAudioRawFrame"), reason="this Pipecat has none"
        ),
    ),
]

pytestmark = [pytest.mark.live, pytest.mark.at_once]


class Avatar(FrameProcessor):
    """Keeps the audio of speech, and gives it back later, as it plays."""

    def __init__(self, kind: type[OutputAudioRawFrame]) -> None:
        super().__init__()
        self._kind = kind
        self._kept: asyncio.Queue[TTSAudioRawFrame] = asyncio.Queue()
        self._player: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Keep audio, and pass everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame) and self._player:
            self._player.cancel()
            self._player, self._kept = None, asyncio.Queue()
        if not isinstance(frame, TTSAudioRawFrame):
            await self.push_frame(frame, direction)
            return
        self._kept.put_nowait(frame)
        self._player = self._player or asyncio.create_task(self._play())

    async def cleanup(self) -> None:
        if self._player:
            self._player.cancel()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def _play(self) -> None:
        await asyncio.sleep(0.4)
        while True:
            frame = await self._kept.get()
            await self.push_frame(self._kind(frame.audio, frame.sample_rate, 1))
            await asyncio.sleep(frame.num_frames / frame.sample_rate)


@pytest.mark.parametrize("kind", AVATAR_FRAMES)
async def test_what_an_avatar_played_is_heard(
    local: LocalRoark, kind: type[OutputAudioRawFrame]
) -> None:
    """The text passes at once and its audio comes later: only what was played is heard."""
    whole = f"One moment. {ANSWER} It is a very quiet place."

    async def script(call: Call) -> None:
        await call.push(TTSSpeakFrame(whole))
        await asyncio.sleep(2.4)
        await call.push(InterruptionFrame())
        await asyncio.sleep(0.3)
        await call.push(TTSSpeakFrame("Sorry?"))
        await asyncio.sleep(1.2)
        await call.end()

    roark, stored = await held(local, script, SentenceVoice(), Avatar(kind))
    first, second = roark.report().turns
    assert f"{first.content} {first.unheard}" == whole
    letters = audible_secs(stored, second.start_ms) / SECS_PER_LETTER
    assert letters - len("tonight, ") - 4 <= len(first.content) <= letters + 4
    assert (second.content, second.unheard) == ("Sorry?", "")
    assert (first.interrupted, second.interrupted) == (True, False)


@pytest.mark.parametrize("kind", AVATAR_FRAMES)
async def test_what_an_avatar_played_whole_is_whole(
    local: LocalRoark, kind: type[OutputAudioRawFrame]
) -> None:
    """Nothing is missing of speech that nobody cut."""

    async def script(call: Call) -> None:
        await call.push(TTSSpeakFrame("One moment."), TTSSpeakFrame("How can I help?"))
        await asyncio.sleep(2.4)
        await call.push(InterruptionFrame())
        await call.end()

    roark, stored = await held(local, script, SentenceVoice(), Avatar(kind))
    assert lines(stored) == ["assistant: One moment. How can I help?"]
    assert roark.report().turns[0].unheard == ""


class BrokenVoice(SentenceVoice):
    """A speech service that has no voice for a text."""

    async def run_tts(self, text: str, *args: str) -> AsyncIterator[Frame]:  # type: ignore[override]
        if "help" in text:
            yield ErrorFrame("no voice")
            return
        async for frame in super().run_tts(text, *args):
            yield frame


async def test_speech_that_failed_is_not_heard(local: LocalRoark) -> None:
    """A text that was released without any sound was not said."""

    async def script(call: Call) -> None:
        await call.push(TTSSpeakFrame("How can I help?"))
        await asyncio.sleep(0.5)
        await call.end()

    roark, stored = await held(local, script, BrokenVoice())
    assert roark.report().turns == ()
    assert stored.ended is not None
    assert "transcript" not in stored.ended


class LastingVoice(SentenceVoice):
    """A speech service whose audio cannot be interrupted, as that of the line."""

    async def run_tts(self, text: str, *args: str) -> AsyncIterator[Frame]:  # type: ignore[override]
        async for frame in super().run_tts(text, *args):
            frame.interruptible = False
            yield frame


@pytest.mark.skipif(
    not hasattr(TTSSpeakFrame("x"), "interruptible"), reason="this Pipecat interrupts everything"
)
async def test_a_line_that_can_not_be_interrupted_is_whole(local: LocalRoark) -> None:
    """An interruption does not cut it, and it is not an interrupted turn."""

    async def script(call: Call) -> None:
        line = TTSSpeakFrame(ANSWER)
        line.interruptible = False
        await call.push(line)
        await asyncio.sleep(1.0)
        await call.push(InterruptionFrame())
        await asyncio.sleep(2.2)
        await call.end()

    roark, stored = await held(local, script, LastingVoice())
    assert lines(stored) == [f"assistant: {ANSWER}"]
    (turn,) = roark.report().turns
    assert (turn.interrupted, turn.unheard) == (False, "")
    assert audible_secs(stored, turn.end_ms) == pytest.approx(
        len(ANSWER) * SECS_PER_LETTER, abs=0.1
    )


async def test_a_transcription_without_a_text_costs_itself_alone(
    local: LocalRoark, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    """Words that are no text are lost, with one warning, and the rest of the call is there."""
    monkeypatch.setattr("pipecat_roark.guard.RERAISE", False)
    bad: list[Any] = [None, 5, {}]

    async def script(call: Call) -> None:
        await call.push(said("Hello."), *[said(text) for text in bad], said("Anyone?"))
        await asyncio.sleep(0.1)
        await call.end()

    _, stored = await held(local, script)
    assert lines(stored) == ["user: Hello. Anyone?"]
    (line,) = [line for line in warned if "TranscriptionFrame" in line]
    assert "TypeError" in line
