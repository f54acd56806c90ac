"""Calls in real pipelines, whole at a local Roark."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from pipecat.frames.frames import (
    BotSpeakingFrame,
    BotStartedSpeakingFrame,
    EndFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    StopFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection

from pipecat_roark import CallReport, RoarkObserver, guard
from pipecat_roark.conversation.state import CallState
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.local import LocalRoark, StoredCall
from support.audio import LEFT, RIGHT, audible_ms, channel
from support.calls import IN_RATE, OUT_RATE, Call, run, spoken, tone
from support.transcripts import said

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aiohttp.typedefs import Handler

pytestmark = pytest.mark.at_once


class EachHop(RoarkObserver):
    """An observer that is shown each frame at every hop, as before Pipecat 1.12.0."""

    @property
    def observe_every_push(self) -> bool:
        return True


def observed(**options: Any) -> tuple[RoarkObserver, Call]:
    """Return an observer and a pipeline with it."""
    roark = RoarkObserver(agent_id="front-desk", **options)
    return roark, Call(observers=[roark], after_output=[roark.audio_processor])


async def conversation(call: Call) -> None:
    """Hold a short call in which the assistant speaks first."""
    await call.bot_says("Hello there.", "How can I help?")
    await call.quiet()
    await asyncio.sleep(0.2)
    await call.user_says("What is the weather?")
    await call.push(
        FunctionCallInProgressFrame("weather", "call-1", {"city": "Oslo"}),
        FunctionCallResultFrame("weather", "call-1", {"city": "Oslo"}, {"sky": "clear"}),
    )
    await asyncio.sleep(0.1)
    await call.bot_says("It is sunny.")
    await call.quiet()


async def talk_and_end(call: Call) -> None:
    """Hold the short call and end it in good order."""
    await conversation(call)
    await call.end()


def stored(local: LocalRoark, roark: RoarkObserver) -> StoredCall:
    """Return the call as the local Roark has it, without a problem."""
    call = local.calls[roark.pipecat_call_id]
    assert call.problems == ()
    assert call.complete
    return call


def assert_edges(turns: list[dict[str, Any]], recording: Path) -> None:
    """Check every turn's edges against what can be heard: 20 ms the assistant, 40 ms the user."""
    for side, role, tolerance in ((LEFT, "user", 40), (RIGHT, "assistant", 20)):
        marked = [
            (turn["audioOffsetMs"], turn["endAudioOffsetMs"])
            for turn in turns
            if turn["role"] == role
        ]
        audible = audible_ms(recording, side)
        assert len(marked) == len(audible)
        for (start, end), (first, last) in zip(marked, audible, strict=True):
            assert start == pytest.approx(first, abs=tolerance)
            assert end == pytest.approx(last, abs=tolerance)


@pytest.mark.live
async def test_a_call_arrives_whole(local: LocalRoark, log: list[str]) -> None:
    """Start, turns, tool call, recording and end arrive, and one line says so."""
    roark, call = observed(agent_name="Desk", agent_prompt="Be kind.")
    await call.hold(talk_and_end)

    arrived = stored(local, roark)
    assert arrived.started is not None
    assert arrived.started["agentId"] == "front-desk"
    assert arrived.started["agentName"] == "Desk"
    assert arrived.started["agentPrompt"] == "Be kind."
    assert arrived.ended is not None
    assert [(turn["role"], turn["content"]) for turn in arrived.ended["transcript"]] == [
        ("assistant", "Hello there. How can I help?"),
        ("user", "What is the weather?"),
        ("assistant", "It is sunny."),
    ]
    assert [
        (record["kind"], record["toolCallId"], record.get("arguments") or record.get("content"))
        for record in arrived.ended["toolCalls"]
    ] == [
        ("tool_call", "call-1", '{"city":"Oslo"}'),
        ("tool_result", "call-1", '{"sky":"clear"}'),
    ]
    first, last = arrived.ended["transcript"][0], arrived.ended["transcript"][-1]
    assert arrived.ended["callStartedAt"] == arrived.started["eventTimestamp"]
    assert arrived.ended["callStartedAt"] <= first["timestamp"] < last["endTimestamp"]
    assert last["endTimestamp"] <= arrived.ended["callEndedAt"]
    assert arrived.ended["agentSpokeFirst"] is True
    assert arrived.ended["callEndedReason"] == "agent-ended"
    assert arrived.ended["recordingSampleRate"] == OUT_RATE
    assert arrived.ended["recordingNumChannels"] == 2
    assert arrived.recording is not None
    assert_edges(arrived.ended["transcript"], arrived.recording)
    assert [line.split()[0] for line in log] == ["INFO"]


@pytest.mark.live
async def test_a_greeting_is_recorded_from_its_first_sample(local: LocalRoark) -> None:
    """A bot that speaks before any microphone audio is on the recording, whole (pipecat 4890)."""
    roark, call = observed()
    call.microphone.muted = True

    async def script(call: Call) -> None:
        await call.bot_says("Hello.", secs=0.52)
        await call.quiet()
        await call.end()

    await call.hold(script)
    recording = stored(local, roark).recording
    assert recording is not None
    samples, rate = channel(recording, RIGHT)
    assert samples[: round(0.52 * rate)].tolist() == tone(0.52, OUT_RATE, 660).tolist()


@pytest.mark.live
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda call: call.task.queue_frame(EndFrame()), "agent-ended"),
        (lambda call: call.task.cancel(), "agent-ended"),
        (lambda call: call.task.queue_frame(StopFrame()), "unknown"),
    ],
    ids=["end", "cancel", "stop"],
)
async def test_every_end_delivers_the_tail(
    local: LocalRoark, end: Callable[[Call], Awaitable[None]], reason: str
) -> None:
    """Whichever way the pipeline ends, the last words and the last samples are there."""
    roark, call = observed()

    async def script(call: Call) -> None:
        await call.user_says("Bye.", secs=0.5)
        await asyncio.sleep(0.1)
        await call.bot_says("Goodbye.", secs=0.52)
        await call.quiet()
        await end(call)

    await call.hold(script)
    arrived = stored(local, roark)
    assert arrived.ended is not None
    assert arrived.ended["callEndedReason"] == reason
    contents = [turn["content"] for turn in arrived.ended["transcript"]]
    assert contents == ["Bye.", "Goodbye."]
    assert arrived.recording is not None
    ((start, stop),) = audible_ms(arrived.recording, RIGHT)
    assert stop - start == pytest.approx(520, abs=20)


async def test_the_reason_of_the_end_frame_is_sent(local: LocalRoark) -> None:
    """A reason that the end frame carries is the call's reason, where frames carry one."""
    roark, call = observed()
    frame = EndFrame()
    if not hasattr(frame, "reason"):
        pytest.skip("this Pipecat's frames carry no reason")
    frame.reason = "transferred"
    await call.hold(lambda call: call.push(frame))
    ended = local.calls[roark.pipecat_call_id].ended
    assert ended is not None
    assert ended["callEndedReason"] == "transferred"


@pytest.mark.live
async def test_a_farewell_after_the_end_was_asked_for_is_kept(local: LocalRoark) -> None:
    """Words and audio that play out before the end frame arrives are there (pipecat 3141)."""
    roark, call = observed()

    async def script(call: Call) -> None:
        await call.bot_says("Goodbye then.", secs=0.5)
        await call.end()

    await call.hold(script)
    arrived = stored(local, roark)
    assert arrived.ended is not None
    assert [turn["content"] for turn in arrived.ended["transcript"]] == ["Goodbye then."]


@pytest.mark.live
async def test_aflush_ends_the_call_once(local: LocalRoark) -> None:
    """However often and from wherever the end is asked for, one `call-ended` goes out."""
    roark, call = observed()
    ended = 0

    @roark.event_handler("on_call_ended")  # type: ignore[untyped-decorator]
    async def _(_: RoarkObserver, __: CallReport) -> None:
        nonlocal ended
        ended += 1

    async def script(call: Call) -> None:
        await conversation(call)
        await asyncio.gather(*(roark.aflush(reason="browser closed") for _ in range(3)))
        await roark.aflush()
        arrived = local.calls[roark.pipecat_call_id]
        assert arrived.complete
        await call.bot_says("Too late.", secs=0.1)
        await call.task.cancel()

    await call.hold(script)
    await roark.cleanup()
    arrived = stored(local, roark)
    assert arrived.ended is not None
    assert arrived.ended["callEndedReason"] == "browser closed"
    assert len(arrived.ended["transcript"]) == 3
    assert ended == 1


@pytest.mark.live
@pytest.mark.newest
async def test_a_slow_api_moves_no_marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a `call-started` that takes seconds, every marker is where it can be heard."""

    @web.middleware
    async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.endswith("/pipecat") and b"call-started" in await request.read():
            await asyncio.sleep(5)
        return await handler(request)

    async with LocalRoark(tmp_path, middlewares=[slow]) as local:
        monkeypatch.setenv("ROARK_BASE_URL", local.url)
        roark, call = observed(api_key="key")
        await call.hold(talk_and_end)
        arrived = stored(local, roark)
    assert arrived.ended is not None
    assert arrived.recording is not None
    assert_edges(arrived.ended["transcript"], arrived.recording)


@pytest.mark.live
async def test_held_up_callbacks_move_no_marker(local: LocalRoark) -> None:
    """Callbacks that come a second late change nothing of what is delivered."""
    held_up: set[type] = set()

    class Late(RoarkObserver):
        async def on_push_frame(self, data: Any) -> None:
            kind = type(data.frame)
            speaks = (BotStartedSpeakingFrame, UserStartedSpeakingFrame)
            if issubclass(kind, speaks) and kind not in held_up:
                held_up.add(kind)
                await asyncio.sleep(1)
            await super().on_push_frame(data)

    roark = Late(agent_id="front-desk")
    call = Call(observers=[roark], after_output=[roark.audio_processor])
    await call.hold(talk_and_end)
    arrived = stored(local, roark)
    assert arrived.ended is not None
    assert arrived.recording is not None
    assert_edges(arrived.ended["transcript"], arrived.recording)
    assert len(held_up) == 2


@pytest.mark.live
@pytest.mark.newest
async def test_a_report_can_be_had_during_the_call(local: LocalRoark) -> None:
    """The report grows with the call and ends with it."""
    roark, call = observed(pipecat_call_id="my-call")
    assert roark.report() == CallReport(pipecat_call_id="my-call")
    reports: list[CallReport] = []

    async def script(call: Call) -> None:
        await conversation(call)
        reports.append(roark.report())
        await call.end()

    await call.hold(script)
    (during,) = reports
    assert [turn.content for turn in during.turns] == [
        "Hello there. How can I help?",
        "What is the weather?",
        "It is sunny.",
    ]
    assert during.ended_at is None
    final = roark.report()
    assert final.ended_reason == "agent-ended"
    assert final.tool_calls[0].outcome == "returned"
    assert final.turns[2].response_ms is not None
    assert 50 < final.turns[2].response_ms < 1000
    assert stored(local, roark).call_id == "my-call"


async def test_an_empty_transcript_is_explained(local: LocalRoark, warned: list[str]) -> None:
    """A call without a word warns, and says what usually causes it."""
    roark, call = observed()
    await call.hold(lambda call: call.end())
    assert local.calls[roark.pipecat_call_id].ended is not None
    (warning,) = warned
    assert "no TranscriptionFrame" in warning
    assert "observers=[" in warning


async def test_an_empty_transcript_says_what_came(local: LocalRoark, warned: list[str]) -> None:
    """Text that was made and never played is not called unseen."""
    roark, call = observed()

    async def script(call: Call) -> None:
        await roark.on_push_frame(
            FramePushed(
                call.microphone, call.microphone, spoken("Hi."), FrameDirection.DOWNSTREAM, 1
            )
        )
        await call.end()

    await call.hold(script)
    assert local.calls[roark.pipecat_call_id].ended is not None
    (warning,) = warned
    assert "has an empty transcript, though TTSTextFrame came: nothing of it" in warning


async def test_between_other_processors_a_frame_is_read_once(local: LocalRoark) -> None:
    """Only at the output and at the recorder has a frame that was seen something new to tell."""
    roark = EachHop(agent_id="front-desk")
    watcher = roark._watcher  # noqa: SLF001  # what it is shown has no other sign
    shown: list[tuple[str, str]] = []

    async def see(data: FramePushed) -> None:
        names = type(data.frame).__name__, type(data.destination).__name__
        shown.append(names)
        await type(watcher).see(watcher, data)

    vars(watcher)["see"] = see
    before = [IdentityFilter(), IdentityFilter()]
    after = [roark.audio_processor, IdentityFilter(), IdentityFilter()]

    async def script(call: Call) -> None:
        await call.push(said("Hello."), BotSpeakingFrame())
        await call.bot_says("Hi.", secs=0.04)
        await call.quiet()
        await call.end()

    await Call([roark], after, before_output=before).hold(script)
    kinds = Counter(kind for kind, _ in shown)
    assert kinds["TranscriptionFrame"] == 3  # first, into the output and out of it
    assert kinds["BotSpeakingFrame"] == kinds["InputAudioRawFrame"] == 1
    made, into = kinds["TTSTextFrame"], ("TTSTextFrame", "PacedOutput")
    assert (made, shown.count(into)) == (3, 1)
    assert stored(local, roark).ended is not None
    assert len(roark.report().turns) == 2


@pytest.mark.live
@pytest.mark.parametrize("own_processor", [False, True])
@pytest.mark.parametrize("passthrough", [False, True])
async def test_a_recording_without_the_user_is_explained(
    local: LocalRoark,
    warned: list[str],
    own_processor: bool,  # noqa: FBT001
    passthrough: bool,  # noqa: FBT001
) -> None:
    """A microphone that does not reach the recorder is named, and how to mend it."""
    processor = AudioBufferProcessor(num_channels=2) if own_processor else None
    roark = RoarkObserver(agent_id="front-desk", audio_buffer_processor=processor)
    transport = {"audio_in_passthrough": passthrough}
    call = Call(observers=[roark], after_output=[roark.audio_processor], transport=transport)

    async def script(call: Call) -> None:
        await call.bot_says("Hello.", secs=0.3)
        await call.quiet()
        await call.user_says("Hello?")
        await call.end()

    await call.hold(script)
    assert len(stored(local, roark).chunks) == 1
    assert [line for line in warned if "Set audio_in_passthrough=True" in line] == (
        [] if passthrough else warned
    )
    assert len(warned) == (0 if passthrough else 1)


def test_only_an_audio_buffer_processor_can_record() -> None:
    """Something else in its place is refused before the call."""
    with pytest.raises(TypeError, match="must be an AudioBufferProcessor, not str"):
        RoarkObserver(agent_id="front-desk", api_key="key", audio_buffer_processor="mine")  # type: ignore[arg-type]


def test_a_repr_tells_which_call_and_no_secret() -> None:
    """The agent and the call are shown, the key and the prompt aren't."""
    roark = RoarkObserver(
        agent_id="front-desk", api_key="the-key", agent_prompt="the-prompt", pipecat_call_id="call"
    )
    assert repr(roark) == "RoarkObserver(agent_id='front-desk', pipecat_call_id='call')"


@pytest.mark.live
async def test_a_cancellation_does_not_cut_the_ending_short(local: LocalRoark) -> None:
    """Who waits for the end and is cancelled is told so after the call has been delivered."""
    roark, call = observed()
    outcomes: list[object] = []

    async def script(call: Call) -> None:
        await call.bot_says("Hello.", secs=0.2)
        await call.quiet()
        waiting = asyncio.create_task(roark.aflush())
        await asyncio.sleep(0)
        waiting.cancel()
        outcomes.extend(await asyncio.gather(waiting, return_exceptions=True))
        assert local.calls[roark.pipecat_call_id].ended is not None
        await call.task.cancel()

    await call.hold(script)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError]
    assert stored(local, roark).complete


@pytest.mark.live
async def test_a_recorder_out_of_the_pipeline_is_missed(
    local: LocalRoark, warned: list[str]
) -> None:
    """Without the recorder the turns arrive all the same, and one warning says what is missing."""
    roark = RoarkObserver(agent_id="front-desk")
    await Call(observers=[roark], after_output=[]).hold(talk_and_end)
    arrived = stored(local, roark)
    assert arrived.ended is not None
    assert len(arrived.ended["transcript"]) == 3
    assert "audioOffsetMs" not in arrived.ended["transcript"][0]
    assert arrived.recording is None
    (warning,) = warned
    assert "not in the pipeline. Put it right after transport.output()" in warning


@pytest.mark.live
async def test_a_recorder_before_the_output_is_told(local: LocalRoark, warned: list[str]) -> None:
    """A misplaced recorder still records, and one warning says how to mend it."""
    roark = RoarkObserver(agent_id="front-desk")
    call = Call(observers=[roark], before_output=[roark.audio_processor], after_output=[])
    await call.hold(talk_and_end)
    arrived = stored(local, roark)
    assert arrived.ended is not None
    assert [turn["content"] for turn in arrived.ended["transcript"]][-1] == "It is sunny."
    (warning,) = warned
    assert "before transport.output()" in warning


async def test_an_observer_that_was_never_used_does_nothing(log: list[str]) -> None:
    """Without a pipeline there is no call to end, and nothing is sent or logged."""
    roark = RoarkObserver(agent_id="front-desk", api_key="key")
    await roark.aflush()
    await roark.cleanup()
    assert log == []


@pytest.mark.live
async def test_errors_of_ours_stay_with_us(
    local: LocalRoark, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that nobody can read costs a log line without its content, and nothing else."""
    monkeypatch.setattr(guard, "RERAISE", False)
    roark, call = observed()

    async def script(call: Call) -> None:
        broken = FunctionCallInProgressFrame("weather", "call-1", {})
        del broken.arguments
        broken.spoken = "private words"  # type: ignore[attr-defined]
        await call.push(broken)
        await conversation(call)
        await call.end()

    await call.hold(script)
    arrived = stored(local, roark)
    assert arrived.ended is not None
    assert len(arrived.ended["transcript"]) == 3
    (warning,) = warned
    assert "AttributeError" in warning
    assert "private" not in warning


@pytest.mark.live
@pytest.mark.newest
async def test_a_report_that_fails_costs_the_transcript_alone(
    local: LocalRoark, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end and the recording arrive all the same, and a line without its content says so."""
    monkeypatch.setattr(guard, "RERAISE", False)
    roark, call = observed()

    def fail(*_: Any, **__: Any) -> None:
        raise LookupError("private words")

    monkeypatch.setattr(CallState, "report", fail)
    await call.hold(talk_and_end)
    arrived = stored(local, roark)
    assert arrived.ended is not None
    assert arrived.ended["callEndedReason"] == "agent-ended"
    assert arrived.ended["callEndedAt"]
    assert "transcript" not in arrived.ended
    assert arrived.recording is not None
    assert len(audible_ms(arrived.recording, RIGHT)) == 2
    (warning,) = warned
    assert "LookupError at test_observer.py" in warning
    assert "private" not in warning


@pytest.mark.live
@pytest.mark.newest
async def test_an_ending_that_fails_is_said(
    local: LocalRoark, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline ends as ever."""
    monkeypatch.setattr(guard, "RERAISE", False)
    roark, call = observed()
    finish = Delivery.finish

    async def fail(delivery: Delivery, event: bytes, **options: Any) -> None:
        await finish(delivery, event, **options)
        raise LookupError("private words")

    monkeypatch.setattr(Delivery, "finish", fail)
    await call.hold(talk_and_end)
    assert stored(local, roark).complete
    (warning,) = warned
    assert "LookupError at test_observer.py" in warning


@pytest.mark.live
@pytest.mark.parametrize("wiring", ["task", "params", "added before the start"])
async def test_every_wiring_captures_the_call(
    local: LocalRoark, warned: list[str], wiring: str
) -> None:
    """However the observer is handed to the pipeline, it sees what passes no recorder, too."""
    roark = RoarkObserver(agent_id="front-desk")
    realtime_model = IdentityFilter()
    call = Call(
        observers=[roark] if wiring == "task" else [],
        before_output=[realtime_model],
        after_output=[roark.audio_processor],
        params={"observers": [roark]} if wiring == "params" else {},
    )
    if wiring == "added before the start":
        call.task.add_observer(roark)

    async def script(call: Call) -> None:
        await conversation(call)
        heard = TranscriptionFrame("Goodbye.", "caller", "2026-01-01T00:00:00Z")
        await realtime_model.push_frame(heard, FrameDirection.UPSTREAM)
        await asyncio.sleep(0.1)
        await call.end()

    await call.hold(script)
    arrived = stored(local, roark)
    assert arrived.ended is not None
    words = [turn["content"] for turn in arrived.ended["transcript"]]
    assert len(words) == 3
    assert words[1].endswith("Goodbye.")
    ignored = wiring == "params" and "observers" not in PipelineParams.model_fields
    assert ["observers=[roark]" in line for line in warned] == [True] * ignored


@pytest.mark.live
async def test_an_observer_added_late_still_sees_the_call(local: LocalRoark) -> None:
    """An observer that comes after the start starts the call, once (pipecat 5860).

    The times are those of the wall clock all the same.
    """
    roark = RoarkObserver(agent_id="front-desk")
    call = Call(observers=[], after_output=[])
    spoke_at: list[float] = []

    async def script(call: Call) -> None:
        await asyncio.sleep(1)
        call.task.add_observer(roark)
        spoke_at.append(time.time())
        await conversation(call)
        await call.end()

    await call.hold(script)
    arrived = stored(local, roark)
    assert arrived.ended is not None
    turns = arrived.ended["transcript"]
    assert len(turns) == 3
    began = datetime.fromisoformat(turns[0]["timestamp"].replace("Z", "+00:00"))
    # A moment at Roark is a whole millisecond, so it may be up to one before the clock's.
    assert -0.001 <= began.timestamp() - spoke_at[0] < 0.5


async def test_frames_that_concern_nobody_are_never_read(local: LocalRoark) -> None:
    """A frame that says nothing about a call leaves no trace in it."""
    roark, call = observed()

    async def script(call: Call) -> None:
        await call.push(BotSpeakingFrame())
        await call.end()

    await call.hold(script)
    assert local.calls[roark.pipecat_call_id].complete
    assert roark.report().turns == ()


async def test_a_pipeline_without_output_is_heard_by_what_it_generates(local: LocalRoark) -> None:
    """Where nothing is played, the generated text is the transcript."""
    from pipecat.transports.base_transport import TransportParams  # noqa: PLC0415

    from support.calls import ScriptedInput, spoken  # noqa: PLC0415

    roark = RoarkObserver(agent_id="front-desk")
    microphone = ScriptedInput(TransportParams(audio_in_enabled=True))
    task = PipelineTask(
        Pipeline([microphone, roark.audio_processor]),
        params=PipelineParams(audio_in_sample_rate=IN_RATE, audio_out_sample_rate=OUT_RATE),
        observers=[roark],
        idle_timeout_secs=None,
    )

    async def script() -> None:
        await asyncio.sleep(0.3)
        await task.queue_frames([spoken("Text"), spoken("only."), EndFrame()])

    await asyncio.gather(run(task), script())
    arrived = stored(local, roark)
    assert arrived.ended is not None
    assert [turn["content"] for turn in arrived.ended["transcript"]] == ["Text only."]
