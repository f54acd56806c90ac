"""Telephone calls in real time over a real websocket: the report agrees with the caller."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

if sys.version_info < (3, 11):
    pytest.skip("before Pipecat 1.0 the detector misses short words", allow_module_level=True)
pytest.importorskip(
    "support.telephone",
    reason="needs FastAPI, uvicorn, websockets, and a Pipecat with their transport",
    exc_type=ImportError,
)

from fastapi import WebSocket  # noqa: TC002  # read by FastAPI
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

from pipecat_roark import RoarkObserver
from support.at_once import apart
from support.audio import LEFT, RIGHT, audible_secs, channel
from support.lines import LINE_RATE, Line, Plain, Plivo, Twilio
from support.telephone import Bot, Caller, listening, recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipecat_roark import CallReport, Turn
    from pipecat_roark.local import LocalRoark, StoredCall
    from support.audio import Span

pytestmark = pytest.mark.live
at_once = pytest.mark.at_once(3)

HELLO = recorded("weather", end=0.6)
QUESTION = recorded("history")
LINE_SECS = 0.05
"""How far a time may be off the caller's. Pipecat resamples the line, which delays it by 16 ms."""
NOTICE_SECS = 0.15
"""How long the bot may speak on until it notices that the line is broken."""
DETECTOR_SECS = 0.15
"""How far a time may be off that only the detector tells, as nobody hears the microphone itself."""
TRACK_SECS = 0.03
"""How far a sound may be off its place on the user's channel."""


async def hold(caller: Caller, bot: Bot, local: LocalRoark) -> tuple[CallReport, StoredCall]:
    """Hold a call to its end; return what is known of it here and at Roark."""

    async def holding() -> None:
        async with listening(bot.answer) as url:
            await caller.call(url)

    await apart(holding())
    return bot.roark.report(), local.calls[bot.roark.pipecat_call_id]


async def hold_all(calls: Sequence[tuple[Caller, Bot]]) -> None:
    """Hold calls in one process at once, each to its end."""
    bots = iter([bot for _, bot in calls])

    async def answer(websocket: WebSocket) -> None:
        await next(bots).answer(websocket)

    async with listening(answer) as url:
        holding = []
        for caller, _ in calls:
            holding.append(asyncio.create_task(caller.call(url)))
            await asyncio.sleep(0.2)  # the bots answer in this order
        await asyncio.gather(*holding)


def near(spans: Sequence[Span], secs: float) -> list[object]:
    """Return what spans may be measured as."""
    return [pytest.approx(span, abs=secs) for span in spans]


def spans(turns: Sequence[Turn], caller: Caller) -> list[Span]:
    """Return when turns were, on the caller's clock."""
    return [
        (turn.started_at.timestamp() - caller.began, turn.ended_at.timestamp() - caller.began)
        for turn in turns
    ]


def places(turns: Sequence[Turn]) -> list[tuple[float, float]]:
    """Return where turns lie in the recording, in seconds."""
    return [((turn.start_ms or 0) / 1000, (turn.end_ms or 0) / 1000) for turn in turns]


def check_turns(caller: Caller, report: CallReport) -> None:
    """Check the times of all turns against what the caller measured."""
    users, bots = report.turns[::2], report.turns[1::2]
    assert [turn.content for turn in users] == ["Question 1.", "Question 2."]
    assert [turn.content for turn in bots] == ["Answer 1.", "Answer 2."]
    assert [turn.response_ms for turn in bots] == [
        pytest.approx(1000 * wait, abs=1000 * LINE_SECS) for wait in caller.waits()
    ]
    assert spans(users, caller) == near(caller.says(), LINE_SECS)
    assert spans(bots, caller) == near(caller.hears, LINE_SECS)


def check_recording(caller: Caller, call: StoredCall, bot_secs: float = LINE_SECS) -> None:
    """Check that both channels hold every sound at the caller's time."""
    assert call.complete
    assert call.recording is not None
    user, rate = channel(call.recording, LEFT)
    bot, _ = channel(call.recording, RIGHT)
    said = audible_secs(caller.audio(), LINE_RATE, pause=0.1)
    assert audible_secs(user, rate, pause=0.1) == near(said, TRACK_SECS)
    assert audible_secs(bot, rate) == near(caller.hears, bot_secs)


@at_once
@pytest.mark.parametrize("loads", [1.0, 2.5])
async def test_what_waited_in_the_socket_is_at_the_callers_time(
    local: LocalRoark, loads: float
) -> None:
    """A question that nobody read before has its time, and so has all that follows."""
    caller = Caller([(0.4, HELLO), (4.5, QUESTION)], stays=9.0)
    roark = RoarkObserver(agent_id="front-desk")
    report, call = await hold(caller, Bot(roark, loads), local)
    check_turns(caller, report)
    check_recording(caller, call)
    assert report.ended_reason == "client-disconnected"


@at_once
async def test_what_waited_is_where_the_callers_own_recorder_has_it(local: LocalRoark) -> None:
    """Pipecat's recorder lays it in its own way; turns are where they are audible in its file."""
    caller = Caller([(0.4, HELLO), (4.5, QUESTION)], stays=9.0)
    own = AudioBufferProcessor(num_channels=2)
    roark = RoarkObserver(agent_id="front-desk", audio_buffer_processor=own)
    report, call = await hold(caller, Bot(roark, loads=1.0), local)
    assert [turn.response_ms for turn in report.turns[1::2]] == [
        pytest.approx(1000 * wait, abs=1000 * DETECTOR_SECS) for wait in caller.waits()
    ]
    assert call.recording is not None
    voice, rate = channel(call.recording, LEFT)
    tones, _ = channel(call.recording, RIGHT)
    said = audible_secs(caller.audio(), LINE_RATE, pause=0.1)
    assert audible_secs(voice, rate, pause=0.1) == near(said, TRACK_SECS)
    assert places(report.turns[::2]) == near(caller.says(), TRACK_SECS)
    assert places(report.turns[1::2]) == near(audible_secs(tones, rate), TRACK_SECS)


async def test_lines_of_every_kind_in_one_process(local: LocalRoark) -> None:
    """Calls by two providers and over plain websockets arrive whole, each with its own words."""
    lines: list[Line] = [Twilio(), Plivo(), Plain(), Plain()]
    calls = [
        (
            Caller([(0.6, QUESTION if number % 2 else HELLO)], stays=4.5, line=line),
            Bot(RoarkObserver(agent_id="front-desk"), line=line),
        )
        for number, line in enumerate(lines)
    ]
    await hold_all(calls)
    assert len(local.calls) == len(calls)
    for caller, bot in calls:
        question, answer = bot.roark.report().turns
        assert (question.content, answer.content) == ("Question 1.", "Answer 1.")
        assert spans([question], caller) == near(caller.says(), LINE_SECS)
        assert spans([answer], caller) == near(caller.hears, LINE_SECS)
        check_recording(caller, local.calls[bot.roark.pipecat_call_id])


def check_broken(caller: Caller, report: CallReport, call: StoredCall) -> None:
    """Check that a call that broke off within an answer arrived whole, up to that moment."""
    question, answer = report.turns
    ((begins, _),) = caller.hears
    assert report.ended_reason == "client-disconnected"
    assert (question.content, answer.content, answer.unheard) == ("Question 1.", "Answer", "1.")
    assert answer.response_ms == pytest.approx(1000 * caller.waits()[0], abs=1000 * LINE_SECS)
    ((starts, ends),) = spans([answer], caller)
    assert starts == pytest.approx(begins, abs=LINE_SECS)
    assert ends == pytest.approx(caller.stays, abs=NOTICE_SECS)
    assert call.complete


def check_interrupted(caller: Caller, report: CallReport, call: StoredCall) -> None:
    """Check that the telephone dropped what it was sent, and the answer ends where it was heard.

    Of the marks behind the answers, only that of the answer that was played comes back.
    """
    assert isinstance(caller.line, Twilio)
    assert caller.line.clears
    assert caller.line.marks == ["answer 2"]
    _, cut, _, whole = report.turns
    assert (cut.content, cut.unheard, cut.interrupted) == ("Answer", "1.", True)
    assert (whole.content, whole.interrupted) == ("Answer 2.", False)
    assert spans(report.turns[::2], caller) == near(caller.says(), LINE_SECS)
    assert spans([cut, whole], caller) == near(caller.hears, NOTICE_SECS)
    check_recording(caller, call, bot_secs=NOTICE_SECS)


async def test_calls_at_once_in_one_process(local: LocalRoark) -> None:
    """A usual call, one on hold, one in which the caller interrupts, one whose line breaks."""

    def bot(speaks: float = 0.8) -> Bot:
        return Bot(RoarkObserver(agent_id="front-desk"), speaks=speaks)

    usual = Caller([(0.4, HELLO), (4.5, QUESTION)], stays=9.0), bot()
    on_hold = Caller([(0.4, HELLO), (6.0, QUESTION)], stays=10.5, hold=(2.8, 5.8)), bot()
    interrupted = Caller([(0.4, HELLO), (3.6, HELLO)], stays=8.5), bot(speaks=2.5)
    broken = Caller([(0.4, HELLO)], stays=2.5, breaks=True), bot()
    await hold_all([usual, on_hold, interrupted, broken])

    def known(held: tuple[Caller, Bot]) -> tuple[Caller, CallReport, StoredCall]:
        caller, bot = held
        return caller, bot.roark.report(), local.calls[bot.roark.pipecat_call_id]

    for held in (usual, on_hold):
        caller, report, call = known(held)
        check_turns(caller, report)
        check_recording(caller, call)
    check_interrupted(*known(interrupted))
    check_broken(*known(broken))
