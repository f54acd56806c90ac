"""Frames that an observer is shown again and again, between processors of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat.frames.frames import LLMMessagesAppendFrame
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.frame_processor import FrameDirection
from pipecat.processors.frameworks.rtvi import RTVIProcessor

from pipecat_roark import RoarkObserver
from support.calls import OUT_RATE
from support.stage import Clock, Sink, start
from support.transcripts import said

if TYPE_CHECKING:
    from pipecat_roark.local import LocalRoark

DOWN = FrameDirection.DOWNSTREAM


class Comparable(Sink):
    """A processor that is compared by value, and so can't be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


async def test_a_processor_need_not_be_hashable(local: LocalRoark) -> None:
    """No more is asked of the application's processors than Pipecat asks."""
    roark = RoarkObserver(agent_id="front-desk")
    ends = Comparable(), Comparable()
    for processor in ends:
        await start(processor, Clock(), OUT_RATE)
    word = said("Hello.")
    for _ in range(2):
        await roark.on_push_frame(FramePushed(*ends, word, DOWN, 1))
    await roark.aflush()
    assert len(roark.report().turns) == 1
    assert local.calls[roark.pipecat_call_id].ended is not None


async def test_who_sent_a_message_is_known_when_the_recorder_sees_it_first(
    local: LocalRoark,
) -> None:
    """An observer lags behind; what the user's client sent is still the user's."""
    roark = RoarkObserver(agent_id="front-desk")
    client, destination, clock = RTVIProcessor(), Sink(), Clock()
    for processor in (client, destination):
        await start(processor, clock, OUT_RATE)
    await start(roark.audio_processor, clock, OUT_RATE)
    typed = LLMMessagesAppendFrame([{"role": "user", "content": "My number is 12."}])
    await roark.on_push_frame(FramePushed(client, destination, said("Hello."), DOWN, 1))
    await roark.audio_processor.process_frame(typed, DOWN)
    await roark.on_push_frame(FramePushed(client, destination, typed, DOWN, 2))
    await roark.aflush()
    assert [turn.content for turn in roark.report().turns] == ["Hello.", "My number is 12."]
    assert local.calls[roark.pipecat_call_id].ended is not None
