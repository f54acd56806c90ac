"""What is in the recording of a call, in virtual time: the figures."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    OutputAudioRawFrame,
    StopFrame,
    TTSAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from support.audio import audible_secs
from support.calls import OUT_RATE, tone
from support.feed import DETECTED, Feed, bursts, microphone, record, speech, stalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.frames.frames import Frame

    from support.feed import Arrival, Samples

IN_RATE = 16000
QUIET = 50
"""Amplitude below which a sample of a test tone is one of silence, or a zero crossing."""

CLICK_DB = -55
"""Between the energy that a click adds to a tone, and what the window leaves of a pure one."""


def longest_silence(samples: Samples) -> float:
    """Return the longest stretch without sound, in seconds."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > QUIET)
    return float(np.diff(loud, prepend=-1, append=len(samples)).max() - 1) / OUT_RATE


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.live
async def test_a_stall_and_its_burst_are_continuous_speech(rate: int) -> None:
    """300 s with a stall of 1 s and a burst every 10 s are 300 s, without a hole."""
    said = microphone(tone(300, rate), rate=rate, arrives=stalls())
    user, bot = await record(said)
    assert len(user) / OUT_RATE == pytest.approx(300, abs=0.02)
    assert longest_silence(user) < 0.005
    assert not bot.any()


@pytest.mark.live
async def test_a_stalled_host_holds_up_both_tracks() -> None:
    """A stall that hits everything moves nothing."""
    host = stalls()
    spoken = tone(300, OUT_RATE, 660)
    user, bot = await record(
        microphone(tone(300, IN_RATE), arrives=host), speech(spoken, arrives=host)
    )
    assert len(user) / OUT_RATE == pytest.approx(300, abs=0.02)
    assert longest_silence(user) < 0.005
    assert np.array_equal(bot[: len(spoken)], spoken)


@pytest.mark.live
async def test_no_sample_is_inserted_while_both_talk() -> None:
    """300 s of both talking at once are the samples that came, and nothing else."""
    said, spoken = tone(300, OUT_RATE), tone(300, OUT_RATE, 660)
    user, bot = await record(microphone(said, rate=OUT_RATE), speech(spoken))
    assert np.array_equal(user, said)
    assert np.array_equal(bot, spoken)


async def test_speech_that_comes_faster_than_real_time_is_kept_whole() -> None:
    """Utterances that arrive in one burst each lose nothing, gain nothing and begin on time."""
    begins = range(2, 290, 12)
    spoken = tone(5, OUT_RATE, 660)
    arrivals = [
        arrival for begin in begins for arrival in speech(spoken, begin, arrives=bursts(begin))
    ]
    user, bot = await record(microphone(tone(300, IN_RATE)), arrivals)
    assert len(bot) / OUT_RATE == pytest.approx(300, abs=0.02)
    spans = audible_secs(bot)
    assert [start for start, _ in spans] == pytest.approx([*begins], abs=0.02)
    for start, end in spans:
        assert np.array_equal(bot[round(start * OUT_RATE) : round(end * OUT_RATE)], spoken)
    assert longest_silence(user) < 0.005


SAYS, ANSWERS = tone(2, IN_RATE), tone(2, OUT_RATE, 660)
MUTED = [*microphone(SAYS, 0), *microphone(SAYS, 12)]


@pytest.mark.parametrize(
    ("arrivals", "user_at", "bot_at"),
    [
        pytest.param([MUTED], [0, 12], [], id="a mute of 10 s"),
        pytest.param([MUTED, speech(ANSWERS, 5)], [0, 12], [5], id="an answer to a muted user"),
        pytest.param(
            [microphone(SAYS), *(speech(ANSWERS, begin) for begin in (3, 13, 23, 33))],
            [0],
            [3, 13, 23, 33],
            id="utterances 8 s apart without a microphone",
        ),
        pytest.param(
            [speech(ANSWERS, 0), microphone(SAYS, 3.013)], [3.013], [0], id="the assistant first"
        ),
        pytest.param(
            [microphone(SAYS, 0), speech(ANSWERS, 2.517)], [0], [2.517], id="the user first"
        ),
        pytest.param(
            [speech(ANSWERS, 1), speech(ANSWERS, 5)], [], [0, 4], id="no audio of the user"
        ),
        pytest.param(
            [microphone(SAYS, 0), speech(ANSWERS, 300.25), microphone(SAYS, 900.5)],
            [0, 900.5],
            [300.25],
            id="minutes on hold",
        ),
    ],
)
async def test_every_utterance_stands_where_it_was(
    arrivals: list[list[Arrival]], user_at: list[float], bot_at: list[float]
) -> None:
    """Each utterance begins within 20 ms of its time, on its own channel, and has its length."""
    channels = await record(*arrivals)
    for samples, begins in zip(channels, (user_at, bot_at), strict=True):
        spans = audible_secs(samples)
        assert [start for start, _ in spans] == pytest.approx(begins, abs=0.02)
        assert [end - start for start, end in spans] == pytest.approx([2] * len(spans), abs=0.002)


@pytest.mark.parametrize("end", [EndFrame(), CancelFrame(), StopFrame(), None])
async def test_the_last_samples_are_there(end: Frame | None) -> None:
    """The last 20 ms of both are in the recording, whatever ends it and whenever."""
    said, spoken = tone(7.02, IN_RATE), tone(7.02, OUT_RATE, 660)
    feed = await Feed().start()
    await feed.play(microphone(said), speech(spoken, secs=0.02)[:-1])
    await (feed.push(end) if end else feed.recorder.finish())
    user, bot = feed.recorded()
    assert np.array_equal(bot, spoken)
    assert len(user) == len(bot)
    assert longest_silence(user[-480:]) < 0.001


def jitter(arrives: Callable[[float], float] = float) -> Callable[[float], float]:
    """Return a network on which a frame is early or late by up to 5 ms."""
    random = np.random.default_rng(1)
    return lambda due: arrives(due + random.uniform(-0.005, 0.005))


async def test_a_stall_on_a_jittery_network() -> None:
    """Jitter is no gap, with a stall or without."""
    said = tone(300, OUT_RATE)
    user, _ = await record(microphone(said, rate=OUT_RATE, arrives=jitter(stalls())))
    assert np.array_equal(user, said)


@pytest.mark.live
@pytest.mark.newest
async def test_half_an_hour_of_jitter_leaves_both_in_step() -> None:
    """After 30 min of +-5 ms a frame and 16 to 24 kHz, both are in step, whole, and click-free."""
    secs, network = 1800, jitter()
    said, spoken = tone(secs, IN_RATE), tone(secs, OUT_RATE, 660)
    user, bot = await record(microphone(said, arrives=network), speech(spoken, arrives=network))
    assert len(user) == pytest.approx(secs * OUT_RATE, abs=0.02 * OUT_RATE)
    ends = [audible_secs(samples)[-1][1] for samples in (user, bot)]
    assert ends[0] == pytest.approx(ends[1], abs=0.02)
    for samples, hertz in ((user, 440), (bot, 660)):
        assert longest_silence(samples) < 0.005
        assert clicks(samples, hertz) < CLICK_DB


@pytest.mark.parametrize("drift", [0.9995, 1.0005])
@pytest.mark.live
async def test_a_microphone_with_a_clock_of_its_own(drift: float) -> None:
    """A microphone with a faster or slower clock is continuous, even if its network stalls."""
    said, network = tone(600, OUT_RATE), stalls(every=100)
    user, _ = await record(
        microphone(said, rate=OUT_RATE, arrives=lambda due: network(due) * drift)
    )
    assert np.array_equal(user, said)


def clicks(samples: Samples, hertz: float) -> float:
    """Return the most energy beside a tone in any 20 ms within it, in dB of the tone's."""
    size, worst = OUT_RATE // 50, 0.0
    beside = np.abs(np.fft.rfftfreq(size, 1 / OUT_RATE) - hertz) > 250
    windows = samples[size : len(samples) // size * size - size].reshape(-1, size)
    for start in range(0, len(windows), 1000):
        power = np.abs(np.fft.rfft(windows[start : start + 1000] * np.blackman(size))) ** 2
        share = power[:, beside].sum(axis=1) / power[:, ~beside].sum(axis=1)
        worst = max(worst, float(share.max()))
    return float(10 * np.log10(worst))


async def test_a_click_would_be_noticed() -> None:
    """The measure of clicks finds one missing sample, and one of silence."""
    whole = tone(2, OUT_RATE)
    assert clicks(whole, 440) < CLICK_DB
    assert clicks(np.delete(whole, 20000), 440) > CLICK_DB
    assert clicks(np.insert(whole, 20000, 0), 440) > CLICK_DB


def detected(begin: float, end: float, arrives: Callable[[float], float] = float) -> list[Arrival]:
    """Return what a detector says of speech, with the frames that make it sure."""
    return [
        (arrives(begin + DETECTED), VADUserStartedSpeakingFrame()),
        (arrives(end + DETECTED), VADUserStoppedSpeakingFrame()),
    ]


def phrase(rate: int, *, after: float = 0.3, hertz: float = 440) -> Samples:
    """Return a second of sound between silences."""
    quiet = np.zeros(round(after * rate), np.int16)
    return np.concatenate([quiet, tone(1, rate, hertz), quiet])


@pytest.mark.parametrize(
    ("begins", "arrives"),
    [
        pytest.param([0.0, 2.0], float, id="talk"),
        pytest.param([0.0, 12.4], float, id="after a mute"),
        pytest.param([0.0, 4.58], stalls(), id="in a stall"),
    ],
)
async def test_noted_edges_are_where_speech_can_be_heard(
    begins: list[float], arrives: Callable[[float], float]
) -> None:
    """The edges of the user are within 40 ms of the audible ones, those of the bot within 20 ms."""
    feed = await Feed().start()
    await feed.play(
        *(microphone(phrase(IN_RATE), begin, arrives=arrives) for begin in begins),
        *(detected(begin + 0.3, begin + 1.3, arrives) for begin in begins),
        *(speech(phrase(OUT_RATE, hertz=660), begin + 20) for begin in begins),
    )
    await feed.recorder.finish()
    user, bot = feed.recorded()
    assert feed.places("user") == pytest.approx([*chain(*audible_secs(user))], abs=0.04)
    assert feed.places("bot") == pytest.approx([*chain(*audible_secs(bot))], abs=0.02)
    assert [start for start, _ in audible_secs(user)] == pytest.approx(
        [begin + 0.3 for begin in begins], abs=0.02
    )


async def test_what_a_detector_parts_stays_parted() -> None:
    """A sound in which a detector hears two utterances belongs to both, one after the other."""
    feed = await Feed().start()
    await feed.play(microphone(phrase(IN_RATE)), detected(0.3, 0.6), detected(0.9, 1.3))
    assert feed.places("user") == pytest.approx([0.3, 0.8, 0.8, 1.3], abs=0.02)


def mixed_with_noise(arrivals: list[Arrival], secs: float, *, noise: int = 600) -> list[Arrival]:
    """Return what an output plays that mixes in noise all the time, also between utterances."""
    random = np.random.default_rng(1)
    played = {round(at, 3): frame for at, frame in arrivals if hasattr(frame, "audio")}
    frames: list[Arrival] = [arrival for arrival in arrivals if not hasattr(arrival[1], "audio")]
    for number in range(1, round(secs / 0.04) + 1):
        at = number * 0.04
        audio = random.integers(-noise, noise, round(0.04 * OUT_RATE)).astype(np.int16)
        frame: Any = played.get(round(at, 3))
        if frame is None:
            frames.append((at, OutputAudioRawFrame(audio.tobytes(), OUT_RATE, 1)))
        else:
            frame.audio = (np.frombuffer(frame.audio, np.int16) + audio).tobytes()
            frames.append((at, frame))
    return frames


@pytest.mark.parametrize("late", [0.0, 2.0, 3.0])
async def test_background_sound_moves_no_edge_of_the_bot(late: float) -> None:
    """In noise too an utterance ends with its voice, however late its end is announced."""
    silence = np.zeros(round(0.4 * OUT_RATE), np.int16)
    spoken = np.concatenate([silence[: len(silence) // 2], tone(1, OUT_RATE, 660), silence])
    arrivals = [arrival for begin in (1.2, 8.0) for arrival in speech(spoken, begin)]
    arrivals = [
        (at + late if isinstance(frame, BotStoppedSpeakingFrame) else at, frame)
        for at, frame in arrivals
    ]
    feed = await Feed().start()
    await feed.play(mixed_with_noise(arrivals, 14))
    await feed.recorder.finish()
    assert feed.places("bot") == pytest.approx([1.4, 2.4, 8.2, 9.2], abs=0.02)


async def test_audio_in_the_first_instant_belongs_to_no_utterance() -> None:
    """It lies before the zero of the clock, and no utterance was over before."""
    feed = await Feed().start()
    spoken = tone(0.02, OUT_RATE)
    await feed.push(TTSAudioRawFrame(spoken.tobytes(), OUT_RATE, 1), 0)
    await feed.recorder.finish()
    assert np.array_equal(feed.recorded()[1], spoken)
    assert not feed.bot_edges


@pytest.mark.parametrize("frames", [1, 2])
async def test_the_last_frame_may_come_behind_the_announced_end(frames: int) -> None:
    """Until 1.3.0, an output announces the end before it passes its last frame on."""
    feed = await Feed().start()
    said = tone(0.2, OUT_RATE)
    await feed.play(microphone(np.zeros(16000, np.int16)))
    parts = [said[start : start + 960].tobytes() for start in range(0, len(said), 960)]
    for number, part in enumerate(parts[:-1]):
        if number == 0:
            await feed.push(BotStartedSpeakingFrame(), 1.0)
        await feed.push(TTSAudioRawFrame(part, OUT_RATE, 1), 1.04 + 0.04 * number)
    await feed.push(BotStoppedSpeakingFrame(), 1.199)
    await feed.push(TTSAudioRawFrame(parts[-1], OUT_RATE, 1), 1.2)
    if frames == 2:  # what follows is another sound
        await feed.push(TTSAudioRawFrame(bytes(1920), OUT_RATE, 1), 1.24)
    await feed.recorder.finish()
    assert feed.places("bot")[-1] == pytest.approx(1.2, abs=0.001)
