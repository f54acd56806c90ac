"""Delivery against a client that fails as scripted, in virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from pipecat_roark.budget import Budget, Share
from pipecat_roark.delivery.delivery import CHUNK_BYTES, IN_FLIGHT, Delivery
from pipecat_roark.delivery.retry import DeliveryError
from pipecat_roark.receipt import Tally
from support.client import BUSY, ENDED, STARTED, ScriptedClient, failing, hanging

PCM = [bytes([n]) * 400 for n in range(1, 10)]
LATER = DeliveryError("Roark answered 429", retry_after=timedelta(seconds=60))
WRONG = DeliveryError("Roark answered 404", retryable=False)
REFUSED = DeliveryError("Roark answered 401", retryable=False, refused=True)
NOT_WHOLE = "WARNING Call call-1 is not whole at Roark. Lost: "


def delivery(client: ScriptedClient, **options: Any) -> Delivery:
    """Begin to deliver a call that doesn't wait between tries unless it is asked to."""
    timing = {"clock": client.time.clock, "sleep": client.time.sleep, "jitter": min}
    made = Delivery(client, label="call-1", **{**timing, "deadline_secs": 5, **options})
    made.begin(STARTED.encode())
    return made


async def pause() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def end(made: Delivery) -> float:
    """End the call; returns the seconds that it took."""
    await asyncio.wait_for(made.finish(ENDED.encode()), 10)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left
    assert made.receipt.ending_secs is not None
    return made.receipt.ending_secs


async def test_a_call_arrives_in_order(log: list[str]) -> None:
    """The start, the chunks, the end, each once; then the client is closed and one line says so."""
    client = ScriptedClient()
    made = delivery(client)
    for pcm in PCM[:3]:
        made.add_audio(pcm)
        await pause()
    assert client.arrived == [STARTED, 0, 1, 2]
    assert await end(made) < 1
    assert client.tries == [
        (STARTED, STARTED.encode()),
        *enumerate(PCM[:3]),
        (ENDED, ENDED.encode()),
    ]
    assert client.closed == 1
    assert log == ["INFO Call call-1 has ended: 3 of 3 audio chunks are at Roark, 1200 bytes."]


async def test_a_call_without_audio_arrives(log: list[str]) -> None:
    """A recorder that was not placed costs the recording, not the call."""
    client = ScriptedClient()
    await end(delivery(client))
    assert client.arrived == [STARTED, ENDED]
    assert log == ["INFO Call call-1 has ended: 0 of 0 audio chunks are at Roark, 0 bytes."]


@pytest.mark.parametrize("in_one_piece", [True, False])
async def test_a_few_uploads_are_in_flight(*, in_one_piece: bool) -> None:
    """Chunks go side by side, but not all, and begin in their order; a long stretch is cut."""
    gate = asyncio.Event()

    async def fault(_: str | int) -> None:
        await gate.wait()
        await asyncio.sleep(0)

    client = ScriptedClient(fault)
    made = delivery(client)
    audio = [bytes([n]) * CHUNK_BYTES for n in range(9)] + [b"\x09\x09"]
    for stretch in [b"".join(audio)] if in_one_piece else audio:
        made.add_audio(stretch)
    await pause()
    assert client.in_flight == IN_FLIGHT
    gate.set()
    await end(made)
    assert client.most_in_flight == IN_FLIGHT
    assert [try_ for try_ in client.tries if try_[0] not in {STARTED, ENDED}] == [*enumerate(audio)]
    assert made.chunks == 10
    assert client.arrived[-1] == ENDED


async def test_no_chunk_waits_for_the_start(warned: list[str]) -> None:
    """A start that is slow, or never arrives, holds nothing up but the end, for a while."""
    client = ScriptedClient(hanging(STARTED))
    made = delivery(client, deadline_secs=0.4)
    made.add_audio(PCM[0])
    await pause()
    assert client.arrived == [0]
    assert 0.25 < await end(made) < 0.9
    assert client.arrived == [0, ENDED]
    assert warned == [f"{NOT_WHOLE}1 x call-started (no time was left)."]


@pytest.mark.parametrize("times", [1, 5])
async def test_everything_is_tried_until_it_arrives(times: int, log: list[str]) -> None:
    """What fails is sent again, the very same bytes, and is whole in the end."""
    client = ScriptedClient(failing(BUSY, times=times))
    made = delivery(client)
    made.add_audio(PCM[0])
    made.add_audio(PCM[1])
    await end(made)
    once = [(STARTED, STARTED.encode()), (0, PCM[0]), (1, PCM[1]), (ENDED, ENDED.encode())]
    assert Counter(client.tries) == dict.fromkeys(once, times + 1)
    assert Counter(client.arrived) == Counter([STARTED, 0, 1, ENDED])
    assert client.arrived[-1] == ENDED
    assert log == ["INFO Call call-1 has ended: 2 of 2 audio chunks are at Roark, 800 bytes."]


async def test_what_never_works_is_not_tried_again(warned: list[str]) -> None:
    """It is lost with its reason. Of an unexpected error, only the type is shown."""
    faults: dict[str | int, Exception] = {0: WRONG, 1: ValueError("private"), 3: WRONG}

    async def fault(what: str | int) -> None:
        if what in faults:
            raise faults[what]

    client = ScriptedClient(fault)
    made = delivery(client)
    for pcm in PCM[:5]:
        made.add_audio(pcm)
    assert await end(made) < 1
    assert max(Counter(what for what, _ in client.tries).values()) == 1
    assert Counter(client.arrived) == Counter([STARTED, 2, 4, ENDED])
    assert warned == [
        f"{NOT_WHOLE}2 x audio chunk (Roark answered 404), 1 x audio chunk (ValueError)."
    ]


async def test_a_refused_key_closes_the_gate(warned: list[str]) -> None:
    """Nothing is sent any more, not even what waits for its next try, and the end is at once."""

    async def fault(what: str | int) -> None:
        if what in {STARTED, 0}:
            raise LATER
        await asyncio.sleep(0)  # so that two refusals are under way
        raise REFUSED

    client = ScriptedClient(fault)
    made = delivery(client)
    made.add_audio(PCM[0])
    await pause()
    for pcm in PCM[1:5]:
        made.add_audio(pcm)
    await pause()
    assert await end(made) < 1
    assert [what for what, _ in client.tries] == [STARTED, 0, 1, 2]
    cause, losses = warned
    assert cause.startswith("WARNING Roark answered 401: the API key is wrong, or bound to another")
    assert cause.endswith("Nothing more of call call-1 is sent.")
    gate = "the API key was refused"
    assert losses == (
        f"{NOT_WHOLE}2 x audio chunk (Roark answered 401), 3 x audio chunk ({gate}), "
        f"1 x call-ended ({gate}), 1 x call-started ({gate})."
    )


async def test_a_key_refused_in_the_ending_ends_it() -> None:
    """No time is spent on what waits for another try of the same key."""
    client = ScriptedClient(failing(LATER))
    made = delivery(client)
    made.add_audio(PCM[0])
    await pause()

    async def fault(what: str | int) -> None:
        if what == 0:
            await client.time.sleep(0.01)
            raise REFUSED
        raise LATER

    client.fault = fault
    assert await end(made) < 1
    assert Counter(what for what, _ in client.tries) == {STARTED: 2, 0: 2}


async def test_memory_is_bounded(log: list[str]) -> None:
    """Audio over the bound is sent as silence of its length, until there is room again."""
    away = asyncio.Event()

    async def fault(what: str | int) -> None:
        if what != STARTED:
            await away.wait()

    client = ScriptedClient(fault)
    made = delivery(client, memory=Share(1000))
    for pcm in PCM[:4]:
        made.add_audio(pcm)
    await pause()
    away.set()
    await pause()
    made.add_audio(PCM[4])
    await end(made)
    assert dict(client.tries[1:-1]) == {
        0: PCM[0],
        1: PCM[1],
        2: bytes(400),
        3: bytes(400),
        4: PCM[4],
    }
    silence = "2 x audio chunk (sent as silence: too much audio was waiting)"
    assert log == [
        "INFO Call call-1 has ended: 3 of 5 audio chunks are at Roark, 1200 bytes.",
        f"{NOT_WHOLE}{silence}.",
    ]


async def test_silence_that_is_lost_is_lost_once(warned: list[str]) -> None:
    """A chunk over the bound that doesn't arrive either is one loss, not two."""
    client = ScriptedClient(failing(WRONG, 0, 1))
    made = delivery(client, memory=Share(0))
    made.add_audio(PCM[0])
    made.add_audio(PCM[1])
    await end(made)
    assert warned == [f"{NOT_WHOLE}2 x audio chunk (Roark answered 404)."]


async def test_a_long_stretch_is_taken_whole() -> None:
    """A recorder that hands out the whole call at once is not silenced by the bound."""
    client = ScriptedClient()
    made = delivery(client, memory=Share(1000))
    made.add_audio(b"\x01" * 2 * CHUNK_BYTES)
    await end(made)
    assert dict(client.tries[1:-1]) == dict.fromkeys(range(2), b"\x01" * CHUNK_BYTES)


async def test_the_ending_tries_at_once(log: list[str]) -> None:
    """What waits for its next try, however long, is not left waiting when the call ends."""
    client = ScriptedClient(failing(LATER, times=1))
    made = delivery(client)
    for pcm in PCM[:5]:
        made.add_audio(pcm)
    await pause()
    assert [what for what, _ in client.tries] == [STARTED, 0, 1, 2]
    client.fault = None
    assert await end(made) < 1
    assert Counter(client.arrived) == Counter([STARTED, *range(5), ENDED])
    assert log == ["INFO Call call-1 has ended: 5 of 5 audio chunks are at Roark, 2000 bytes."]


async def test_the_ending_has_many_tries() -> None:
    """However long the waits have become, those in the ending are short."""
    client = ScriptedClient(failing(BUSY))
    made = delivery(client, jitter=max, deadline_secs=10)
    await client.time.sleep(60)
    before = len(client.tries)
    assert 9.9 < await end(made) < 10.5
    tries = Counter(what for what, _ in client.tries[before:])
    assert tries[STARTED] >= 14
    assert tries[ENDED] >= 4


async def test_a_wait_that_was_asked_for_counts_in_the_ending() -> None:
    """A server that asks for a moment gets it, and is not asked over and over."""
    moment = DeliveryError("Roark answered 429", retry_after=timedelta(seconds=0.1))
    client = ScriptedClient(failing(moment, times=2))
    made = delivery(client)
    assert 0.3 < await end(made) < 2
    assert Counter(client.arrived) == Counter([STARTED, ENDED])
    assert len(client.tries) == 6


@pytest.mark.live
@pytest.mark.parametrize(
    ("fault", "why"), [(hanging(), "no time was left"), (failing(BUSY), "Roark answered 503")]
)
async def test_the_ending_is_bounded(fault: Any, why: str, warned: list[str]) -> None:
    """An API that never comes back delays the end by no more than the deadline."""
    client = ScriptedClient(fault)
    made = delivery(client, deadline_secs=0.4, jitter=max)
    for pcm in PCM[:5]:
        made.add_audio(pcm)
    await pause()
    assert 0.3 < await end(made) < 0.9
    assert client.arrived == []
    assert client.closed == 1
    assert ENDED in dict(client.tries)
    assert warned == [
        f"{NOT_WHOLE}5 x audio chunk ({why}), 1 x call-ended ({why}), 1 x call-started ({why})."
    ]


async def test_the_end_gets_its_share(warned: list[str]) -> None:
    """However the chunks hang, there is time left to say that the call ended."""
    client = ScriptedClient(hanging(1, 2))
    made = delivery(client, deadline_secs=0.4)
    for pcm in PCM[:3]:
        made.add_audio(pcm)
    assert 0.25 < await end(made) < 0.9
    assert client.arrived == [STARTED, 0, ENDED]
    assert warned == [f"{NOT_WHOLE}2 x audio chunk (no time was left)."]


async def test_the_latest_failure_is_the_reason(warned: list[str]) -> None:
    """A failure that was overcome is not what the loss is blamed on."""
    client = ScriptedClient(failing(BUSY, 0, times=2))
    made = delivery(client, deadline_secs=0.2)
    made.add_audio(PCM[0])
    await pause()
    client.fault = hanging(1)
    made.add_audio(PCM[1])
    await end(made)
    assert client.arrived == [STARTED, 0, ENDED]
    assert warned == [f"{NOT_WHOLE}1 x audio chunk (no time was left)."]


@pytest.mark.live
@pytest.mark.parametrize("arrives", [True, False])
async def test_a_cancellation_may_be_swallowed(*, arrives: bool, warned: list[str]) -> None:
    """A try that is over in the very moment in which it is cancelled is the last one."""

    async def fault(what: str | int) -> None:
        try:
            await hanging(0, 1, 2)(what)
        except asyncio.CancelledError:
            if not arrives:
                raise LATER from None

    client = ScriptedClient(fault)
    made = delivery(client, deadline_secs=0.8)
    for pcm in PCM[:5]:
        made.add_audio(pcm)
    assert await end(made) < 1.3
    assert [what for what, _ in client.tries] == [STARTED, 0, 1, 2, ENDED]
    assert client.arrived[-1] == ENDED
    why = (
        "2 x audio chunk (no time was left)" if arrives else "5 x audio chunk (Roark answered 429)"
    )
    assert warned == [f"{NOT_WHOLE}{why}."]


@pytest.mark.parametrize("fault", [hanging(0), hanging(ENDED), failing(LATER)])
async def test_an_ending_that_is_cancelled_leaves_nothing(fault: Any, warned: list[str]) -> None:
    """The loop is being closed: no task remains, the client is closed and the loss is logged."""
    client = ScriptedClient(fault)
    made = delivery(client)
    made.add_audio(PCM[0])
    ending = asyncio.create_task(made.finish(ENDED.encode()))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(ending, 1)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert client.closed == 1
    (line,) = warned
    assert line.startswith(NOT_WHOLE)
    assert "1 x call-ended (" in line


async def test_nothing_comes_after_the_end(warned: list[str]) -> None:
    """Audio that comes when the end is on its way is not sent after it, and is missed."""

    async def fault(what: str | int) -> None:
        if what == ENDED:
            made.add_audio(PCM[0])
            await pause()

    client = ScriptedClient(fault)
    made = delivery(client)
    await end(made)
    made.add_audio(PCM[1])
    await pause()
    assert client.arrived == [STARTED, ENDED]
    assert warned == [f"{NOT_WHOLE}1 x audio chunk (no time was left)."]


async def test_a_fourth_event_is_delivered_and_counted(log: list[str]) -> None:
    """The delivery has no list of event names."""
    client = ScriptedClient(failing(BUSY, times=1))
    made = delivery(client)
    made.send_event("call-paused", b"call-paused")
    await end(made)
    assert Counter(client.arrived) == Counter([STARTED, "call-paused", ENDED])
    assert made.receipt.events == Tally(captured=3, delivered=3, retried=3)
    assert made.receipt.whole
    client = ScriptedClient(failing(WRONG, "call-paused"))
    made = delivery(client)
    made.send_event("call-paused", b"call-paused")
    await end(made)
    assert log[-1] == f"{NOT_WHOLE}1 x call-paused (Roark answered 404)."


async def test_a_long_outage_is_two_lines(log: list[str]) -> None:
    """One line when it begins and one when it is over, however many tries fail."""
    client = ScriptedClient(failing(BUSY))
    made = delivery(client, jitter=max)
    for pcm in PCM:
        made.add_audio(pcm)
        await client.time.sleep(2)
    client.fault = None
    await client.time.sleep(10)
    assert len(client.tries) > 20
    begun, over = log
    assert begun.startswith("WARNING Call call-1 can't be delivered at the moment: Roark answered")
    assert over.startswith("INFO Call call-1 can be delivered again, after ")
    await end(made)
    assert made.receipt.whole


REASONS = [
    (failing(BUSY), "unavailable"),
    (failing(WRONG), "rejected"),
    (failing(REFUSED), "key-refused"),
    (failing(ValueError()), "internal-error"),
    (hanging(), "no-time"),
]


@pytest.mark.parametrize(("fault", "reason"), REASONS, ids=[reason for _, reason in REASONS])
async def test_a_loss_has_its_reason(fault: Any, reason: str) -> None:
    """A program can tell losses apart without reading the words."""
    client = ScriptedClient(fault)
    made = delivery(client, jitter=max)
    made.add_audio(PCM[0])
    await end(made)
    assert {loss.reason for loss in made.receipt.lost} == {reason}


async def test_silence_has_its_reason() -> None:
    """The chunk arrived, but not with the audio that was captured."""
    made = delivery(ScriptedClient(), memory=Share(0))
    made.add_audio(PCM[0])
    made.add_audio(PCM[1])
    await end(made)
    assert [loss.reason for loss in made.receipt.lost] == ["memory-full"]


async def test_calls_of_a_process_share_its_memory() -> None:
    """What gave way to another call is silence, and counted with a reason of its own."""
    budget, away = Budget(), asyncio.Event()

    async def fault(what: str | int) -> None:
        if what != STARTED:
            await away.wait()

    clients = [ScriptedClient(fault) for _ in range(2)]
    greedy, modest = (delivery(one, memory=Share(10_000, 2400, budget)) for one in clients)
    for pcm in PCM[:6]:
        greedy.add_audio(pcm)
    await pause()
    for pcm in PCM[:2]:
        modest.add_audio(pcm)
    await pause()
    away.set()
    await end(modest)
    await end(greedy)
    assert [body for _, body in clients[1].tries[1:-1]] == PCM[:2]
    assert [body for _, body in clients[0].tries[1:-1]] == [*PCM[:4], bytes(400), bytes(400)]
    assert modest.receipt.whole
    (loss,) = greedy.receipt.lost
    assert (loss.what, loss.count, loss.reason) == ("audio chunk", 2, "process-memory-full")
    assert budget.used == 0


async def test_what_memory_lost_is_blamed_on_memory() -> None:
    """Also if there was no time to send the silence in its place."""
    client = ScriptedClient(hanging())
    made = delivery(client, deadline_secs=0.2, memory=Share(1600))
    for pcm in PCM[:6]:
        made.add_audio(pcm)
    await end(made)
    lost = {(loss.count, loss.reason) for loss in made.receipt.lost if loss.what == "audio chunk"}
    assert lost == {(4, "no-time"), (2, "memory-full")}


def test_calls_in_several_event_loops_share_its_memory() -> None:
    """Each loop has a thread; what gives way belongs to a delivery of another one."""
    budget = Budget()
    full, taken = threading.Event(), threading.Event()
    lost: dict[str, list[str]] = {}

    async def hold(name: str, chunks: int, before: threading.Event, after: threading.Event) -> None:
        away = asyncio.Event()

        async def fault(what: str | int) -> None:
            if what != STARTED:
                await away.wait()

        await asyncio.to_thread(before.wait, 60)
        made = delivery(ScriptedClient(fault), memory=Share(10_000, 2400, budget))
        for pcm in PCM[:chunks]:
            made.add_audio(pcm)
        after.set()
        await asyncio.to_thread(taken.wait, 60)
        away.set()
        await end(made)
        lost[name] = [f"{loss.count} {loss.reason}" for loss in made.receipt.lost]

    at_once = threading.Event()
    at_once.set()
    calls = [("greedy", 6, at_once, full), ("modest", 2, full, taken)]
    threads = [
        threading.Thread(target=lambda call=call: asyncio.run(hold(*call))) for call in calls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert lost == {"greedy": ["2 process-memory-full"], "modest": []}
    assert budget.used == 0
