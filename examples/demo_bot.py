"""The bot of the demo call: an ordinary Pipecat pipeline, with Roark added to it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.llm_service import FunctionCallParams  # noqa: TC002 (a tool's types are read)
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport

from offline.recognition import MoonshineSTT
from offline.synthesis import EspeakTTS
from pipecat_roark import RoarkObserver

if TYPE_CHECKING:
    from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

PROMPT = "You are a city guide on the phone. Answer in short, plain sentences."


async def get_weather(params: FunctionCallParams, city: str) -> None:
    """Look up today's weather in a city.

    Args:
        params: Takes the result.
        city: The city's name.
    """
    await asyncio.sleep(0.3)  # A real tool would ask a service.
    await params.result_callback({"city": city, "weather": "sunny and warm"})


def create_bot(
    connection: SmallWebRTCConnection, *, llm_base_url: str
) -> tuple[PipelineWorker, RoarkObserver]:
    """Build the pipeline that answers one call, until the caller hangs up.

    Args:
        connection: The caller's connection.
        llm_base_url: An endpoint that speaks OpenAI's protocol.
    """
    transport = SmallWebRTCTransport(
        connection, TransportParams(audio_in_enabled=True, audio_out_enabled=True)
    )
    stt = MoonshineSTT()
    llm = OpenAILLMService(
        api_key="not-needed",
        base_url=llm_base_url,
        settings=OpenAILLMService.Settings(model="rules", system_instruction=PROMPT),
    )
    tts = EspeakTTS()
    user_aggregator, assistant_aggregator = LLMContextAggregatorPair(
        LLMContext(tools=[get_weather]),
        user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer()),
    )
    # Roark, 1 of 3: an observer for this call.
    roark = RoarkObserver(agent_id="city-guide", api_key=os.environ["ROARK_API_KEY"])
    pipeline = Pipeline(
        [
            transport.input(),
            stt,
            user_aggregator,
            llm,
            tts,
            transport.output(),
            roark.audio_processor,  # Roark, 2 of 3: the recording.
            assistant_aggregator,
        ]
    )
    worker = PipelineWorker(pipeline, observers=[roark])  # Roark, 3 of 3: turns and tool calls.

    @transport.event_handler("on_client_connected")  # type: ignore[untyped-decorator]
    async def greet(_transport: object, _client: object) -> None:
        await worker.queue_frame(LLMRunFrame())  # The bot speaks first.

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def end(_transport: object, _client: object) -> None:
        # A caller who hangs up does not end the pipeline. Deliver the call first, then cancel.
        await roark.aflush()
        await worker.cancel()

    return worker, roark
