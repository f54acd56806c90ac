"""The recorder as an `AudioBufferProcessor`: formats, events and controls, frame by frame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pipecat.frames import frames as pipecat_frames
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    UserAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

from pipecat_roark import guard
from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.recording.external import ExternalRecorder
from pipecat_roark.recording.listener import Recorder
from support.audio import audible_secs
from support.calls import OUT_RATE, tone
from support.feed import Feed, bursts, microphone, speech

if TYPE_CHECKING:
    from pipecat.frames.frames import Frame

    from support.feed import Samples

START = getattr(pipecat_frames, "AudioBufferStartRecordingFrame", None)
STOP = getattr(pipecat_frames, "AudioBufferStopRecordingFrame", None)


@pytest.fixture
async def feed() -> Feed:
    """Return a recorder that saw the start of its pipeline."""
    return await Feed().start()


def collect(feed: Feed, *events: str) -> list[tuple[Any, ...]]:
    """Return a list to which events of the recorder are added as they come."""
    seen: list[tuple[Any, ...]] = []

    def note(event: str) -> None:
        async def handler(processor: AudioBufferProcessor, *values: object) -> None:
            assert processor is feed.recorder
            seen.append((event, *values))

        feed.recorder.add_event_handler(event, handler)

    for event in events:
        note(event)
    return seen


def stereo(left: Samples, right: Samples) -> bytes:
    """Return both channels as a recorder hands them out."""
    return np.column_stack((left, right)).astype("<i2").tobytes()


async def test_it_is_an_audio_buffer_processor(feed: Feed) -> None:
    """Whatever takes a stock one takes ours: type, rate and channels are as asked for."""
    assert isinstance(feed.recorder, AudioBufferProcessor)
    assert (feed.recorder.sample_rate, feed.recorder.num_channels) == (OUT_RATE, 2)
    assert feed.recorder.in_pipeline
    assert feed.recorder.after_output


async def test_it_knows_that_no_output_is_before_it() -> None:
    """Placed before the output, or without one, it says so."""
    assert not (await Feed(after_output=False).start()).recorder.after_output


async def test_speech_that_nothing_paces_begins_when_it_comes() -> None:
    """Without an output transport, utterances in bursts are apart by their true distance."""
    feed = await Feed(after_output=False).start()
    await feed.play(
        microphone(tone(0.1, 16000)),
        *(speech(tone(2, OUT_RATE), begin, arrives=bursts(begin))[1:-1] for begin in (1, 11)),
    )
    await feed.recorder.finish()
    assert [start for start, _ in audible_secs(feed.recorded()[1])] == pytest.approx(
        [1, 11], abs=0.02
    )


@pytest.mark.parametrize(
    "frame",
    [
        InputAudioRawFrame(bytes(640), 16000, 1),
        InputAudioRawFrame(b"", 16000, 1),
        InputAudioRawFrame(b"\1", 16000, 1),
        TTSAudioRawFrame(bytes(960), OUT_RATE, 1),
        BotStartedSpeakingFrame(),
        BotStoppedSpeakingFrame(),
        InterruptionFrame(),
        EndFrame(),
    ],
)
async def test_every_frame_is_passed_on_and_shown(feed: Feed, frame: Frame) -> None:
    """Frames go on unchanged, and all but audio are shown to the observer."""
    await feed.push(frame, 1.0)
    assert feed.sink.frames[-1] is frame
    audio = isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame))
    assert (feed.seen[-1] is frame) is not audio
    assert isinstance(feed.sink.frames[0], StartFrame)
    assert isinstance(feed.seen[0], StartFrame)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
async def test_any_rate_and_number_of_channels(feed: Feed, rate: int, channels: int) -> None:
    """Audio of any rate and with any number of channels has its pitch and length."""
    said, spoken = tone(2, rate), tone(2, rate, 660)
    size = rate // 50
    for place in range(0, len(said), size):
        for kind, samples in ((InputAudioRawFrame, said), (TTSAudioRawFrame, spoken)):
            audio = samples[place : place + size].repeat(channels).tobytes()
            await feed.push(kind(audio, rate, channels), (place + size) / rate)
    await feed.recorder.finish()
    for samples, hertz in zip(feed.recorded(), (440, 660), strict=True):
        assert len(samples) == pytest.approx(2 * OUT_RATE, abs=size * OUT_RATE / rate)
        spectrum = np.abs(np.fft.rfft(samples[:OUT_RATE].astype(float)))
        assert int(spectrum.argmax()) == hertz


@pytest.mark.parametrize("out_rate", [8000, 16000, 44100])
async def test_the_rate_is_that_of_the_pipeline(out_rate: int) -> None:
    """Telephony is recorded at its own rate, and so is anything else."""
    feed = await Feed(out_rate=out_rate).start()
    await feed.play(microphone(tone(2, 8000), rate=8000), speech(tone(2, out_rate), rate=out_rate))
    await feed.recorder.finish()
    assert feed.recorder.sample_rate == out_rate
    for samples in feed.recorded():
        assert audible_secs(samples, out_rate) == [pytest.approx((0, 2), abs=0.02)]


async def test_a_torn_sample_is_dropped(feed: Feed) -> None:
    """Frames with half a sample too much lose the half and nothing else."""
    said = tone(2, OUT_RATE)
    for place in range(0, len(said), 480):
        torn = said[place : place + 480].tobytes() + b"\x55"
        await feed.push(InputAudioRawFrame(torn, OUT_RATE, 1), (place + 480) / OUT_RATE)
    await feed.push(InputAudioRawFrame(b"\x55", OUT_RATE, 1), 2.01)
    await feed.recorder.finish()
    assert np.array_equal(feed.recorded()[0], said)


async def test_a_rate_that_changes_in_mid_call(feed: Feed) -> None:
    """A microphone that changes its rate goes on in its place."""
    await feed.play(
        *(
            microphone(tone(2, rate), 2 * number, rate=rate)
            for number, rate in enumerate((16000, 48000, 24000, 8000))
        )
    )
    await feed.recorder.finish()
    user, _ = feed.recorded()
    assert len(user) == 8 * OUT_RATE
    assert audible_secs(user, pause=0.005) == [pytest.approx((0, 8), abs=0.001)]


def altered(frame: Frame, **values: object) -> Frame:
    """Return a frame in an impossible format."""
    for name, value in values.items():
        setattr(frame, name, value)
    return frame


@pytest.mark.parametrize(
    "values",
    [
        {"sample_rate": 0},
        {"sample_rate": -16000},
        {"num_channels": 0},
        {"audio": np.zeros(320, np.float32)},
        {"sample_rate": None},
        {"sample_rate": float("nan")},
        {"sample_rate": 10**12},
        {"sample_rate": 5},
        {"num_channels": "one"},
        {"transport_source": []},
    ],
    ids=[
        *("no rate", "a negative rate", "no channels", "a wrong width"),
        *("rate None", "rate NaN", "a huge rate", "a tiny rate", "channels in words", "a list"),
    ],
)
async def test_what_cannot_be_used_is_left_out(
    feed: Feed, log: list[str], values: dict[str, object]
) -> None:
    """Impossible frames are passed on and left out, and one warning names them."""
    said = tone(1, OUT_RATE)
    for number in range(50):
        frame = altered(InputAudioRawFrame(bytes(640), 16000, 1), **values)
        await feed.push(frame, number / 50)
        assert feed.sink.frames[-1] is frame
        good = InputAudioRawFrame(said[480 * number : 480 * (number + 1)].tobytes(), OUT_RATE, 1)
        await feed.push(good, (number + 1) / 50)
    await feed.recorder.finish()
    assert np.array_equal(feed.recorded()[0], said)
    assert len(log) == 1
    assert "can't be recorded" in log[0]


async def test_the_call_begins_with_what_can_be_used(feed: Feed) -> None:
    """Frames without audio, or in no known format, begin nothing and hold nothing up."""
    for audio, rate in ((b"", 16000), (b"\1", 16000), (bytes(640), 0)):
        await feed.push(InputAudioRawFrame(audio, rate, 1), 2.9)
    user, bot = tone(2, OUT_RATE), tone(1, OUT_RATE)
    await feed.play(microphone(user, 3, rate=OUT_RATE), speech(bot, 3.2)[1:-1])
    await feed.recorder.finish()
    assert feed.recorder.origin_ns == 3_000_000_000
    user, bot = feed.recorded()
    assert audible_secs(user) == [pytest.approx((0, 2), abs=0.001)]
    assert audible_secs(bot) == [pytest.approx((0.2, 1.2), abs=0.02)]


async def test_an_error_of_its_own_stays_inside(
    feed: Feed, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should recording fail, the frame goes on and one line says so."""

    def fail(_: bytes) -> None:
        raise ValueError("the caller's words")

    monkeypatch.setattr(guard, "RERAISE", False)
    monkeypatch.setattr(feed, "on_audio", fail)
    await feed.play(microphone(tone(9, 16000)))
    assert len(feed.sink.frames) == 1 + 450
    assert len(log) == 1
    assert "ValueError" in log[0]
    assert "words" not in log[0]


async def test_events_hand_out_the_recording(feed: Feed) -> None:
    """Chunks come as events, mixed and by track, with the rate and the number of channels."""
    seen = collect(feed, "on_audio_data", "on_track_audio_data")
    said, spoken = tone(7, OUT_RATE), tone(7, OUT_RATE, 660)
    await feed.play(microphone(said, rate=OUT_RATE), speech(spoken))
    await feed.push(EndFrame())
    await asyncio.sleep(0)
    mixed = [values for event, *values in seen if event == "on_audio_data"]
    tracks = [values for event, *values in seen if event == "on_track_audio_data"]
    assert [audio for audio, *_ in mixed] == feed.chunks
    assert {(rate, channels) for *_, rate, channels in mixed + tracks} == {(OUT_RATE, 2)}
    assert b"".join(user for user, *_ in tracks) == said.tobytes()
    assert b"".join(bot for _, bot, *_ in tracks) == spoken.tobytes()
    assert len(feed.chunks[0]) == len(feed.chunks[1]) == CHUNK_BYTES


async def test_what_waits_can_be_merged(feed: Feed) -> None:
    """`has_audio` and `merge_audio_buffers` return what no event has handed out."""
    assert not feed.recorder.has_audio()
    assert feed.recorder.merge_audio_buffers() == b""
    said, spoken = tone(1, OUT_RATE), tone(1, OUT_RATE, 660)
    await feed.play(microphone(said, rate=OUT_RATE), speech(spoken)[:-1])
    assert feed.recorder.has_audio()
    assert feed.recorder.merge_audio_buffers() == stereo(said, spoken)
    await feed.recorder.finish()
    assert not feed.recorder.has_audio()
    assert feed.recorder.merge_audio_buffers() == b""


async def test_a_pause_of_the_recording_is_silence(feed: Feed) -> None:
    """A stop hands out what is there; until the next start, time passes as silence."""
    recorder = feed.recorder
    await feed.play(microphone(tone(3.1, 16000)))
    for _ in range(2):
        await recorder.stop_recording()
    assert len(feed.recorded()[0]) == pytest.approx(3.1 * OUT_RATE, abs=1)
    handed_out = len(feed.chunks)
    await feed.play(microphone(tone(10, 16000), 3.1), speech(tone(1, OUT_RATE), 4))
    assert len(feed.chunks) > handed_out
    assert not any(b"".join(feed.chunks[handed_out:]))
    for _ in range(2):
        await recorder.start_recording()
    await feed.play(microphone(tone(2, 16000), 13.1), speech(tone(1, OUT_RATE), 14))
    await recorder.finish()
    user, bot = feed.recorded()
    expected = [pytest.approx(span, abs=0.02) for span in ((0, 3.1), (13.1, 15.1))]
    assert audible_secs(user) == expected
    assert audible_secs(bot) == [pytest.approx((14, 15), abs=0.02)]


@pytest.mark.skipif(STOP is None, reason="this Pipecat has no events for it")
async def test_events_tell_when_it_records() -> None:
    """Each start and each stop calls its event once; the recording starts with the pipeline."""
    feed = Feed()
    events = collect(feed, "on_recording_started", "on_recording_stopped")
    await feed.start()
    for control in (feed.recorder.stop_recording, feed.recorder.start_recording):
        await control()
        await control()
    await feed.push(EndFrame())
    await asyncio.sleep(0)
    assert [name for name, *_ in events] == [
        "on_recording_started",
        "on_recording_stopped",
        "on_recording_started",
        "on_recording_stopped",
    ]


@pytest.mark.skipif(STOP is None, reason="this Pipecat has no frames for it")
async def test_frames_pause_and_resume(feed: Feed) -> None:
    """The frames that stop and start recorders do so, and are passed on."""
    assert START is not None
    assert STOP is not None
    await feed.play(microphone(tone(1, 16000)))
    await feed.push(STOP())
    await feed.play(microphone(tone(1, 16000), 1))
    await feed.push(START())
    await feed.play(microphone(tone(1, 16000), 2))
    await feed.push(EndFrame())
    expected = [pytest.approx(span, abs=0.02) for span in ((0, 1), (2, 3))]
    assert audible_secs(feed.recorded()[0]) == expected
    assert [type(frame) for frame in feed.sink.frames if isinstance(frame, (START, STOP))] == [
        STOP,
        START,
    ]


async def test_a_short_pause_of_the_recording(feed: Feed) -> None:
    """What comes between a stop and a start is not recorded, however soon the start."""
    await feed.play(microphone(tone(0.8, OUT_RATE), rate=OUT_RATE))
    await feed.recorder.stop_recording()
    await feed.play(microphone(tone(0.1, OUT_RATE), 0.8, rate=OUT_RATE))
    await feed.recorder.start_recording()
    await feed.play(microphone(tone(1, OUT_RATE), 0.9, rate=OUT_RATE))
    await feed.recorder.finish()
    expected = [pytest.approx(span, abs=0.001) for span in ((0, 0.8), (0.9, 1.9))]
    assert audible_secs(feed.recorded()[0]) == expected


async def test_a_recording_may_begin_later() -> None:
    """Stopped before the call, it begins with the first frame after the start."""
    feed = Feed()
    await feed.recorder.stop_recording()
    await feed.start()
    await feed.play(microphone(tone(5, 16000)))
    assert feed.recorder.origin_ns is None
    await feed.recorder.start_recording()
    await feed.play(microphone(tone(1, 16000), 5))
    await feed.recorder.finish()
    assert feed.recorder.origin_ns == 5_000_000_000
    assert audible_secs(feed.recorded()[0]) == [pytest.approx((0, 1), abs=0.001)]


async def test_before_the_first_frame_no_place_is_known(feed: Feed) -> None:
    """Without audio there is nothing to place, and nothing is handed out at the end."""
    recorder = feed.recorder
    assert (recorder.origin_ns, recorder.offset_ms) == (None, None)
    await feed.push(VADUserStartedSpeakingFrame())
    await feed.push(VADUserStoppedSpeakingFrame())
    assert feed.user_edges == [("from", None), ("until", None)]
    await feed.push(EndFrame())
    assert feed.chunks == []


@pytest.mark.parametrize("name", ["transport_source", "user_id"])
async def test_participants_are_heard_at_the_same_time(feed: Feed, name: str) -> None:
    """Two participants who talk at once are mixed, each in its time."""
    kind: Any = UserAudioRawFrame if name == "user_id" else InputAudioRawFrame
    extra = {"user_id": ""} if name == "user_id" else {}
    for number in range(100):
        for who, begin in (("one", 0), ("two", 50)):
            if begin <= number:
                audio = np.full(480, 3000, "<i2").tobytes()
                frame = altered(kind(audio, OUT_RATE, 1, **extra), **{name: who})
                await feed.push(frame, (number + 1) / 50)
    await feed.recorder.finish()
    user, _ = feed.recorded()
    assert np.array_equal(user, np.repeat(np.array([3000, 6000], np.int16), OUT_RATE))


async def test_destinations_are_heard_at_the_same_time(feed: Feed) -> None:
    """Two destinations in parallel are mixed, and the listener receives the edges of each."""
    await feed.play(
        *(
            [
                (at, altered(frame, transport_destination=destination))
                for at, frame in speech(tone(1, OUT_RATE, amplitude=4000), begin)
            ]
            for begin, destination in ((0.0, "es"), (0.5, "fr"))
        )
    )
    await feed.recorder.finish()
    _, bot = feed.recorded()
    assert audible_secs(bot) == [pytest.approx((0, 1.5), abs=0.02)]
    assert bot[:OUT_RATE].max() == 8000
    assert feed.bot_edges == [("from", 0), ("from", None), ("until", OUT_RATE), ("until", None)]


async def test_cleanup_finishes_the_call(feed: Feed) -> None:
    """The end of the processor is the end of the call, at the latest."""
    await feed.recorder.cleanup()
    assert feed.finished == 1


async def test_the_events_hand_out_what_the_listener_released(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that replaces audio decides about both events, and about each channel of it."""
    seen = collect(feed, "on_audio_data", "on_track_audio_data")
    left, right = tone(1, OUT_RATE, 330), tone(1, OUT_RATE, 550)
    monkeypatch.setattr(feed, "on_audio", lambda _: stereo(left, right))
    await feed.play(microphone(tone(1, OUT_RATE), rate=OUT_RATE))
    await feed.recorder.finish()
    await asyncio.sleep(0)
    assert seen == [
        ("on_audio_data", stereo(left, right), OUT_RATE, 2),
        ("on_track_audio_data", left.tobytes(), right.tobytes(), OUT_RATE, 2),
    ]


async def test_a_second_start_of_the_pipeline_changes_nothing(feed: Feed) -> None:
    """What was recorded stays, and goes on."""
    said = tone(1, OUT_RATE)
    await feed.play(microphone(said, rate=OUT_RATE))
    await feed.push(StartFrame())
    await feed.play(microphone(said, 1, rate=OUT_RATE))
    await feed.recorder.finish()
    assert np.array_equal(feed.recorded()[0], np.tile(said, 2))


def test_both_recorders_have_all_that_a_call_asks_of_them(feed: Feed) -> None:
    """The call and the observer know them by one protocol."""
    recorders: list[Recorder] = [
        feed.recorder,
        ExternalRecorder(feed.recorder, feed, feed.clock.get_time),
    ]
    names = [name for name in vars(Recorder) if not name.startswith("_")]
    assert len(names) >= 12
    for each in recorders:
        assert [name for name in names if not hasattr(each, name)] == []


def test_handlers_for_audio_by_turn_are_refused(feed: Feed, log: list[str]) -> None:
    """They would never be called, which one warning says, with what to do instead."""
    names = [f"on_{who}_turn_audio{data}" for who in ("user", "bot") for data in ("", "_data")]
    for name in names:
        feed.recorder.add_event_handler(name, print)
        decorate: Any = feed.recorder.event_handler(name)
        decorate(print)
    assert len(log) == 1
    assert "on_user_turn_audio" in log[0]
    assert "on_track_audio_data" in log[0]
