"""Programs written for the releases 0.1.1 and 0.2.5, by their READMEs, run unchanged.

The programs are as those READMEs show them, old names and all. Each is a function of what a bot
has before its pipeline: a transport, its services, and the arguments of Pipecat's runner.
"""

from __future__ import annotations

import asyncio
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter

from pipecat_roark import RoarkObserver
from support.audio import LEFT, RIGHT, audible_secs, channel
from support.transport import ScriptedTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.transports.base_transport import BaseTransport

    from pipecat_roark.local import LocalRoark, StoredCall
    from support.calls import Call

    Program = Callable[[BaseTransport, Any], tuple[PipelineTask, RoarkObserver]]

pytestmark = [
    pytest.mark.live,
    pytest.mark.at_once,
    pytest.mark.filterwarnings("ignore:Field 'observers' is deprecated:DeprecationWarning"),
]
SYSTEM_PROMPT = "Be kind."


def params(**values: Any) -> PipelineParams:
    """Return parameters with any fields: newer Pipecats have fewer, and ignore the others."""
    return PipelineParams(**values)


def quick_start_of_0_1(transport: BaseTransport, _: object) -> tuple[PipelineTask, RoarkObserver]:
    """Build the quick start of 0.1.1."""
    stt, llm, tts = IdentityFilter(), IdentityFilter(), IdentityFilter()
    roark = RoarkObserver(
        api_key="rk_live_...",
        agent_id="support-bot-v3",
        agent_name="Support Bot v3",
        agent_prompt=SYSTEM_PROMPT,
    )
    pipeline = Pipeline(
        [transport.input(), stt, llm, tts, transport.output(), roark.audio_processor]
    )
    return PipelineTask(pipeline, params=params(observers=[roark])), roark


def own_id_of_0_1(transport: BaseTransport, _: object) -> tuple[PipelineTask, RoarkObserver]:
    """Build the program of 0.1.1 that is correlated with traces by an id of its own."""
    call_id = str(uuid.uuid4())
    roark = RoarkObserver(api_key="rk_live_...", agent_id="support-bot-v3", pipecat_call_id=call_id)
    pipeline = Pipeline([transport.input(), transport.output(), roark.audio_processor])
    task = PipelineTask(
        pipeline, params=params(observers=[roark]), enable_tracing=True, conversation_id=call_id
    )
    assert roark.pipecat_call_id == call_id
    return task, roark


def quick_start_of_0_2(
    transport: BaseTransport, runner_args: SimpleNamespace
) -> tuple[PipelineTask, RoarkObserver]:
    """Build the quick start of 0.2.5."""
    roark = RoarkObserver(
        api_key="rk_live_replace_me",
        agent_id="support-bot-v3",
        agent_name="Support Bot v3",
        agent_prompt=SYSTEM_PROMPT,
        runner_args=runner_args,
    )
    pipeline = Pipeline([transport.input(), transport.output(), roark.audio_processor])
    task = PipelineTask(
        pipeline, params=params(observers=[roark]), conversation_id=roark.pipecat_call_id
    )
    assert roark.pipecat_call_id == runner_args.session_id
    return task, roark


def own_processor(
    transport: BaseTransport, options: dict[str, object]
) -> tuple[PipelineTask, RoarkObserver]:
    """Build the program with its own recorder, in the wiring of the quick start."""
    audio_buffer = AudioBufferProcessor(sample_rate=16000, num_channels=1, buffer_size=128 * 1024)
    pipeline = Pipeline([transport.input(), transport.output(), audio_buffer])
    given: dict[str, Any] = options
    roark = RoarkObserver(
        api_key="rk_live_...",
        agent_id="support-bot-v3",
        audio_buffer_processor=audio_buffer,
        **given,
    )
    assert roark.audio_processor is audio_buffer
    return PipelineTask(pipeline, params=params(observers=[roark])), roark


def own_processor_of_0_1(transport: BaseTransport, _: object) -> tuple[PipelineTask, RoarkObserver]:
    """Build the program of 0.1.1 with its own recorder."""
    return own_processor(transport, {})


def own_processor_of_0_2(
    transport: BaseTransport, runner_args: object
) -> tuple[PipelineTask, RoarkObserver]:
    """Build the program of 0.2.5 with its own recorder."""
    return own_processor(transport, {"runner_args": runner_args})


async def hold(program: Program, local: LocalRoark) -> StoredCall:
    """Hold a call of a program whose caller hangs up, as both READMEs handle it."""
    transport = ScriptedTransport()
    runner_args = SimpleNamespace(session_id=str(uuid.uuid4()), handle_sigint=False)
    task, roark = program(transport, runner_args)

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def on_disconnect(_: object, __: object) -> None:
        await roark.aflush(reason="client-disconnected")

    async def talk(call: Call) -> None:
        await call.bot_says("Welcome.", secs=0.3)
        await call.quiet()
        await asyncio.sleep(0.2)
        await call.user_says("Hello.", secs=0.4)
        await transport.hang_up()
        await asyncio.wait_for(local.wait_for_end(roark.pipecat_call_id), 30)
        await task.cancel()

    await transport.call(task).hold(talk)
    return local.calls[roark.pipecat_call_id]


@pytest.mark.parametrize(
    "program",
    [
        quick_start_of_0_1,
        own_id_of_0_1,
        quick_start_of_0_2,
        own_processor_of_0_1,
        own_processor_of_0_2,
    ],
    ids=lambda program: program.__name__,
)
async def test_a_program_of_an_old_release_runs_unchanged(
    program: Program, local: LocalRoark
) -> None:
    """Its call arrives whole, with both turns, the reason of its end and the recording."""
    call = await hold(program, local)
    assert call.complete, call.problems
    assert call.started is not None
    assert call.ended is not None
    assert call.started["agentId"] == "support-bot-v3"
    assert [(turn["role"], turn["content"]) for turn in call.ended["transcript"]] == [
        ("assistant", "Welcome."),
        ("user", "Hello."),
    ]
    assert call.ended["callEndedReason"] == "client-disconnected"
    assert call.recording is not None
    if program in (own_processor_of_0_1, own_processor_of_0_2):
        mono, rate = channel(call.recording, LEFT)
        assert rate == call.ended["recordingSampleRate"] == 16000
        assert call.ended["recordingNumChannels"] == 1
        assert len(audible_secs(mono, rate, pause=0.1)) == len(call.ended["transcript"])
    else:
        for side in (LEFT, RIGHT):
            samples, rate = channel(call.recording, side)
            assert len(audible_secs(samples, rate, pause=0.1)) == 1
