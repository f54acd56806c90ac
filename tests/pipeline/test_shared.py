"""One observer in several pipelines, such as the workers of one runner."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import EndFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineTask
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.transports.base_transport import TransportParams

from pipecat_roark import RoarkObserver
from support.calls import Call, PacedOutput, run
from support.transcripts import said

if TYPE_CHECKING:
    from pipecat_roark.local import LocalRoark, StoredCall

pytestmark = [
    pytest.mark.live,
    pytest.mark.at_once,
    pytest.mark.skipif(
        not hasattr(PipelineRunner, "add_workers"),
        reason="before 1.3.0 there are no workers, and the oldest Pipecats clean up twice",
    ),
]


def helper(roark: RoarkObserver) -> PipelineTask:
    """Return a pipeline without a microphone that shows its frames to the observer."""
    output = PacedOutput(TransportParams(audio_out_enabled=True))
    return PipelineTask(
        Pipeline([IdentityFilter(), output]),
        observers=[roark],
        idle_timeout_secs=None,
    )


async def hold_with_helper(
    local: LocalRoark, roark: RoarkObserver, call: Call, *, helper_ends_first: bool
) -> tuple[StoredCall, float]:
    """Hold a call beside a helper that starts a while before it.

    Returns:
        The call, and when the bot began to speak, in seconds of the wall clock.
    """
    spoke_at = 0.0
    task = helper(roark)
    helping = asyncio.create_task(run(task))
    await asyncio.sleep(0.5)

    async def script(call: Call) -> None:
        nonlocal spoke_at
        spoke_at = time.time()
        await call.bot_says("Hello.", secs=0.3)
        await call.quiet()
        if helper_ends_first:
            await task.queue_frame(EndFrame())
            await helping
        await call.user_says("Is anybody there?")
        await call.end()

    await call.hold(script)
    stored = await local.wait_for_end(roark.pipecat_call_id)
    if not helper_ends_first:
        await task.queue_frame(EndFrame())
        await helping
    return stored, spoke_at


@pytest.mark.parametrize("helper_ends_first", [True, False])
@pytest.mark.parametrize("own_processor", [False, True])
async def test_the_call_ends_with_the_pipeline_of_its_recorder(
    local: LocalRoark,
    helper_ends_first: bool,  # noqa: FBT001
    own_processor: bool,  # noqa: FBT001
) -> None:
    """A helper that ends first costs nothing, and one that goes on delays nothing."""
    processor = AudioBufferProcessor(num_channels=2) if own_processor else None
    roark = RoarkObserver(agent_id="front-desk", audio_buffer_processor=processor)
    call = Call(observers=[roark], after_output=[roark.audio_processor])
    stored, spoke_at = await hold_with_helper(
        local, roark, call, helper_ends_first=helper_ends_first
    )
    assert stored.complete, stored.problems
    assert stored.ended is not None
    assert [turn["content"] for turn in stored.ended["transcript"]] == [
        "Hello.",
        "Is anybody there?",
    ]
    assert roark.receipt.whole
    assert stored.recording is not None
    # The helper's clock began half a second earlier; all times are those of one clock.
    began = datetime.fromisoformat(
        stored.ended["transcript"][0]["timestamp"].replace("Z", "+00:00")
    )
    assert began.timestamp() - spoke_at == pytest.approx(0.1, abs=0.2)


async def test_without_a_recorder_the_last_pipeline_ends_the_call(local: LocalRoark) -> None:
    """Words of every pipeline arrive, until the last one is over."""
    roark = RoarkObserver(agent_id="front-desk")
    first, last = helper(roark), helper(roark)
    running = [asyncio.create_task(run(task)) for task in (first, last)]
    await asyncio.sleep(0.3)
    await first.queue_frames([said("One."), EndFrame()])
    await running[0]
    await last.queue_frames([said("Two."), EndFrame()])
    await running[1]
    stored = await local.wait_for_end(roark.pipecat_call_id)
    assert stored.ended is not None
    assert " ".join(turn["content"] for turn in stored.ended["transcript"]) == "One. Two."
