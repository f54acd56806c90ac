"""A complete voice bot with Roark, on Deepgram, OpenAI and Cartesia.

Copy `.env.example` to `.env` and fill in the keys; then talk to the bot in the browser:

    uv run --extra bot examples/bot.py --transport webrtc

With `--transport daily` you meet it in a Daily room (`DAILY_API_KEY`). On Pipecat Cloud the same
file is the image's `bot.py`: `bot()` is called for each session, and a secret set holds the keys.

Written for Pipecat 1.14, so it needs Python 3.11 or newer.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.runner.utils import create_transport
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.llm_service import FunctionCallParams  # noqa: TC002 (a tool's types are read)
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.daily.transport import DailyParams
from pipecat.workers.runner import WorkerRunner

from pipecat_roark import RoarkObserver

if TYPE_CHECKING:
    from pipecat.runner.types import RunnerArguments
    from pipecat.transports.base_transport import BaseTransport

PROMPT = (
    "You answer the phone of the restaurant Olive and Thyme. Greet the caller, then help. "
    "What you say is spoken aloud: short sentences, no lists, no symbols."
)
VOICE = "71a7ad14-091c-4e8e-a314-022ece01c121"
"""One of Cartesia's public voices."""

# Each session creates only the parameters of its own transport.
TRANSPORTS = {
    "webrtc": lambda: TransportParams(audio_in_enabled=True, audio_out_enabled=True),
    "daily": lambda: DailyParams(audio_in_enabled=True, audio_out_enabled=True),
}


async def check_table(params: FunctionCallParams, day: str, guests: int) -> None:
    """Look up whether a table is free.

    Args:
        params: Takes the result.
        day: Day of the week, for example "Friday".
        guests: How many people will come.
    """
    # Your reservation system goes here. Roark shows the call, its arguments and this result.
    free = day.lower() != "monday" and guests <= 6  # noqa: PLR2004 (the largest table)
    await params.result_callback({"day": day, "guests": guests, "free": free})


def build_worker(
    transport: BaseTransport, runner_args: RunnerArguments, *, audio_out_sample_rate: int = 24000
) -> tuple[PipelineWorker, RoarkObserver]:
    """Build the pipeline of one call.

    Args:
        transport: The caller's connection.
        runner_args: The session, as Pipecat's runner describes it.
        audio_out_sample_rate: Sample rate of the bot's voice and of the recording, in Hz.

    Returns:
        The worker for a runner, and the observer that delivers the call.
    """
    stt = DeepgramSTTService(api_key=os.environ["DEEPGRAM_API_KEY"])
    llm = OpenAILLMService(
        api_key=os.environ["OPENAI_API_KEY"],
        settings=OpenAILLMService.Settings(model="gpt-4.1", system_instruction=PROMPT),
    )
    tts = CartesiaTTSService(
        api_key=os.environ["CARTESIA_API_KEY"], settings=CartesiaTTSService.Settings(voice=VOICE)
    )
    # Both aggregators add to the model's context. That of the user decides when a turn ends, so it
    # gets the voice activity detection.
    user_aggregator, assistant_aggregator = LLMContextAggregatorPair(
        LLMContext(tools=[check_table]),
        user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer()),
    )
    # Roark, 1 of 3: an observer for this call. It reads the key from ROARK_API_KEY, and takes the
    # call's identity, by which you find the call at Roark, from the runner's arguments.
    roark = RoarkObserver(
        agent_id="olive-and-thyme",
        agent_name="Olive and Thyme",
        agent_prompt=PROMPT,
        runner_args=runner_args,
    )
    pipeline = Pipeline(
        [
            transport.input(),
            stt,
            user_aggregator,
            llm,
            tts,
            transport.output(),
            roark.audio_processor,  # Roark, 2 of 3: the recording of what is really played.
            assistant_aggregator,  # After the output: the model knows what the caller heard.
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_out_sample_rate=audio_out_sample_rate),
        observers=[roark],  # Roark, 3 of 3: turns and tool calls.
        idle_timeout_secs=runner_args.pipeline_idle_timeout_secs,
    )

    @transport.event_handler("on_client_connected")  # type: ignore[untyped-decorator]
    async def greet(_transport: object, _client: object) -> None:
        await worker.queue_frame(LLMRunFrame())  # The bot speaks first.

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def hang_up(_transport: object, _client: object) -> None:
        # Nothing else ends the pipeline when the caller leaves. Deliver the call first: if the
        # pipeline is cancelled before that, Roark shows a call that the agent ended.
        await roark.aflush()
        await worker.cancel()

    return worker, roark


async def bot(runner_args: RunnerArguments) -> None:
    """Hold one call; Pipecat's runner and Pipecat Cloud look for this name."""
    transport = await create_transport(runner_args, TRANSPORTS)
    worker, _ = build_worker(transport, runner_args)
    runner = WorkerRunner(
        handle_sigint=runner_args.handle_sigint, handle_sigterm=runner_args.handle_sigterm
    )
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    # Only needed here: on Pipecat Cloud there is neither a .env nor a command line.
    from dotenv import load_dotenv
    from pipecat.runner.run import main

    load_dotenv()
    main()
