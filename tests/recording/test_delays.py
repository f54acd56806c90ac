"""What delays and announcements say about the time at which audio was spoken or played."""

from __future__ import annotations

import numpy as np
import pytest
from pipecat.frames.frames import VADUserStartedSpeakingFrame

from support.audio import audible_secs
from support.calls import IN_RATE, OUT_RATE, tone
from support.feed import DETECTED, Feed, microphone, speech

MS = 1_000_000
ANSWERS = [(1.2, 2.0), (3.4, 4.6)]
EXACT_SECS = 0.002


@pytest.mark.parametrize("early", [0.0, 0.025, 0.04], ids="{} s early".format)
async def test_an_utterance_does_not_begin_before_it_is_announced(early: float) -> None:
    """An output may pass a frame on while it plays it, or even before."""
    feed = await Feed().start()
    await feed.play(
        microphone(np.zeros(5 * IN_RATE, np.int16)),
        *[
            speech(tone(end - begin, OUT_RATE, 660), begin, arrives=lambda due: due - early)
            for begin, end in ANSWERS
        ],
    )
    await feed.recorder.finish()
    _, bot = feed.recorded()
    spans = [pytest.approx(span, abs=EXACT_SECS) for span in ANSWERS]
    assert audible_secs(bot) == spans
    assert feed.places("bot") == pytest.approx([*ANSWERS[0], *ANSWERS[1]], abs=EXACT_SECS)


async def test_audio_that_comes_early_does_so_after_a_pause_too() -> None:
    """An utterance whose audio is late in the middle continues when the output plays it."""
    feed = await Feed().start()
    parts = [speech(tone(0.8, OUT_RATE, 660), begin) for begin in (1.2, 2.6)]
    await feed.play(
        microphone(np.zeros(5 * IN_RATE, np.int16)),
        [parts[0][0]],
        [(due - 0.04, frame) for part in parts for due, frame in part[1:-1]],
        [parts[1][-1]],
    )
    await feed.recorder.finish()
    _, bot = feed.recorded()
    assert audible_secs(bot) == [
        pytest.approx(span, abs=EXACT_SECS) for span in [(1.2, 2.0), (2.6, 3.4)]
    ]


async def test_a_bot_that_speaks_first_begins_the_recording_when_it_is_announced() -> None:
    """Also where its first frame comes as soon as it begins to play."""
    feed = await Feed().start()
    await feed.play(speech(tone(1.0, OUT_RATE, 660), 0.5, arrives=lambda due: due - 0.04))
    await feed.recorder.finish()
    assert feed.recorder.origin_ns == pytest.approx(500 * MS, abs=1000)


async def test_the_smallest_delay_at_the_beginning_counts() -> None:
    """Frames that come 12 ms late for half a second don't put off the user for the whole call."""
    feed = await Feed().start()
    await feed.play(
        microphone(tone(3, IN_RATE), arrives=lambda due: due + (0.012 if due < 0.5 else 0.0)),
        speech(tone(0.8, OUT_RATE, 660), 1.2),
    )
    await feed.recorder.finish()
    user, bot = feed.recorded()
    assert feed.recorder.origin_ns == pytest.approx(0, abs=EXACT_SECS * 1000 * MS)
    assert audible_secs(user) == [pytest.approx((0, 3), abs=EXACT_SECS)]
    assert audible_secs(bot) == [pytest.approx((1.2, 2.0), abs=EXACT_SECS)]


@pytest.mark.parametrize("lasting", [0.02, 0.1])
async def test_a_hiccup_in_the_first_word_does_not_hide_its_beginning(lasting: float) -> None:
    """Speech begins before a frame that was late or lost, not behind it."""
    said = np.zeros(4 * IN_RATE, np.int16)
    said[2 * IN_RATE : 3 * IN_RATE] = tone(1, IN_RATE)

    def late(due: float) -> float:
        return max(due, 2.12 + lasting) if due > 2.12 - 1e-6 else due

    frames = microphone(said, arrives=late)
    lost = [frame for frame in microphone(said) if not 2.121 < frame[0] < 2.121 + lasting]
    for arrivals in (frames, lost):
        feed = await Feed().start()
        await feed.play(arrivals, [(2.2 + DETECTED, VADUserStartedSpeakingFrame())])
        await feed.recorder.finish()
        assert feed.places("user") == pytest.approx([2.0], abs=EXACT_SECS)
