"""Time that passes without a frame: a call on hold, a mute, a button to talk."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pipecat.frames.frames import EndFrame

from pipecat_roark import guard
from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.recording import recorder
from pipecat_roark.recording.samples import SampleQueue
from pipecat_roark.recording.ticker import Ticker
from pipecat_roark.recording.track import HOLD_SECS
from pipecat_roark.silence import silence
from support.audio import audible_secs
from support.calls import OUT_RATE, tone
from support.cost import counted
from support.feed import SECOND, Feed, microphone, speech

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK_SECS = CHUNK_BYTES / (4 * OUT_RATE)


async def turns() -> None:
    """Let the ticker do some pieces of work."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def feed(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Feed]:
    """Return a recorder in which an interval of the ticker lasts a turn of the loop."""
    monkeypatch.setattr(recorder, "TICK_SECS", 0)
    feed = await Feed().start()
    yield feed
    await feed.recorder.finish()


async def test_silence_goes_out_as_time_passes(feed: Feed) -> None:
    """After ten minutes without a frame, nothing of them waits; what follows is at its time."""
    await feed.play(microphone(tone(1, 16000)))
    while feed.clock.now < 601 * SECOND:
        feed.clock.now += SECOND // 2
        await turns()
        owed = feed.clock.now / SECOND - len(feed.chunks) * CHUNK_SECS
        assert owed <= max(1 + HOLD_SECS, HOLD_SECS + CHUNK_SECS + 0.5)
    quiet = len(feed.chunks)
    await feed.play(microphone(tone(1, 16000), 601), speech(tone(1, OUT_RATE, 660), 603))
    assert len(feed.chunks) - quiet <= 2
    await feed.push(EndFrame())
    user, bot = feed.recorded()
    expected = [pytest.approx(span, abs=0.02) for span in ((0, 1), (601, 602))]
    assert audible_secs(user) == expected
    assert audible_secs(bot) == [pytest.approx((603, 604), abs=0.02)]


async def test_silent_chunks_are_one_object(feed: Feed) -> None:
    """They take no memory wherever they wait, and neither does the silence that is still to go."""
    await feed.play(microphone(tone(0.2, 16000)))
    tracemalloc.start()
    feed.clock.now += 3600 * SECOND
    for _ in range(1500):
        await asyncio.sleep(0)
    assert tracemalloc.get_traced_memory()[1] < 4 * CHUNK_BYTES
    tracemalloc.stop()
    assert len(feed.chunks) == int((3600 - HOLD_SECS) / CHUNK_SECS)
    assert len({id(chunk) for chunk in feed.chunks[1:]}) == 1
    assert not np.frombuffer(feed.chunks[1], np.uint8).any()


async def test_a_muted_microphone_is_silence_too(feed: Feed) -> None:
    """Frames of zeros make the same object as no frames."""
    await feed.play(microphone(np.zeros(OUT_RATE * 10, np.int16), rate=OUT_RATE))
    assert len(feed.chunks) >= 2
    assert {id(chunk) for chunk in feed.chunks} == {id(silence(CHUNK_BYTES))}


@pytest.mark.live
async def test_an_hour_that_passed_at_once_holds_nothing_up() -> None:
    """A machine that was asleep hands out the hour in chunks, and without a stall."""
    feed = await Feed().start()
    await feed.play(microphone(tone(1, 16000)))
    feed.clock.now += 3600 * SECOND
    await feed.play(microphone(tone(1, 16000), 3601))
    with counted() as cost:
        await feed.push(EndFrame())
    assert cost.calls < 150 * len(feed.chunks)
    assert [len(chunk) for chunk in feed.chunks[:-1]] == [CHUNK_BYTES] * (len(feed.chunks) - 1)
    user, _ = feed.recorded()
    assert audible_secs(user) == [pytest.approx(span, abs=0.02) for span in ((0, 1), (3601, 3602))]


async def test_frames_that_wait_are_laid_without_a_next_one(feed: Feed) -> None:
    """The last words before a silence are laid and handed out, though no frame follows them."""
    await feed.play(microphone(tone(9, 16000)))
    feed.clock.now += 8 * SECOND
    await turns()
    user, _ = feed.recorded()
    assert audible_secs(user) == [pytest.approx((0, 9), abs=0.001)]


async def test_a_pause_of_the_recording_passes_as_silence(feed: Feed) -> None:
    """Its silence is handed out while it lasts, and not in a burst at its end."""
    await feed.play(microphone(tone(1, 16000)))
    await feed.recorder.stop_recording()
    handed_out = len(feed.chunks)
    feed.clock.now += 30 * SECOND
    await turns()
    during = feed.chunks[handed_out:]
    assert len(during) == int((30 - HOLD_SECS) / CHUNK_SECS)
    assert {id(chunk) for chunk in during} == {id(silence(CHUNK_BYTES))}
    await feed.recorder.start_recording()
    await turns()
    assert len(feed.chunks) == handed_out + len(during)


@pytest.mark.parametrize("end", ["cleanup", "finish", "end"])
async def test_the_ticker_ends_with_the_call(feed: Feed, end: str) -> None:
    """However the call ends, no task stays."""
    await feed.play(microphone(tone(1, 16000)))
    if end == "cleanup":
        await feed.recorder.cleanup()
    elif end == "finish":
        await feed.recorder.finish()
    else:
        await feed.push(EndFrame())
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_nothing_runs_before_the_pipeline() -> None:
    """A recorder that is stopped and started before its pipeline has no task."""
    feed = Feed()
    await feed.recorder.stop_recording()
    await feed.recorder.start_recording()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await feed.start()
    assert len(asyncio.all_tasks()) == 2
    await feed.recorder.finish()


async def test_an_error_of_a_listener_costs_one_chunk(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the rest that is handed out in pieces, each is tried."""
    monkeypatch.setattr(guard, "RERAISE", False)
    feed = await Feed().start()
    await feed.play(microphone(tone(1, 16000)))
    feed.clock.now += 60 * SECOND
    keep, tried = feed.on_audio, 0

    def fail_once(pcm: bytes) -> bytes:
        nonlocal tried
        tried += 1
        if tried == 2:
            raise OSError
        return keep(pcm)

    monkeypatch.setattr(feed, "on_audio", fail_once)
    await feed.play(microphone(tone(1, 16000), 61))
    await feed.recorder.finish()
    assert len(feed.chunks) == tried - 1
    assert len(log) == 1


async def test_a_ticker_starts_once() -> None:
    """It does its work at intervals, and a second start changes nothing."""
    done = 0

    async def work() -> None:
        nonlocal done
        done += 1

    ticker = Ticker(work, 0)
    ticker.stop()
    ticker.start()
    ticker.start()
    await asyncio.sleep(0)
    assert done == 0
    await asyncio.sleep(0)
    assert done == 1
    ticker.stop()
    await turns()
    assert done == 1


def test_a_queue_gives_back_what_it_got() -> None:
    """Silence and samples come out in order, however they are cut."""
    queue = SampleQueue()
    queue.append(b"\1\0\2\0\3\0")
    queue.append(b"")
    queue.append_silence(3)
    queue.prepend_silence(1)
    queue.append(b"\4\0")
    assert queue.peek() == b"\0\0\1\0\2\0\3\0" + bytes(6) + b"\4\0"
    assert queue.pop_front(0) == b""
    assert queue.pop_front(3) == b"\0\0\1\0\2\0"
    assert queue.pop_front(2) == b"\3\0\0\0"
    assert queue.pop_front(2) is silence(4)
    assert queue.pop_front(1) == b"\4\0"
