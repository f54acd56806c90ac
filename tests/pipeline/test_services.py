"""Pipecat's own aggregators and language model, with tools, in a real pipeline."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

if sys.version_info < (3, 11):
    pytest.skip("these services' names are those of Pipecat 1.0", allow_module_level=True)
pytest.importorskip("openai", reason="an extra of Pipecat's")

from pipecat.frames.frames import VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.llm_service import FunctionCallParams  # noqa: TC002  # read by Pipecat
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from support import models
from support.models import ToolCall
from support.transcripts import held, lines, said
from support.voices import SentenceVoice

if TYPE_CHECKING:
    from pipecat_roark import RoarkObserver
    from pipecat_roark.local import LocalRoark, StoredCall
    from support.calls import Call

pytestmark = [pytest.mark.live, pytest.mark.at_once]


async def get_weather(params: FunctionCallParams, city: str) -> None:
    """Look up the weather.

    Args:
        params: Takes the result.
        city: Where.
    """
    await asyncio.sleep(0.2)
    await params.result_callback({"city": city, "sky": "clear"})


async def get_tables(params: FunctionCallParams) -> None:
    """Look up the free tables."""
    await params.result_callback([2, 4])


async def get_history(params: FunctionCallParams) -> None:
    """Look up what takes longer than anybody waits."""
    await asyncio.sleep(30)
    await params.result_callback("too late")


async def asks(call: Call, text: str) -> None:
    """Let the user ask something, as a detector and a recognizer would announce it."""
    await call.push(VADUserStartedSpeakingFrame(start_secs=0.2))
    await asyncio.sleep(0.3)
    await call.push(VADUserStoppedSpeakingFrame(stop_secs=0.2), said(text))


async def talked(
    local: LocalRoark, answers: list[models.Answer], script: Any
) -> tuple[RoarkObserver, StoredCall]:
    """Hold a call with a model that gives these answers in turn."""
    async with models.serve(answers) as url:
        llm = OpenAILLMService(
            api_key="none", base_url=url, settings=OpenAILLMService.Settings(model="m")
        )
        context = LLMContext(tools=[get_weather, get_tables, get_history])
        stop = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.1)
        user, assistant = LLMContextAggregatorPair(
            context,
            user_params=LLMUserAggregatorParams(
                user_turn_strategies=UserTurnStrategies(stop=[stop])
            ),
        )
        return await held(local, script, user, llm, SentenceVoice(), after_output=(assistant,))


async def test_tools_that_run_at_a_time(local: LocalRoark) -> None:
    """A model's parallel calls and their results are recorded, and its answer is a turn."""

    async def script(call: Call) -> None:
        await asks(call, "What is the weather, and is there a table?")
        await asyncio.sleep(2.5)
        await call.end()

    answers: list[models.Answer] = [
        [
            ToolCall("get_weather", {"city": "Oslo"}, "call-get_weather"),
            ToolCall("get_tables", tool_call_id="call-get_tables"),
        ],
        "Clear. Two are free.",
    ]
    roark, stored = await talked(local, answers, script)
    assert lines(stored) == [
        "user: What is the weather, and is there a table?",
        "assistant: Clear. Two are free.",
    ]
    assert stored.ended is not None
    assert [
        (record["kind"], record["toolCallId"], record.get("content"))
        for record in stored.ended["toolCalls"]
    ] == [
        ("tool_call", "call-get_weather", None),
        ("tool_result", "call-get_weather", '{"city":"Oslo","sky":"clear"}'),
        ("tool_call", "call-get_tables", None),
        ("tool_result", "call-get_tables", "[2,4]"),
    ]
    weather, _ = roark.report().tool_calls
    assert weather.duration_ms is not None
    assert 190 < weather.duration_ms < 1000


async def test_a_tool_that_the_user_cuts_short(local: LocalRoark) -> None:
    """A call that an interruption cancels is recorded as such, and the call goes on."""

    async def script(call: Call) -> None:
        await asks(call, "Tell me the history.")
        await asyncio.sleep(0.8)
        await asks(call, "Never mind.")
        await asyncio.sleep(1.5)
        await call.end()

    roark, stored = await talked(local, [[ToolCall("get_history")], "As you like."], script)
    assert lines(stored) == [
        "user: Tell me the history.",
        "user: Never mind.",
        "assistant: As you like.",
    ]
    (history,) = roark.report().tool_calls
    assert history.outcome == "cancelled"
    assert [result.content for result in history.results] == ["CANCELLED"]


@pytest.mark.parametrize(
    ("given", "parted"), [(None, False), ("", False), (None, True), ("call-1", True)]
)
async def test_a_model_that_gives_no_id(
    local: LocalRoark,
    given: str | None,
    parted: bool,  # noqa: FBT001
) -> None:
    """Tool calls without an id in the stream arrive, and so does all the rest of the call."""

    async def script(call: Call) -> None:
        for question in ("What is the weather?", "And in Rome?"):
            await asks(call, question)
            await asyncio.sleep(1.8)
        await call.end()

    answers: list[models.Answer] = [
        [ToolCall("get_weather", {"city": "Oslo"}, given, parted)],
        "Clear.",
        [ToolCall("get_weather", {"city": "Rome"}, given, parted)],
        "Clear, too.",
    ]
    _, stored = await talked(local, answers, script)
    assert lines(stored) == [
        *["user: What is the weather?", "assistant: Clear."],
        *["user: And in Rome?", "assistant: Clear, too."],
    ]
    assert stored.ended is not None
    records = stored.ended["toolCalls"]
    ids = [record["toolCallId"] for record in records]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert [record.get("arguments") or record["content"] for record in records] == [
        *['{"city":"Oslo"}', '{"city":"Oslo","sky":"clear"}'],
        *['{"city":"Rome"}', '{"city":"Rome","sky":"clear"}'],
    ]
