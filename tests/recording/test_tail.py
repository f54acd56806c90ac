"""What a spool has of the audio that is in no chunk yet need not be written again."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    TTSAudioRawFrame,
)

from pipecat_roark.spool.spool import Tail
from support.calls import OUT_RATE, tone
from support.feed import Feed, microphone, speech, stalls

fuzz = settings(derandomize=True, database=None)


class Disk:
    """Keeps the tail as a spool does."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._tail = Tail()
        self.written = 0
        self._file = b""
        self.settled: list[tuple[int, bytes]] = []
        """What did not change any more: where in the recording it begins, and the audio."""

    def keep(self) -> None:
        """Write what is new."""
        chunks = self._feed.chunks
        self._tail = tail = self._tail.next(len(chunks), self._feed.recorder.tail)
        assert tail.start <= len(self._file) or not tail.start
        self._file = self._file[: tail.start] + tail.pcm
        assert tail.start <= tail.settled <= len(self._file)
        self.written += len(tail.pcm)
        self.settled.append((sum(map(len, chunks)), self._file[: tail.settled]))


async def test_only_what_is_new_is_written() -> None:
    """Both talk all the time, and the tail is looked at twice a second."""
    feed = await Feed().start()
    disk = Disk(feed)
    arrivals = sorted(
        [*microphone(tone(10, 16000)), *speech(tone(10, OUT_RATE))], key=lambda arrival: arrival[0]
    )
    due = 0.5
    for at, frame in arrivals:
        if at >= due:
            disk.keep()
            due += 0.5
        await feed.push(frame, at)
    await feed.recorder.finish()
    recording = b"".join(feed.chunks)
    assert disk.written < 1.6 * len(recording)
    for start, audio in disk.settled:
        assert recording[start : start + len(audio)] == audio


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
    recording = b"".join(feed.chunks)
    for start, audio in disk.settled:
        assert recording[start : start + len(audio)] == audio


events = st.sampled_from(["user", "bot", "begin", "end", "pause", "resume", "keep"])
waits = st.one_of(st.sampled_from([0.0, 0.02, 0.04]), st.floats(0, 0.7), st.just(3.0))
rates = st.sampled_from([8000, 16000, 24000])


@fuzz
@given(st.lists(st.tuples(events, waits, rates, st.integers(1, 2000)), min_size=1, max_size=60))
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
        recording = b"".join(feed.chunks)
        for start, audio in disk.settled:
            assert recording[start : start + len(audio)] == audio

    asyncio.run(call())
