"""Words in real pipelines: where a report says that they are, they can be heard."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import InterruptionFrame, TTSSpeakFrame

from support.transcripts import held

pytest.importorskip("websockets", reason="the base of Pipecat's speech services needs it")

from support.bursts import TimedBursts, UntimedBursts, length, onsets_ms
from support.voices import HAS_WORD_TIMES

if TYPE_CHECKING:
    from pipecat.services.tts_service import TTSService

    from pipecat_roark.local import LocalRoark
    from support.calls import Call

pytestmark = [pytest.mark.live, pytest.mark.at_once]

TEXTS = [
    "Hello there, this is the city guide.",
    "Our table by the window is free, shall I keep it for you?",
    "Goodbye, and thank you.",
]
VOICES = [
    UntimedBursts,
    pytest.param(TimedBursts, marks=pytest.mark.skipif(not HAS_WORD_TIMES, reason="no times")),
]


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("waits", [True, False])
async def test_words_are_where_they_sound(
    local: LocalRoark, voice: type[TTSService], *, waits: bool
) -> None:
    """Within the stated error, which is 50 ms if the service times its words.

    Also if the audio of a text waits while another one is played, and behind a pause.
    """

    async def script(call: Call) -> None:
        for text in TEXTS:
            await call.push(TTSSpeakFrame(text))
            await asyncio.sleep(0 if waits else length(text) + 0.9)
        await asyncio.sleep(sum(map(length, TEXTS)) + 1 if waits else 0)
        await call.end()

    roark, stored = await held(local, script, voice())
    assert stored.recording is not None
    words = [word for turn in roark.report().turns for word in turn.words]
    assert [word.text for word in words] == " ".join(TEXTS).split()
    for word, heard_ms in zip(words, onsets_ms(stored.recording), strict=True):
        assert abs(word.start_ms - heard_ms) <= word.error_ms, word
    assert {word.error_ms for word in words if voice is TimedBursts} <= {50}


@pytest.mark.parametrize("voice", VOICES)
async def test_words_that_nobody_heard_have_no_place(
    local: LocalRoark, voice: type[TTSService]
) -> None:
    """Those before the interruption have theirs; nothing of that is sent."""

    async def script(call: Call) -> None:
        await call.push(TTSSpeakFrame(TEXTS[1]))
        await asyncio.sleep(2.5)
        await call.push(InterruptionFrame())
        await asyncio.sleep(0.3)
        await call.end()

    roark, stored = await held(local, script, voice())
    assert stored.recording is not None
    assert stored.ended is not None
    (turn,) = roark.report().turns
    assert turn.unheard
    assert [word.text for word in turn.words] == turn.content.split()
    for word, heard_ms in zip(turn.words, onsets_ms(stored.recording), strict=False):
        assert abs(word.start_ms - heard_ms) <= word.error_ms, word
    assert {*stored.ended["transcript"][0]} == {
        *("role", "content", "timestamp", "endTimestamp", "audioOffsetMs", "endAudioOffsetMs")
    }
