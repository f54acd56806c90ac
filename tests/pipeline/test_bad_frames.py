"""A frame with values that no service should send costs itself alone."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMMessagesAppendFrame,
    LLMTextFrame,
    MetricsFrame,
    SpeechControlParamsFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.frame_processor import FrameDirection

from pipecat_roark import RoarkObserver, compat, guard
from pipecat_roark.frames import RELEVANT_FRAMES, row_of
from support.audio import LEFT, RIGHT, audible_ms
from support.calls import Call, spoken

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark.local import LocalRoark

JUNK: list[Any] = [None, 5, -1, 0, 1.5, float("nan"), "", "x", b"x", [], {}, object(), print]
_ROUTING = {"id", "name", "metadata", "broadcast_sibling_id", "transport_source"}
"""Fields by which Pipecat itself moves a frame through the pipeline."""
TOOL = ("look_up", "tool-1", {"q": 1})
FRAMES: list[Callable[[], Frame]] = [
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    InterruptionFrame,
    SpeechControlParamsFrame,
    lambda: TranscriptionFrame("Bad.", "caller", "2026-01-01T00:00:00Z"),
    lambda: InterimTranscriptionFrame("Ba", "caller", "2026-01-01T00:00:00Z"),
    lambda: TTSAudioRawFrame(bytes(480), 24000, 1),
    lambda: spoken("Bad."),
    lambda: FunctionCallInProgressFrame("bad", "tool-2", {}),
    lambda: FunctionCallResultFrame("bad", "tool-2", {}, {}),
    lambda: FunctionCallCancelFrame("bad", "tool-2"),
    lambda: LLMTextFrame("Bad."),
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    lambda: MetricsFrame(data=[]),
    *compat.CLIENT_CONNECTED,
    *(lambda kind=kind: kind("Bad.") for kind in compat.MARKERS),
    lambda: LLMMessagesAppendFrame([{"role": "user", "content": "Bad."}]),
    *compat.USER_MUTE_STOPPED,
    *(lambda kind=kind: kind(bytes(480), 24000, 1) for kind in compat.STREAMED_AUDIO),
    *(lambda kind=kind: kind("Bad.", "sentence") for kind in compat.AGGREGATED_TEXT),
]


def bad_frames() -> list[Frame]:
    """Return each relevant frame, with each of its fields replaced by each kind of junk."""
    frames: list[Frame] = []
    for make in FRAMES:
        for field in dataclasses.fields(make()):
            for junk in JUNK if field.name not in _ROUTING else ():
                frame = make()
                object.__setattr__(frame, field.name, junk)
                frames.append(frame)
    return frames


async def show(roark: RoarkObserver, call: Call, frame: Frame) -> None:
    """Show a frame to the observer, and then to the recorder if it is in the pipeline."""
    at = call.loudspeaker.get_clock().get_time()
    ends = call.microphone, call.loudspeaker
    await roark.on_push_frame(FramePushed(*ends, frame, FrameDirection.DOWNSTREAM, at))
    if call.after_output:
        await roark.audio_processor.process_frame(frame, FrameDirection.DOWNSTREAM)


def test_every_relevant_frame_is_tried() -> None:
    """No row of the table is left out, but the mute, after which nothing is heard."""
    readers = {row_of(type(make())) for make in FRAMES}
    muting = {row_of(kind) for kind in compat.USER_MUTE_STARTED}
    assert {row_of(kind) for kind in RELEVANT_FRAMES} - readers - muting <= {None}


@pytest.mark.live
@pytest.mark.parametrize("own_recorder", [True, False], ids=["recorder", "observer alone"])
async def test_a_bad_frame_costs_itself_alone(
    local: LocalRoark,
    warned: list[str],
    monkeypatch: pytest.MonkeyPatch,
    own_recorder: bool,  # noqa: FBT001
) -> None:
    """The turns and tools around hundreds of bad frames arrive; a warning names a kind once."""
    monkeypatch.setattr(guard, "RERAISE", False)
    roark = RoarkObserver(agent_id="front-desk", pipecat_call_id="call#1")
    call = Call(observers=[roark], after_output=[roark.audio_processor] if own_recorder else [])

    async def script(call: Call) -> None:
        await call.bot_says("Hello.", secs=0.2)
        await call.quiet()
        await call.push(FunctionCallInProgressFrame(*TOOL))
        await call.push(FunctionCallResultFrame(*TOOL, {"found": 1}))
        for frame in bad_frames():
            await show(roark, call, frame)
            await asyncio.sleep(0)  # or the microphone would stall
        await call.user_says("Goodbye.", secs=0.4)
        await asyncio.sleep(0.3)
        await call.end()

    await call.hold(script)
    stored = await local.wait_for_end("call#1")
    assert stored.ended is not None
    said = [(turn["role"], turn["content"]) for turn in stored.ended["transcript"]]
    assert {("assistant", "Hello."), ("user", "Goodbye.")} <= {*said}
    tools = [record for record in stored.ended["toolCalls"] if record["toolCallId"] == "tool-1"]
    assert [record["kind"] for record in tools] == ["tool_call", "tool_result"]
    if own_recorder:
        assert stored.recording is not None
        for side, secs in ((RIGHT, 0.2), (LEFT, 0.4)):
            spans = audible_ms(stored.recording, side)
            assert any(1000 * secs == pytest.approx(end - begin, abs=20) for begin, end in spans)
    kinds = [match[1] for line in warned if (match := re.search(r"while reading (\w+)", line))]
    assert {"TranscriptionFrame", "TTSTextFrame", "TTSAudioRawFrame"} <= {*kinds}
    assert len(kinds) == len({*kinds})
