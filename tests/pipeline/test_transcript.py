"""The transcript of real pipelines, as it arrives at a local Roark."""

from __future__ import annotations

import asyncio
from inspect import signature
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    EndFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMMessagesAppendFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineTask
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frameworks.rtvi import RTVIProcessor

from pipecat_roark import RoarkObserver
from support.audio import RIGHT, audible_ms
from support.calls import run, spoken
from support.realtime import RealtimeModel
from support.transcripts import ANSWER, arrived, audible_secs, held, lines, said

if TYPE_CHECKING:
    from pipecat_roark.local import LocalRoark
    from support.calls import Call

pytestmark = [pytest.mark.live, pytest.mark.at_once]


async def test_an_interruption_leaves_what_was_heard(local: LocalRoark) -> None:
    """Of the sentence that is cut the words that were played stay, and the rest goes."""

    async def script(call: Call) -> None:
        await call.bot_says("One moment.", ANSWER, "Hello?", secs=1.0)
        await asyncio.sleep(1.6)
        await call.push(InterruptionFrame())
        await asyncio.sleep(0.3)
        await call.bot_says("Sorry?", secs=0.3)
        await call.quiet()
        await call.end()

    roark, stored = await held(local, script)
    first, second = roark.report().turns
    assert f"{first.content} {first.unheard}" == f"One moment. {ANSWER} Hello?"
    played = len(ANSWER) * (audible_secs(stored, second.start_ms) - 1.0)
    kept = len(first.content) - len("One moment. ")
    assert played - len("tonight, ") - 3 < kept <= played + 1
    assert second.content == "Sorry?"
    assert (first.interrupted, second.interrupted) == (True, False)


async def test_an_answer_right_behind_an_interruption_is_the_next_turn(local: LocalRoark) -> None:
    """Speech that is made in the instant of an interruption is no part of what it cut."""

    async def script(call: Call) -> None:
        await call.bot_says(ANSWER, secs=3.0)
        await asyncio.sleep(0.9)
        await call.push(InterruptionFrame())
        await call.bot_says("Sorry, go ahead.")
        await call.quiet()
        await call.end()

    roark, _ = await held(local, script)
    first, second = roark.report().turns
    assert f"{first.content} {first.unheard}" == ANSWER
    assert first.content.startswith("Our table")
    assert (first.interrupted, second.interrupted) == (True, False)
    assert (second.content, second.unheard) == ("Sorry, go ahead.", "")


async def test_an_interruption_of_silence_changes_nothing(local: LocalRoark) -> None:
    """The frame that comes with every turn of the user is no interruption by itself."""

    async def script(call: Call) -> None:
        await call.bot_says("Hello there.")
        await call.quiet()
        await call.push(InterruptionFrame())
        await call.user_says("Hello.")
        await call.push(InterruptionFrame())
        await call.bot_says("How can I help?")
        await call.quiet()
        await call.end()

    roark, stored = await held(local, script)
    assert lines(stored) == [
        "assistant: Hello there.",
        "user: Hello.",
        "assistant: How can I help?",
    ]
    assert not any(turn.interrupted or turn.unheard for turn in roark.report().turns)


async def test_a_caller_who_vanishes_has_heard_what_was_played(local: LocalRoark) -> None:
    """The sentence that is being spoken when the call ends is there up to then (pipecat 2423)."""

    async def script(call: Call) -> None:
        await call.bot_says(ANSWER, secs=2.0)
        await asyncio.sleep(1.2)
        await call.task.cancel()

    roark, stored = await held(local, script)
    (turn,) = roark.report().turns
    assert f"{turn.content} {turn.unheard}" == ANSWER
    assert 20 < len(turn.content) < 45
    assert not turn.interrupted
    assert lines(stored) == [f"assistant: {turn.content}"]


async def test_start_and_stop_within_an_answer_are_one_turn(local: LocalRoark) -> None:
    """Sentences with a pause between them are one turn, from first to last (pipecat 453)."""

    async def script(call: Call) -> None:
        for sentence in ("Hello there.", "How can I help?", "Take your time."):
            await call.bot_says(sentence, secs=0.3)
            await call.quiet()
            await asyncio.sleep(0.5)
        await call.end()

    roark, stored = await held(local, script)
    assert lines(stored) == ["assistant: Hello there. How can I help? Take your time."]
    (turn,) = roark.report().turns
    assert stored.recording is not None
    spans = audible_ms(stored.recording, RIGHT)
    assert len(spans) >= 3
    assert turn.start_ms == pytest.approx(spans[0][0], abs=20)
    assert turn.end_ms == pytest.approx(spans[-1][1], abs=20)


async def test_words_that_come_after_the_answer_began_precede_it(local: LocalRoark) -> None:
    """Late words, and late segments, are in the turn in which they were spoken (pipecat 4279)."""

    async def script(call: Call) -> None:
        await call.user_says("I would like")
        await call.bot_says("Certainly.", secs=0.8)
        await asyncio.sleep(0.3)
        await call.push(said("a table."))
        await asyncio.sleep(0.8)
        await call.user_says("")
        await call.bot_says("For when?", secs=0.8)
        await asyncio.sleep(0.3)
        await call.push(said("By the window."))
        await asyncio.sleep(0.8)
        await call.end()

    _, stored = await held(local, script)
    assert lines(stored) == [
        "user: I would like a table.",
        "assistant: Certainly.",
        "user: By the window.",
        "assistant: For when?",
    ]


async def test_words_that_come_in_the_next_turn_precede_their_answer(local: LocalRoark) -> None:
    """A slow recognizer's words are in the turn that has an answer and no words yet."""

    async def script(call: Call) -> None:
        await call.user_says("", secs=0.8)
        await call.bot_says("It is open.", secs=1.5)
        await asyncio.sleep(0.8)
        asyncio.get_running_loop().create_task(call.user_says("And tomorrow?", secs=1.2))
        await asyncio.sleep(0.25)
        await call.push(InterruptionFrame())
        await asyncio.sleep(0.6)
        await call.push(said("Is it open?"))
        await asyncio.sleep(1.2)
        await call.end()

    _, stored = await held(local, script)
    first, answer, second = lines(stored)
    assert (first, second) == ("user: Is it open?", "user: And tomorrow?")
    assert answer.startswith("assistant: It")


async def test_no_detector_is_needed(local: LocalRoark) -> None:
    """Words alone, and words between turn frames, make turns (pipecat 3862, 5311)."""

    async def script(call: Call) -> None:
        await call.push(said("Hello."), said("Anyone?"))
        await asyncio.sleep(0.1)
        await call.bot_says("Yes?", secs=0.3)
        await call.quiet()
        await call.push(UserStartedSpeakingFrame())
        await asyncio.sleep(0.2)
        await call.push(said("A table, please."), UserStoppedSpeakingFrame())
        await asyncio.sleep(0.1)
        await call.push(UserStartedSpeakingFrame(), said("For two."), UserStoppedSpeakingFrame())
        await asyncio.sleep(0.1)
        await call.end()

    _, stored = await held(local, script)
    assert lines(stored) == [
        "user: Hello. Anyone?",
        "assistant: Yes?",
        "user: A table, please.",
        "user: For two.",
    ]


async def test_a_stop_may_never_come(local: LocalRoark) -> None:
    """Turns stand apart though no frame ever tells that the user stopped."""

    async def script(call: Call) -> None:
        for question, answer in (("One?", "First."), ("Two?", "Second."), ("Three?", "Third.")):
            await call.push(UserStartedSpeakingFrame())
            await asyncio.sleep(0.2)
            await call.push(said(question))
            await asyncio.sleep(0.1)
            await call.bot_says(answer, secs=0.3)
            await call.quiet()
        await call.end()

    _, stored = await held(local, script)
    assert lines(stored) == [
        *["user: One?", "assistant: First.", "user: Two?", "assistant: Second."],
        *["user: Three?", "assistant: Third."],
    ]


async def test_a_written_call_is_in_the_transcript(local: LocalRoark, warned: list[str]) -> None:
    """A call without any speech has turns, without a place in the recording, and no warning."""

    async def script(call: Call) -> None:
        for question, answer in (("Hello?", "Hi the|re."), ("A table?", "For when?")):
            await call.push(LLMMessagesAppendFrame([{"role": "user", "content": question}]))
            pieces = [LLMTextFrame(piece) for piece in answer.split("|")]
            await call.push(LLMFullResponseStartFrame(), *pieces, LLMFullResponseEndFrame())
            await asyncio.sleep(0.1)
        await call.end()

    _, stored = await held(local, script)
    assert lines(stored) == [
        *["user: Hello?", "assistant: Hi there.", "user: A table?", "assistant: For when?"]
    ]
    assert stored.ended is not None
    assert "audioOffsetMs" not in stored.ended["transcript"][0]
    assert warned == []


async def test_what_the_client_sends_is_in_a_spoken_call(local: LocalRoark) -> None:
    """A message that the user typed is a turn, and one of the application is none."""

    async def script(call: Call) -> None:
        await call.user_says("Hello?")
        await call.bot_says("Hi.")
        await call.quiet()
        await call.push(LLMMessagesAppendFrame([{"role": "user", "content": "Be brief."}]))
        await call.client_sends("send-text", content="My number is 12.")
        await asyncio.sleep(0.3)
        await call.bot_says("Thank you.")
        await call.quiet()
        await call.end()

    adds_it = "enable_rtvi" in signature(PipelineTask.__init__).parameters
    _, stored = await held(local, script, *[] if adds_it else [RTVIProcessor()])
    assert lines(stored) == [
        *["user: Hello?", "assistant: Hi.", "user: My number is 12.", "assistant: Thank you."]
    ]
    assert stored.problems == ()


async def test_several_users_speak_in_one_turn(local: LocalRoark) -> None:
    """Words arrive under the id and language of the one who said them."""

    async def script(call: Call) -> None:
        await call.push(UserStartedSpeakingFrame(), said("Shall we meet?", "S1", "en"))
        await asyncio.sleep(0.1)
        await call.push(said("Ja, am Montag.", "S2", "de"))
        await asyncio.sleep(0.1)
        await call.push(said("Good.", "S1", "en"), UserStoppedSpeakingFrame())
        await asyncio.sleep(0.1)
        await call.end()

    _, stored = await held(local, script)
    assert stored.ended is not None
    assert [
        (turn["userId"], turn["language"], turn["content"]) for turn in stored.ended["transcript"]
    ] == [("S1", "en", "Shall we meet?"), ("S2", "de", "Ja, am Montag."), ("S1", "en", "Good.")]


async def test_muted_or_silent_users_make_no_turn(local: LocalRoark) -> None:
    """Speech of which nothing is understood leaves no turn behind (pipecat 5005)."""

    async def script(call: Call) -> None:
        await call.user_says("", secs=0.2)
        await call.bot_says("Hello there.", secs=0.3)
        await call.quiet()
        await call.end()

    _, stored = await held(local, script)
    assert lines(stored) == ["assistant: Hello there."]


async def test_a_realtime_model_tells_upstream_what_it_heard(local: LocalRoark) -> None:
    """Fragment of text are joined as they come, and words from upstream precede their answer."""
    model = RealtimeModel([["Hello", " there", "."], ["Sure", ", yes."]], ["Hi.", "A table."])

    async def script(call: Call) -> None:
        for _ in range(2):
            await call.push(UserStartedSpeakingFrame())
            await asyncio.sleep(0.3)
            await call.push(UserStoppedSpeakingFrame())
            await asyncio.sleep(1.2)
        await call.end()

    _, stored = await held(local, script, model)
    assert lines(stored) == [
        "user: Hi.",
        "assistant: Hello there.",
        "user: A table.",
        "assistant: Sure, yes.",
    ]


async def test_a_realtime_model_may_announce_no_speech(local: LocalRoark) -> None:
    """Without a frame on the user's speech, what was understood still precedes the answer."""
    model = RealtimeModel([["Hello", " there."], ["Sure."]], ["Hi.", "A table."])

    async def script(call: Call) -> None:
        for _ in range(2):
            await model.answer()
            await asyncio.sleep(2.5)
        await call.end()

    _, stored = await held(local, script, model)
    assert lines(stored) == [
        "user: Hi.",
        "assistant: Hello there.",
        "user: A table.",
        "assistant: Sure.",
    ]


async def test_several_destinations_are_heard(local: LocalRoark) -> None:
    """What is played at any destination of the output is part of the transcript."""

    async def script(call: Call) -> None:
        await call.bot_says("Hello there.")
        french = spoken("Bonjour.")
        sound = TTSAudioRawFrame(bytes(2 * 24000), 24000, 1)
        french.transport_destination = sound.transport_destination = "french"
        await call.push(sound, french)
        await asyncio.sleep(1.5)
        await call.end()

    _, stored = await held(local, script, transport={"audio_out_destinations": ["french"]})
    assert lines(stored) == ["assistant: Hello there. Bonjour."]


async def test_without_an_output_what_was_generated_counts(local: LocalRoark) -> None:
    """A pipeline that plays nothing by itself tells what it would have said."""
    roark = RoarkObserver(agent_id="front-desk")
    task = PipelineTask(Pipeline([IdentityFilter()]), observers=[roark], idle_timeout_secs=None)
    answer = [spoken("Hello there."), spoken("How can I help?")]
    await task.queue_frames([said("Hello?"), *answer, InterruptionFrame(), EndFrame()])
    await run(task)
    stored = arrived(local, roark)
    assert lines(stored) == ["user: Hello?", "assistant: Hello there. How can I help?"]
    assert stored.ended is not None
    assert "audioOffsetMs" not in stored.ended["transcript"][0]


async def test_a_late_start_is_no_second_turn(local: LocalRoark) -> None:
    """A start that is announced again while the assistant speaks changes nothing."""

    async def script(call: Call) -> None:
        await call.bot_says("Hello there.")
        await asyncio.sleep(0.2)
        await call.push(BotStartedSpeakingFrame())
        await call.quiet()
        await call.end()

    _, stored = await held(local, script)
    assert lines(stored) == ["assistant: Hello there."]
