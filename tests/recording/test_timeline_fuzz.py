"""Whatever comes, whenever: what a track was given is in it, once and in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
    UserAudioRawFrame,
)

from pipecat_roark.recording.timeline import Timeline
from support.feed import Feed

if TYPE_CHECKING:
    from pipecat.frames.frames import Frame

    from pipecat_roark.moments import Speaker

RATE = 8000
SECOND = 1_000_000_000
SPEAKERS: list[Speaker] = ["user", "bot"]

fuzz = settings(derandomize=True, database=None)
pauses = st.one_of(
    st.just(0.0), st.floats(0, 0.05), st.floats(0, 0.5), st.sampled_from([0.02, 0.04, 3.0, 30.0])
)
sizes = st.one_of(st.sampled_from([160, 320]), st.integers(0, 2000))


class Numbers:
    """Samples that differ from each other and from silence."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def next(self, count: int) -> bytes:
        """Return the next samples, and remember them."""
        start = len(self.given)
        numbers = [(start + place) % 30000 + 1 for place in range(count)]
        self.given += numbers
        return np.array(numbers, "<i2").tobytes()


def sounds(pcm: bytes) -> list[int]:
    """Return the samples that are not silence."""
    samples: list[int] = np.frombuffer(pcm, "<i2").tolist()
    return [sample for sample in samples if sample]


@fuzz
@given(st.data())
def test_samples_in_are_samples_out(data: st.DataObject) -> None:
    """Of any frames at any times, in any batches and chunks, each sample is there, in order."""
    timeline, now = Timeline(RATE, 0), 0
    numbers = {speaker: Numbers() for speaker in SPEAKERS}
    out = dict.fromkeys(SPEAKERS, b"")
    for _ in range(data.draw(st.integers(1, 30))):
        speaker = data.draw(st.sampled_from(SPEAKERS))
        frames = []
        for pause, size in data.draw(st.lists(st.tuples(pauses, sizes), min_size=1, max_size=8)):
            now += round(pause * SECOND)
            frames.append((numbers[speaker].next(size), now))
        timeline.add(speaker, frames, RATE, begins=data.draw(st.booleans()))
        while chunk := timeline.pop_decided(data.draw(st.sampled_from([1, 800, 8000])), now):
            for who, pcm in zip(SPEAKERS, chunk, strict=True):
                out[who] += pcm
            if data.draw(st.booleans()):
                break
    for who, pcm in zip(SPEAKERS, timeline.pop_rest(), strict=True):
        out[who] += pcm
        assert sounds(out[who]) == numbers[who].given
        assert timeline.track(who).received == len(numbers[who].given)
    assert len(out["user"]) == len(out["bot"])


@fuzz
@given(st.data())
def test_places_are_true(data: st.DataObject) -> None:
    """Every sample is where its track says, before the decision on the last pause and after it."""
    timeline, now = Timeline(RATE, 0), 0
    numbers = Numbers()
    for pause, size in data.draw(st.lists(st.tuples(pauses, sizes), min_size=1, max_size=60)):
        now += round(pause * SECOND)
        timeline.add("user", [(numbers.next(size), now)], RATE)
    track = timeline.track("user")
    early = [track.position(index) for index in range(len(numbers.given))]
    samples = np.frombuffer(timeline.pop_rest()[0], "<i2")
    assert np.flatnonzero(samples).tolist() == early
    assert [track.position(index) for index in range(len(numbers.given))] == early


kinds = st.sampled_from(["microphone", "stereo", "speech", "sound", "torn"])
rates = st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000])


def frame(kind: str, size: int, rate: int, user_id: str | None) -> Frame:
    """Return a frame of one kind."""
    audio = np.full(size, 5000, "<i2").tobytes()
    if kind == "speech":
        return TTSAudioRawFrame(audio, rate, 1)
    if kind == "sound":
        return OutputAudioRawFrame(audio, rate, 1)
    if kind == "torn":
        return OutputAudioRawFrame(audio + b"\x7f", rate, 1)
    channels = 2 if kind == "stereo" else 1
    if user_id is None:
        return InputAudioRawFrame(audio * channels, rate, channels)
    return UserAudioRawFrame(audio * channels, rate, channels, user_id=user_id)


@fuzz
@given(
    st.lists(st.tuples(kinds, rates, st.floats(0, 0.7), sizes), min_size=1, max_size=40),
    st.sampled_from([None, "caller"]),
    st.integers(1, 10),
)
def test_frames_of_any_kind_keep_their_length(
    frames: list[tuple[str, int, float, int]], user_id: str | None, utterance: int
) -> None:
    """Of frames of any kind, size and rate, the length is kept, on the channel where it belongs."""

    async def call() -> None:
        feed, now = await Feed().start(), 0.0
        given = dict.fromkeys(SPEAKERS, 0.0)
        stretches = dict.fromkeys(SPEAKERS, 0)
        for number, (kind, rate, pause, size) in enumerate(frames):
            now += pause
            if number % utterance == 0:
                await feed.push(BotStoppedSpeakingFrame(), now)
                await feed.push(BotStartedSpeakingFrame(), now)
            await feed.push(frame(kind, size, rate, user_id), now)
            speaker: Speaker = "user" if kind in ("microphone", "stereo") else "bot"
            given[speaker] += size / rate
            stretches[speaker] += 1
        await feed.recorder.finish()
        for speaker, channel in zip(SPEAKERS, feed.recorded(), strict=True):
            sounding = np.count_nonzero(channel) / feed.out_rate
            # The filter rounds a stretch to a sample, and may swing through zero at its ends.
            assert abs(sounding - given[speaker]) <= 3 * stretches[speaker] / feed.out_rate

    asyncio.run(call())
