"""A call whose first seconds waited in a socket before anybody read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pipecat.frames.frames import VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame

from pipecat_roark.moments import SPEAKERS
from pipecat_roark.recording.timeline import Timeline
from support.audio import audible_secs
from support.calls import OUT_RATE, tone
from support.feed import DETECTED, Feed, microphone, speech

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.audio import Span
    from support.feed import Arrival, Samples

IN_RATE = 16000
MS = 1_000_000
SAYS: Span = (7.0, 8.31)
ANSWERS: Span = (9.86, 10.86)


def said(*spans: Span, secs: float = 12.0) -> Samples:
    """Return what the user says."""
    samples = np.zeros(round(secs * IN_RATE), np.int16)
    for begin, end in spans:
        samples[round(begin * IN_RATE) : round(end * IN_RATE)] = tone(end - begin, IN_RATE)
    return samples


def spoken(*spans: Span, arrives: Callable[[float], float] = float) -> list[Arrival]:
    """Return what the bot says."""
    return [
        arrival
        for begin, end in spans
        for arrival in speech(tone(end - begin, OUT_RATE, 660), begin, arrives=arrives)
    ]


def waiting(until: float, *, reading: float = 0.005) -> Callable[[float], float]:
    """Return a socket that nobody reads before a time; then its backlog is read."""

    def arrives(due: float) -> float:
        return until + reading * due / (until + reading) if due < until + reading else due

    return arrives


def near(*spans: Span) -> list[object]:
    """Return what spans may be measured as."""
    return [pytest.approx(span, abs=0.02) for span in spans]


@pytest.mark.parametrize("reading", [0.005, 0.5, 1.8])
@pytest.mark.parametrize("backlog", [0.2, 1.0, 2.5, 5.0])
@pytest.mark.parametrize("greets", [None, -0.15, 0.0, 0.003, 0.2], ids="greets at {}".format)
async def test_the_origin_is_where_the_audio_was_spoken(
    backlog: float, greets: float | None, reading: float
) -> None:
    """Whatever waited, and whoever spoke meanwhile: all is at the caller's time."""
    first = (0.1 * backlog, 0.6 * backlog)
    greeting = [(backlog + greets, backlog + greets + 0.8)] if greets is not None else []
    feed = await Feed().start()
    await feed.play(
        microphone(said(first, SAYS), arrives=waiting(backlog, reading=reading)),
        spoken(*greeting, ANSWERS),
        [(SAYS[0] + DETECTED, VADUserStartedSpeakingFrame())],
        [(SAYS[1] + DETECTED, VADUserStoppedSpeakingFrame())],
    )
    await feed.recorder.finish()
    user, bot = feed.recorded()
    assert feed.recorder.origin_ns == pytest.approx(0, abs=20 * MS)
    assert audible_secs(user) == near(first, SAYS)
    assert audible_secs(bot) == near(*greeting, ANSWERS)
    assert feed.places("user") == pytest.approx(SAYS, abs=0.02)
    assert feed.places("bot")[-2:] == pytest.approx(ANSWERS, abs=0.02)


async def test_a_bot_may_speak_long_before_the_backlog_is_read() -> None:
    """A greeting that was laid already moves behind what the user turns out to have said."""
    feed = await Feed().start()
    await feed.play(
        microphone(said((0.5, 1.0), SAYS), arrives=waiting(3.0)), spoken((1.4, 1.88), ANSWERS)
    )
    await feed.recorder.finish()
    user, bot = feed.recorded()
    assert audible_secs(user) == near((0.5, 1.0), SAYS)
    assert audible_secs(bot) == near((1.4, 1.88), ANSWERS)


async def test_both_may_be_late() -> None:
    """A host that stood still in the greeting holds up both sides, and moves none of them."""
    host = waiting(1.0)

    def goes_on(due: float) -> float:
        return due if due < 0.3 else host(due)

    feed = await Feed().start()
    await feed.play(
        microphone(said((0.5, 1.5), SAYS), arrives=host), spoken((0.2, 1.2), arrives=goes_on)
    )
    await feed.recorder.finish()
    user, bot = feed.recorded()
    assert audible_secs(user) == near((0.5, 1.5), SAYS)
    assert audible_secs(bot) == near((0.2, 1.2))


async def test_the_tail_shows_the_origin_that_is_known_by_then() -> None:
    """What a spool keeps meanwhile has both sides at their times, and so has the draft."""
    feed = await Feed().start()
    await feed.play(
        microphone(said((0.3, 0.6), secs=1.4), arrives=waiting(1.0)),
        [arrival for arrival in spoken((1.1, 2.0)) if arrival[0] < 1.4],
    )
    assert feed.chunks == []
    user, bot = (np.frombuffer(feed.recorder.tail(speaker, 0).pcm, "<i2") for speaker in SPEAKERS)
    assert audible_secs(user) == near((0.3, 0.6))
    assert audible_secs(bot)[0][0] == pytest.approx(1.1, abs=0.02)
    assert feed.recorder.origin_ns == pytest.approx(0, abs=20 * MS)
    assert feed.places("bot") == pytest.approx([1.1], abs=0.02)


def test_what_was_handed_out_fixes_the_origin() -> None:
    """A backlog that comes later runs ahead and is kept whole; nothing moves any more."""
    timeline = Timeline(1000, 0)
    timeline.add("bot", [(np.full(1000, 2, "<i2").tobytes(), 1000 * MS)], 1000)
    assert timeline.pop_decided(500, 3000 * MS) is not None
    timeline.add("user", [(np.full(4000, 1, "<i2").tobytes(), 3000 * MS)], 1000)
    assert timeline.origin_ns == 0
    user, bot = timeline.pop_rest()
    assert (len(user) // 2, len(bot) // 2) == (4000, 4000)
    assert np.frombuffer(user, "<i2").tolist() == [1] * 4000


def test_nothing_is_handed_out_while_the_origin_may_move() -> None:
    """The first seconds of the user wait until a backlog would have caught up."""
    timeline = Timeline(1000, 0)
    timeline.add("user", [(np.full(20, 1, "<i2").tobytes(), 20 * MS)], 1000)
    timeline.add("user", [(np.full(5000, 1, "<i2").tobytes(), 40 * MS)], 1000)
    assert timeline.origin_ns == -4980 * MS
    assert timeline.pop_decided(1000, 2019 * MS) is None
    assert timeline.pop_decided(1000, 2020 * MS) is not None


def test_a_second_participant_may_have_waited_longer() -> None:
    """Each line of the user can show that the call began earlier; the others keep their times."""
    timeline = Timeline(1000, 0)
    timeline.add("user", [(np.full(20, 1, "<i2").tobytes(), 20 * MS)], 1000, line="a")
    timeline.add("user", [(np.full(20, 2, "<i2").tobytes(), 40 * MS)], 1000, line="b")
    timeline.add("user", [(np.full(100, 2, "<i2").tobytes(), 41 * MS)], 1000, line="b")
    assert timeline.origin_ns == -79 * MS
    assert np.frombuffer(timeline.pop_rest()[0], "<i2").tolist() == [
        *[2] * 79,
        *[3] * 20,
        *[2] * 21,
    ]
    assert timeline.offset_ms("user", 0) == 79
