"""A recorder that the caller brought: Pipecat's own, as it is."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    EndFrame,
    InputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import TransportParams

from pipecat_roark import RoarkObserver
from pipecat_roark.recording.external import ExternalRecorder
from support.at_once import apart
from support.audio import LEFT, RIGHT, audible_ms
from support.calls import OUT_RATE, Call, PacedOutput, ScriptedInput, tone
from support.feed import Feed
from support.stage import Clock, Sink, start

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from pipecat.frames.frames import Frame
    from pipecat.processors.frame_processor import FrameProcessor

    from pipecat_roark.local import LocalRoark
    from pipecat_roark.local.store import StoredCall

MS = 1_000_000
STALL_SECS = 0.3


class Caller(AudioBufferProcessor):
    """The caller's processor, which counts how often it is started."""

    def __init__(self, *, channels: int = 2, buffer_size: int = 0) -> None:
        super().__init__(num_channels=channels, buffer_size=buffer_size, enable_direct_mode=True)
        self.starts = 0

    async def start_recording(self) -> None:
        self.starts += 1
        await super().start_recording()  # type: ignore[no-untyped-call]


def pushed(frame: Frame, to: FrameProcessor, at: int = 0) -> FramePushed:
    """Return the push of a frame as an observer receives it, at a time in milliseconds."""
    return FramePushed(Sink(), to, frame, FrameDirection.DOWNSTREAM, at * MS)


def microphone() -> InputAudioRawFrame:
    """Return 20 ms of a microphone."""
    return InputAudioRawFrame(tone(0.02, OUT_RATE).tobytes(), OUT_RATE, 1)


async def test_it_is_armed_once_and_at_once() -> None:
    """The first frame anywhere starts it, and no later one does."""
    caller = Caller()
    await start(caller, Clock(), OUT_RATE)
    recorder = ExternalRecorder(caller, Feed(), Clock().get_time)
    for _ in range(3):
        await recorder.observe(pushed(StartFrame(), Sink()))
    assert caller.starts == 1
    assert not recorder.in_pipeline


async def test_who_listens_knows_the_pipeline_before_it_starts() -> None:
    """The set-up of its pipeline is shown to the listener, and the processor still has it."""
    caller, feed, clock = Caller(), Feed(), Clock()
    ExternalRecorder(caller, feed, clock.get_time)
    with patch.object(feed, "on_setup", wraps=feed.on_setup) as shown:
        await start(caller, clock, OUT_RATE)
    ((setup,), _) = shown.call_args
    assert setup.clock is clock
    assert caller.get_clock() is clock


async def test_what_it_has_recorded_is_not_wiped() -> None:
    """One that records already is left alone, and hands out everything."""
    caller = Caller()
    feed = Feed()
    await start(caller, Clock(), OUT_RATE)
    await caller.start_recording()
    recorder = ExternalRecorder(caller, feed, feed.clock.get_time)
    await caller.process_frame(microphone(), FrameDirection.DOWNSTREAM)
    await recorder.observe(pushed(BotStartedSpeakingFrame(), caller))
    await caller.process_frame(microphone(), FrameDirection.DOWNSTREAM)
    await recorder.finish()
    assert caller.starts == 1
    assert [len(chunk) for chunk in feed.chunks] == [2 * 2 * 960]


@pytest.mark.parametrize("channels", [1, 2])
async def test_it_hands_out_its_audio_as_it_is(channels: int) -> None:
    """Mono or stereo, its chunks are taken as they come, and the rest at the end."""
    caller = Caller(channels=channels, buffer_size=4000)
    feed = Feed()
    await start(caller, Clock(), OUT_RATE)
    recorder = ExternalRecorder(caller, feed, feed.clock.get_time)
    await recorder.observe(pushed(StartFrame(), caller))
    for _ in range(7):
        await caller.process_frame(microphone(), FrameDirection.DOWNSTREAM)
    await asyncio.sleep(0)
    assert len(feed.chunks) == 1
    await recorder.finish()
    assert sum(len(chunk) for chunk in feed.chunks) == 7 * 960 * channels
    assert (recorder.sample_rate, recorder.num_channels) == (OUT_RATE, channels)


async def test_sample_0_is_the_first_audio_that_reaches_it() -> None:
    """Audio on its way elsewhere doesn't count, and a frame's first sample came before it did."""
    caller = Caller()
    await start(caller, Clock(), OUT_RATE)
    recorder = ExternalRecorder(caller, Feed(), Clock().get_time)
    await recorder.observe(pushed(microphone(), Sink(), 100))
    await recorder.observe(pushed(StartFrame(), caller, 110))
    assert recorder.origin_ns is None
    await recorder.observe(pushed(TTSAudioRawFrame(bytes(1920), OUT_RATE, 1), caller, 200))
    await recorder.observe(pushed(microphone(), caller, 220))
    assert recorder.origin_ns == 160 * MS


@pytest.mark.parametrize("after_output", [True, False])
async def test_it_knows_where_it_stands(after_output: bool) -> None:  # noqa: FBT001
    """A frame on its way to it proves that it is in the pipeline, and then its place is known."""
    caller = Caller()
    if after_output:
        PacedOutput(TransportParams()).link(caller)
    await start(caller, Clock(), OUT_RATE)
    recorder = ExternalRecorder(caller, Feed(), Clock().get_time)
    await recorder.observe(pushed(StartFrame(), Sink()))
    assert (recorder.in_pipeline, recorder.after_output) == (False, False)
    await recorder.observe(pushed(StartFrame(), caller))
    assert (recorder.in_pipeline, recorder.after_output) == (True, after_output)


@pytest.mark.parametrize("direction", FrameDirection)
async def test_an_output_in_another_pipeline_shows_when_it_speaks(
    direction: FrameDirection,
) -> None:
    """Its announcement comes downstream behind it, and upstream before it."""
    caller = Caller()
    await start(caller, Clock(), OUT_RATE)
    recorder = ExternalRecorder(caller, Feed(), Clock().get_time)
    announced = FramePushed(Sink(), caller, BotStartedSpeakingFrame(), direction, 0)
    await recorder.observe(announced)
    assert recorder.after_output is (direction is FrameDirection.DOWNSTREAM)


@pytest.mark.live
@pytest.mark.at_once
@pytest.mark.parametrize("armed", [True, False])
async def test_a_call_with_the_callers_own(local: LocalRoark, armed: bool) -> None:  # noqa: FBT001
    """In a real pipeline its recording arrives, and turns begin where they are heard in it."""

    async def script(call: Call) -> None:
        await call.bot_says("Hello.")
        await call.quiet()
        await call.user_says("Goodbye.")
        await asyncio.sleep(0.3)
        await call.end()

    caller = AudioBufferProcessor(num_channels=2)
    if armed:
        await caller.start_recording()
    borrowing = RoarkObserver(agent_id="front-desk", audio_buffer_processor=caller)
    owning = RoarkObserver(agent_id="front-desk")
    await Call(
        observers=[borrowing, owning],
        after_output=[borrowing.audio_processor, owning.audio_processor],
    ).hold(script)
    for roark in (borrowing, owning):
        arrived = local.calls[roark.pipecat_call_id]
        assert arrived.problems == ()
        assert arrived.ended is not None
        assert arrived.recording is not None
        sides = [audible_ms(arrived.recording, side)[0] for side in (RIGHT, LEFT)]
        assert spans(arrived) == [pytest.approx(side, abs=20) for side in sides]


async def borrowed(
    script: Callable[[Call], Awaitable[None]],
    buffer_size: int,
    microphone: type[ScriptedInput] = ScriptedInput,
) -> RoarkObserver:
    """Hold a call that is recorded by a processor of the caller, which is the first in it."""
    caller = AudioBufferProcessor(num_channels=2, buffer_size=buffer_size)
    roark = RoarkObserver(agent_id="front-desk", audio_buffer_processor=caller)
    call = Call(observers=[roark], after_output=[caller])
    call.microphone.__class__ = microphone
    await call.hold(script)
    return roark


def spans(call: StoredCall) -> list[tuple[float | None, float | None]]:
    """Return where the turns of a call lie in its recording, in milliseconds."""
    assert call.ended is not None
    return [
        (turn.get("audioOffsetMs"), turn.get("endAudioOffsetMs"))
        for turn in call.ended["transcript"]
    ]


@pytest.mark.live
@pytest.mark.at_once
@pytest.mark.parametrize("buffer_size", [0, 20000])
async def test_a_recording_that_pauses(local: LocalRoark, buffer_size: int) -> None:
    """Turns are where it holds them after a pause, and what was said in the pause is nowhere."""

    async def script(call: Call) -> None:
        caller = call.after_output[0]
        assert isinstance(caller, AudioBufferProcessor)
        await call.bot_says("Hello.")
        await call.quiet()
        await call.user_says("Goodbye.")
        await asyncio.sleep(0.3)
        await caller.stop_recording()
        await asyncio.sleep(0.3)
        await call.user_says("Is this private?")
        await asyncio.sleep(1)
        await caller.start_recording()
        await call.bot_says("Here I am.")
        await call.quiet()
        await call.user_says("Welcome back.")
        await asyncio.sleep(0.3)
        await call.end()

    roark = await borrowed(script, buffer_size)
    arrived = local.calls[roark.pipecat_call_id]
    assert arrived.problems == ()
    assert arrived.recording is not None
    user, bot = (audible_ms(arrived.recording, side, pause_ms=400) for side in (LEFT, RIGHT))
    expected = [bot[0], user[0], (None, None), bot[1], user[1]]
    assert spans(arrived) == [pytest.approx(span, abs=20) for span in expected]
    contents = ["Hello.", "Goodbye.", "[paused]", "Here I am.", "Welcome back."]
    assert [turn.content for turn in roark.report().turns] == contents


IN_STEP = pytest.mark.skipif(
    not hasattr(AudioBufferProcessor, "_sync_buffer_to_position"),
    reason="up to 0.0.100, audio that is handed out puts the bot's track out of step",
)


@pytest.mark.live
@pytest.mark.at_once
@pytest.mark.parametrize("buffer_size", [0, pytest.param(20000, marks=IN_STEP)])
async def test_a_stall_in_the_callers_own(local: LocalRoark, buffer_size: int) -> None:
    """Where it fills a stall with silence and lays what waited behind it, places follow."""

    async def stall(after: float) -> None:
        await asyncio.sleep(after)
        time.sleep(STALL_SECS)  # noqa: ASYNC251  # everything of this call stands still

    async def script(call: Call) -> None:
        for words in ("Hello?", "Are you there?", "Goodbye."):
            stalled = asyncio.create_task(stall(0.4))
            await call.user_says(words)
            await stalled
            await call.bot_says("I am.")
            await call.quiet()
        await asyncio.sleep(0.3)
        await call.end()

    roark = await apart(borrowed(script, buffer_size))
    arrived = local.calls[roark.pipecat_call_id]
    assert arrived.recording is not None
    sides = [audible_ms(arrived.recording, side, pause_ms=400) for side in (LEFT, RIGHT)]
    expected = [span for turn in zip(*sides, strict=True) for span in turn]
    assert spans(arrived) == [pytest.approx(span, abs=20) for span in expected]


class LateMicrophone(ScriptedInput):
    """A microphone whose first second waited, and is read at once."""

    async def _play(self) -> None:
        for _ in range(50):
            await self.push_audio_frame(InputAudioRawFrame(bytes(640), 16000, 1))
        await super()._play()


@pytest.mark.live
@pytest.mark.at_once
async def test_a_backlog_in_the_callers_own(local: LocalRoark) -> None:
    """What waited before the call is in its recording, and places follow that."""

    async def script(call: Call) -> None:
        await call.user_says("Hello?")
        await call.bot_says("Hello.")
        await call.quiet()
        await asyncio.sleep(0.1)
        await call.end()

    roark = await borrowed(script, 0, LateMicrophone)
    arrived = local.calls[roark.pipecat_call_id]
    assert arrived.recording is not None
    sides = [audible_ms(arrived.recording, side)[0] for side in (LEFT, RIGHT)]
    assert sides[0][0] > 1000
    assert spans(arrived) == [pytest.approx(side, abs=20) for side in sides]


@pytest.mark.live
@pytest.mark.at_once
async def test_a_call_with_the_callers_own_may_be_spooled(
    local: LocalRoark, tmp_path: Path
) -> None:
    """With a spool it arrives just the same, and nothing stays on disk."""
    spool = tmp_path / "spool"
    caller = AudioBufferProcessor(num_channels=2)
    roark = RoarkObserver(agent_id="desk", audio_buffer_processor=caller, spool_dir=spool)

    async def script(call: Call) -> None:
        await call.bot_says("Hello.")
        await call.quiet()
        await call.end()

    await Call(observers=[roark], after_output=[caller]).hold(script)
    arrived = local.calls[roark.pipecat_call_id]
    assert arrived.complete
    assert arrived.recording is not None
    assert [*spool.iterdir()] == []


async def test_a_stop_by_the_caller_is_a_pause() -> None:
    """It is noticed late, so the pause begins early, and ends no earlier than it is noticed."""
    caller, clock = Caller(), Clock()
    await start(caller, clock, OUT_RATE)
    recorder = ExternalRecorder(caller, Feed(), clock.get_time)
    await recorder.observe(pushed(microphone(), caller, 100))
    assert [*recorder.pauses] == []
    await caller.stop_recording()  # type: ignore[no-untyped-call]
    for at, seen in ((200, 1200), (300, 1300)):
        clock.now = seen * MS
        await recorder.observe(pushed(microphone(), caller, at))
    assert [*recorder.pauses] == [(200 * MS, None)]
    await caller.start_recording()
    clock.now = 1500 * MS
    await recorder.observe(pushed(microphone(), caller, 500))
    assert [*recorder.pauses] == [(200 * MS, 1500 * MS)]
    await caller.stop_recording()  # type: ignore[no-untyped-call]
    for at in (2000, 2020):
        clock.now = at * MS
        await recorder.observe(pushed(microphone(), caller, at))
    await caller.start_recording()
    clock.now = 2040 * MS
    await recorder.observe(pushed(microphone(), caller, 2040))
    assert [*recorder.pauses] == [(200 * MS, 1500 * MS), (2000 * MS, 2020 * MS)]
    await recorder.observe(pushed(EndFrame(), caller, 600))
    await caller.stop_recording()  # type: ignore[no-untyped-call]
    await recorder.observe(pushed(microphone(), caller, 700))
    assert not recorder.pauses.open


async def test_what_a_stop_hands_out_is_heard() -> None:
    """A stopped processor records nothing, so its audio is of no pause, whenever it comes."""
    caller, clock, feed = Caller(), Clock(), Feed()
    await start(caller, clock, OUT_RATE)
    recorder = ExternalRecorder(caller, feed, clock.get_time)
    await recorder.observe(pushed(microphone(), caller, 100))
    await caller.stop_recording()  # type: ignore[no-untyped-call]
    clock.now = 1200 * MS
    await recorder.observe(pushed(microphone(), caller, 200))
    await recorder._on_audio_data(caller, b"\1" * 400, OUT_RATE, 2)  # noqa: SLF001
    recorder.pauses.end(1300 * MS)
    recorder.pauses.begin(1400 * MS)
    clock.now = 1500 * MS
    await recorder._on_audio_data(caller, b"\2" * 400, OUT_RATE, 2)  # noqa: SLF001
    await recorder.finish()
    assert feed.chunks == [b"\1" * 400, b"\2" * 400]
    recorder = ExternalRecorder(caller, feed, clock.get_time)
    recorder.pauses.begin(1400 * MS)
    await recorder._on_audio_data(caller, b"\3" * 400, OUT_RATE, 2)  # noqa: SLF001
    await recorder.finish()
    assert feed.chunks[2] == bytes(400)
