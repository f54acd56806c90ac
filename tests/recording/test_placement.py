"""Where a recorder stands: in which pipeline, before or behind the output."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pipecat.frames.frames import BotStartedSpeakingFrame, Frame
from pipecat.pipeline.parallel_pipeline import ParallelPipeline
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams

from support.audio import audible_secs
from support.calls import IN_RATE, OUT_RATE, Call, PacedOutput, ScriptedInput, tone
from support.feed import Feed, microphone, speech

if TYPE_CHECKING:
    from collections.abc import Callable

    Parts = list[FrameProcessor]

pytestmark = [pytest.mark.live, pytest.mark.at_once]


class Passing(FrameProcessor):
    """A processor that does nothing."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


def branches(*parts: FrameProcessor) -> ParallelPipeline:
    """Return a pipeline with these processors in one of its branches."""
    return ParallelPipeline([*parts], [Passing()])


BEHIND: dict[str, Callable[[Any, Any], Parts]] = {
    "right behind": lambda output, recorder: [output, recorder],
    "further behind": lambda output, recorder: [output, Passing(), recorder],
    "output nested": lambda output, recorder: [Pipeline([output]), recorder],
    "recorder nested": lambda output, recorder: [output, Pipeline([recorder])],
    "both nested": lambda output, recorder: [Pipeline([output]), Pipeline([Passing(), recorder])],
    "recorder in a branch": lambda output, recorder: [output, branches(recorder)],
    "output in a branch": lambda output, recorder: [branches(output), recorder],
    "together in a branch": lambda output, recorder: [branches(output, recorder)],
}
BEFORE: dict[str, Callable[[Any, Any], Parts]] = {
    "right before": lambda output, recorder: [recorder, output],
    "recorder nested": lambda output, recorder: [Pipeline([recorder]), output],
    "output nested": lambda output, recorder: [recorder, Pipeline([output])],
    "recorder in a branch": lambda output, recorder: [branches(recorder), output],
    "output in a branch": lambda output, recorder: [recorder, branches(output)],
}


class Placed(Call):
    """A call whose recorder stands in some place."""

    def __init__(self, place: Callable[[Any, Any], Parts], recorder: FrameProcessor) -> None:
        params = TransportParams(
            audio_in_enabled=True, audio_out_enabled=True, audio_out_end_silence_secs=0
        )
        self.microphone = ScriptedInput(params)
        self.loudspeaker = PacedOutput(params)
        self.task = PipelineTask(
            Pipeline([self.microphone, *place(self.loudspeaker, recorder)]),
            params=PipelineParams(audio_in_sample_rate=IN_RATE, audio_out_sample_rate=OUT_RATE),
            idle_timeout_secs=None,
        )


async def says_a_word(call: Call) -> None:
    """Let the bot speak, and end."""
    await call.bot_says("Hello.", secs=0.3)
    await call.quiet()
    await asyncio.sleep(0.1)
    await call.end()


@pytest.mark.parametrize("place", BEHIND.values(), ids=BEHIND)
async def test_a_recorder_behind_the_output_knows_it(
    place: Callable[[Any, Any], Parts],
) -> None:
    """Whatever pipelines are between them."""
    feed = Feed(linked=False)
    await Placed(place, feed.recorder).hold(says_a_word)
    assert feed.recorder.in_pipeline
    assert feed.recorder.after_output
    assert audible_secs(feed.recorded()[1])


@pytest.mark.parametrize("place", BEFORE.values(), ids=BEFORE)
async def test_a_recorder_before_the_output_knows_it(
    place: Callable[[Any, Any], Parts],
) -> None:
    """The announcements that come upstream show nothing."""
    feed = Feed(linked=False)
    await Placed(place, feed.recorder).hold(says_a_word)
    assert feed.recorder.in_pipeline
    assert not feed.recorder.after_output


async def test_what_an_output_plays_is_paced_from_its_first_sound_on() -> None:
    """Behind an output that it cannot see, a recorder mends stalls of the bot's audio."""
    feed = await Feed(linked=False).start()
    feed.recorder.link(feed.sink)

    def stalls(due: float) -> float:
        return due if not 1.5 < due <= 2.0 else 2.0 + (due - 1.5) / 1000

    spoken = tone(2, OUT_RATE, 660)
    await feed.play(microphone(tone(1, IN_RATE)), speech(spoken, 1, arrives=stalls))
    await feed.recorder.finish()
    _, bot = feed.recorded()
    assert np.array_equal(bot[OUT_RATE : 3 * OUT_RATE], spoken)


async def test_the_first_announcement_may_come_before_any_audio() -> None:
    """It says how the tracks are to be laid before there are any."""
    feed = await Feed(linked=False).start()
    feed.recorder.link(feed.sink)
    await feed.push(BotStartedSpeakingFrame(), 0.5)
    assert feed.recorder.after_output
