"""What a spool has of the audio that is in no chunk yet need not be written again."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    TTSAudioRawFrame,
)

from pipecat_roark.moments import SPEAKERS
from pipecat_roark.spool.tail import Tail, replay
from support.calls import OUT_RATE, tone
from support.feed import Feed, microphone, speech, stalls

fuzz = settings(derandomize=True, database=None)


class Disk:
    """Keeps the tail as a spool does."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._tail = Tail()
        self._file = b""
        self.written = 0
        self.settled: list[tuple[int, int, bytes]] = []
        """What did not change any more: where in the recording it begins, its channel and audio."""

    def keep(self) -> None:
        """Write what is new."""
        chunks = self._feed.chunks
        place = sum(map(len, chunks)) // 4
        for channel, speaker in enumerate(SPEAKERS):
            tail = self._tail.next(len(chunks), speaker, self._feed.recorder.tail)
            if tail.chunk != self._tail.chunk:
                self._file = b""
            records = tail.records(self._tail)
            self._tail, self._file = tail.written(), self._file + records
            self.written += len(records)
            end = tail.ends[channel]
            assert end.start <= end.settled <= end.start + len(end.pcm)
            side = np.frombuffer(replay(self._file), "<i2").reshape(-1, 2)[:, channel]
            self.settled.append((place, channel, side[: end.settled // 2].tobytes()))

    def check(self) -> None:
        """Compare what was settled with the recording."""
        recording = np.frombuffer(b"".join(self._feed.chunks), "<i2").reshape(-1, 2)
        for start, channel, audio in self.settled:
            side = recording[start : start + len(audio) // 2, channel]
            assert side.tobytes() == audio


@pytest.mark.parametrize("bot_secs", [0.1, 10])
async def test_only_what_is_new_is_written(bot_secs: float) -> None:
    """The tail is looked at twice a second; what opens the recording may move for three seconds."""
    feed = await Feed().start()
    disk = Disk(feed)
    arrivals = sorted(
        [*microphone(tone(10, 16000)), *speech(tone(bot_secs, OUT_RATE))],
        key=lambda arrival: arrival[0],
    )
    due = 0.5
    for at, frame in arrivals:
        if at >= due:
            disk.keep()
            due += 0.5
        await feed.push(frame, at)
    await feed.recorder.finish()
    assert disk.written < 1.6 * 2 * OUT_RATE * (10 + bot_secs)
    disk.check()


async def test_what_a_stall_leaves_open_is_not_settled() -> None:
    """The pause before the burst may still turn out to be shorter."""
    feed = await Feed().start()
    disk = Disk(feed)
    for at, frame in sorted(
        microphone(tone(9, 16000), arrives=stalls(every=4)), key=lambda arrival: arrival[0]
    ):
        await feed.push(frame, at)
        disk.keep()
    await feed.recorder.finish()
    disk.check()


events = st.sampled_from(["user", "bot", "begin", "end", "pause", "resume", "keep"])
waits = st.one_of(st.sampled_from([0.0, 0.02, 0.04]), st.floats(0, 0.7), st.just(3.0))
rates = st.sampled_from([8000, 16000, 24000])


@fuzz
@given(st.lists(st.tuples(events, waits, rates, st.integers(1, 2000)), min_size=1, max_size=60))
@example(
    [
        ("user", 3.0, 24000, 1),
        ("pause", 0.0, 8000, 1),  # in the middle of a sample
        ("keep", 3.0, 8000, 1),
        ("user", 3.0, 8000, 1),
    ]
)
@example(
    [
        ("bot", 0.0, 8000, 1233),
        ("keep", 0.0, 8000, 1),
        *[("user", wait, 8000, 2000) for wait in (3.0, *[0.0] * 20)],  # they waited, from before
        ("keep", 0.0, 8000, 1),
    ]
)
def test_what_is_settled_stays(steps: list[tuple[str, float, int, int]]) -> None:
    """Whatever comes, whenever: it is in the recording as it was written."""

    async def call() -> None:
        feed, now = await Feed().start(), 0.0
        disk = Disk(feed)
        for number, (event, wait, rate, size) in enumerate(steps):
            now += wait
            feed.clock.now = round(now * 1e9)
            audio = (1 + number).to_bytes(2, "little") * size
            frame: Frame | None = None
            if event == "keep":
                disk.keep()
            elif event == "pause":
                feed.recorder.pauses.begin(feed.clock.now)
            elif event == "resume":
                feed.recorder.pauses.end(feed.clock.now)
            elif event == "user":
                frame = InputAudioRawFrame(audio, rate, 1)
            elif event == "bot":
                frame = TTSAudioRawFrame(audio, rate, 1)
            else:
                frame = BotStartedSpeakingFrame() if event == "begin" else BotStoppedSpeakingFrame()
            if frame:
                await feed.push(frame)
        await feed.recorder.finish()
        disk.check()

    asyncio.run(call())
