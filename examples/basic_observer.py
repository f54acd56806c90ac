"""Adds Roark to a Pipecat pipeline with three lines, for any transport and any services.

The names are those of every supported Pipecat. From 1.3 on, `PipelineTask` is also called
`PipelineWorker`, and `examples/bot.py` is a complete bot with the new names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineTask

from pipecat_roark import RoarkObserver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.transports.base_transport import BaseTransport


def build_task(
    transport: BaseTransport, services: Sequence[FrameProcessor]
) -> tuple[PipelineTask, RoarkObserver]:
    """Build the task of one call, observed by Roark.

    Args:
        transport: Any transport.
        services: What stands between the caller's audio and the bot's: recognition, the user's
            context aggregator, language model, synthesis.

    Returns:
        The task for a runner, and the observer, whose `pipecat_call_id` is the call's identity.
    """
    # Roark, 1 of 3: an observer for this call. It reads the key from ROARK_API_KEY.
    roark = RoarkObserver(agent_id="front-desk")

    pipeline = Pipeline(
        [
            transport.input(),
            *services,
            transport.output(),
            roark.audio_processor,  # Roark, 2 of 3: the recording of what is really played.
            # The assistant's context aggregator, if you have one, goes here.
        ]
    )
    task = PipelineTask(pipeline, observers=[roark])  # Roark, 3 of 3: turns and tool calls.

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def hang_up(_transport: object, _client: object) -> None:
        # Nothing else ends the pipeline when the caller leaves. Deliver the call first: if the
        # pipeline is cancelled before that, Roark shows a call that the agent ended.
        await roark.aflush()
        await task.cancel()

    return task, roark
