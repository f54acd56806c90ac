"""A recording that is paused: what was said then is silence, whenever and however it gets out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pipecat.frames.frames import VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

from pipecat_roark.recording.external import ExternalRecorder
from pipecat_roark.silence import silence
from support.audio import Span, audible_secs
from support.calls import OUT_RATE, tone
from support.feed import DETECTED, SECOND, Feed, microphone, speech
from support.stage import Clock

if TYPE_CHECKING:
    from pipecat.frames.frames import Frame


@pytest.fixture
async def feed() -> Feed:
    """Return a recorder that saw the start of its pipeline."""
    return await Feed().start()


def pause(feed: Feed, begin: float, end: float) -> None:
    """Pause a recorder from one time to another."""
    feed.recorder.pauses.begin(round(begin * SECOND))
    feed.recorder.pauses.end(round(end * SECOND))


def close(spans: list[Span], within: float = 0.001) -> list[object]:
    """Return spans that others may miss by some seconds."""
    return [pytest.approx(span, abs=within) for span in spans]


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
async def test_both_channels_are_silent_for_as_long_as_it_lasts(feed: Feed, rate: int) -> None:
    """Not a sample of the pause is left, and what was said around it is all there."""
    pause(feed, 2, 5)
    await feed.play(microphone(tone(8, rate), rate=rate), speech(tone(6, OUT_RATE), 1))
    await feed.recorder.finish()
    user, bot = feed.recorded()
    assert audible_secs(user) == close([(0, 2), (5, 8)])
    assert audible_secs(bot) == close([(1, 2), (5, 7)], within=0.02)
    paused = slice(2 * OUT_RATE, 5 * OUT_RATE)
    assert not user[paused].any()
    assert not bot[paused].any()
    assert len(user) == 8 * OUT_RATE


@pytest.mark.parametrize("begin", [2.5, 3.4])
async def test_audio_that_comes_late_belongs_to_when_it_was_spoken(
    feed: Feed, begin: float
) -> None:
    """A network stall brings it after the pause, or audio from before the pause in its midst."""
    pause(feed, begin, begin + 0.8)
    late = microphone(tone(8, 16000), arrives=lambda due: max(due, 4.0) if 3 < due < 4 else due)
    await feed.play(late)
    await feed.recorder.finish()
    assert audible_secs(feed.recorded()[0]) == close([(0, begin), (begin + 0.8, 8)], within=0.02)


async def test_whatever_way_it_is_asked_for_it_is_silent(feed: Feed) -> None:
    """The audio that still waits is silent too, laid or not."""
    await feed.play(microphone(tone(1, OUT_RATE), rate=OUT_RATE))
    feed.recorder.pauses.begin(feed.clock.now)
    await feed.play(microphone(tone(1, OUT_RATE), 1, rate=OUT_RATE))
    waiting = np.frombuffer(feed.recorder.merge_audio_buffers(), "<i2")[::2]
    for user in (waiting, np.frombuffer(feed.recorder.tail("user", 0).pcm, "<i2")):
        assert audible_secs(user) == close([(0, 1)])
        assert len(user) == 2 * OUT_RATE
    feed.recorder.pauses.end(feed.clock.now)
    await feed.play(microphone(tone(1, OUT_RATE), 2, rate=OUT_RATE))
    await feed.recorder.finish()
    assert audible_secs(feed.recorded()[0]) == close([(0, 1), (2, 3)])


async def test_several_pauses_follow_each_other(feed: Feed) -> None:
    """Each is silence; a second pause or resume in a row changes nothing."""
    for begin in range(1, 20, 4):
        for _ in range(2):
            pause(feed, begin, begin + 1.5)
    await feed.play(microphone(tone(20, 16000)))
    await feed.recorder.finish()
    edges = [0.0, *(edge for begin in range(1, 20, 4) for edge in (begin, begin + 1.5)), 20.0]
    spoken = list(zip(edges[::2], edges[1::2], strict=True))
    assert audible_secs(feed.recorded()[0]) == close(spoken)


async def test_where_speech_begins_and_ends_in_it_is_still_found() -> None:
    """The transcript keeps the times of its turns, so they are measured as without a pause."""
    places = []
    for paused in (False, True):
        feed = await Feed().start()
        if paused:
            pause(feed, 2, 9)
        said: list[tuple[float, Frame]] = [
            (3 + DETECTED, VADUserStartedSpeakingFrame()),
            (4.5 + DETECTED, VADUserStoppedSpeakingFrame()),
        ]
        samples = np.zeros(8 * 16000, np.int16)
        samples[3 * 16000 : 72000] = tone(1.5, 16000)
        await feed.play(microphone(samples), said, speech(tone(1, OUT_RATE), 5))
        await feed.recorder.finish()
        assert [bool(audible_secs(side)) for side in feed.recorded()] == [not paused] * 2
        places.append((feed.places("user"), feed.places("bot")))
    assert places[0] == places[1]
    assert places[0] == (close([(3, 4.5)], 0.02)[0], close([(5, 6)], 0.02)[0])


@pytest.mark.parametrize(("begin", "end"), [(0.5, 0.9), (1.5, 1.6), (2.9, 4)])
async def test_a_recorder_of_the_caller_hands_out_no_audio_of_a_pause(
    begin: float, end: float
) -> None:
    """Nobody knows where it lays a sample, so all that it hands out at once is silent."""
    clock, feed = Clock(), Feed()
    recorder = ExternalRecorder(AudioBufferProcessor(num_channels=2), feed, clock.get_time)
    recorder.pauses.begin(round(begin * SECOND))
    recorder.pauses.end(round(end * SECOND))
    audio = [bytes([number]) * 4000 for number in (1, 2, 3)]
    for number, pcm in enumerate(audio, 1):
        clock.now = number * SECOND
        await recorder._on_audio_data(recorder.processor, pcm, OUT_RATE, 2)  # noqa: SLF001
    await recorder.finish()
    paused = {number for number in range(3) if number < end and begin < number + 1}
    assert feed.chunks == [silence(4000) if n in paused else audio[n] for n in range(3)]


async def test_a_call_may_end_in_a_pause(feed: Feed) -> None:
    """Its recording is as long as the call, and the event of the stop is not called again."""
    stops = []

    async def stopped(_: object) -> None:
        stops.append(feed.clock.now)

    await feed.play(microphone(tone(1, OUT_RATE), rate=OUT_RATE))
    feed.recorder.pauses.begin(feed.clock.now)
    if "on_recording_stopped" in feed.recorder._event_handlers:  # noqa: SLF001  # newer Pipecats have it
        feed.recorder.add_event_handler("on_recording_stopped", stopped)
    await feed.play(microphone(tone(1, OUT_RATE), 1, rate=OUT_RATE))
    for _ in range(2):
        await feed.recorder.finish()
    await asyncio.sleep(0)
    user, _ = feed.recorded()
    assert audible_secs(user) == close([(0, 1)])
    assert len(user) == 2 * OUT_RATE
    assert stops == []
