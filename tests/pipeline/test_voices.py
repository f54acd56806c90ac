"""Speech services of every shape, in real pipelines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import InterruptionFrame, TTSSpeakFrame

from support.speech import SECS_PER_LETTER
from support.transcripts import ANSWER, audible_secs, held, lines

pytest.importorskip("websockets", reason="the base of Pipecat's speech services needs it")

from support.voices import BASE_BRACKETS, HAS_WORD_TIMES, SentenceVoice, SocketVoice, WordVoice

if TYPE_CHECKING:
    from pipecat.services.tts_service import TTSService

    from pipecat_roark.local import LocalRoark
    from support.calls import Call

pytestmark = [pytest.mark.live, pytest.mark.at_once]

VOICES = [
    SentenceVoice,
    SocketVoice,
    pytest.param(WordVoice, marks=pytest.mark.skipif(not HAS_WORD_TIMES, reason="no word times")),
]


@pytest.mark.parametrize("voice", VOICES)
async def test_direct_speech_is_in_the_transcript(
    local: LocalRoark, voice: type[TTSService]
) -> None:
    """What the pipeline is told to speak is a turn, with any service (pipecat 3561, 4264, 5639)."""

    async def script(call: Call) -> None:
        await call.push(TTSSpeakFrame("Hello there."), TTSSpeakFrame("How can I help?"))
        await asyncio.sleep(1.8)
        await call.end()

    _, stored = await held(local, script, voice())
    assert lines(stored) == ["assistant: Hello there. How can I help?"]


@pytest.mark.parametrize("voice", VOICES)
async def test_an_interruption_leaves_what_was_heard(
    local: LocalRoark, voice: type[TTSService]
) -> None:
    """Words that were played stay, and words that were not go (pipecat 4996, 5426)."""
    whole = f"One moment. {ANSWER}"
    # Words are timed as if nothing waited to be played before, and old Pipecats mix utterances up.
    mixed = voice is WordVoice or not BASE_BRACKETS
    texts = [whole] if mixed else ["One moment.", ANSWER]

    async def script(call: Call) -> None:
        await call.push(*map(TTSSpeakFrame, texts))
        await asyncio.sleep(2.0)
        await call.push(InterruptionFrame())
        await asyncio.sleep(0.3)
        await call.push(TTSSpeakFrame("Sorry?"))
        await asyncio.sleep(0.5)
        await call.end()

    roark, stored = await held(local, script, voice())
    first, second = roark.report().turns
    assert f"{first.content} {first.unheard}" == whole
    assert (second.content, second.unheard) == ("Sorry?", "")
    assert (first.interrupted, second.interrupted) == (True, False)
    letters = audible_secs(stored, second.start_ms) / SECS_PER_LETTER
    # A timed word counts from its first sound on, and any other when all of it was played.
    begun = len(first.content.split()[-1]) if voice is WordVoice else 0
    assert letters - len("tonight, ") - 3 <= len(first.content) <= letters + begun + 3
