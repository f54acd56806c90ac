"""Where moments lie in the recording of another recorder: at 1000 Hz, a sample is a millisecond."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipecat_roark.recording.layout import Layout

if TYPE_CHECKING:
    from pipecat_roark.moments import Speaker

MS = 1_000_000
RATE = 1000


def sound(*spans: tuple[int, int], ms: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Return a channel with a loud tone in these spans."""
    samples = np.zeros(ms, np.int16)
    for begin, end in spans:
        samples[begin:end] = np.resize([8000, -8000], end - begin)
    return samples


def hands_out(layout: Layout, *channels: np.ndarray, rate: int = RATE, piece: int = 10**6) -> None:
    """Let the recorder hand out audio, interleaved and in pieces."""
    interleaved = np.column_stack(channels).astype("<i2")
    for start in range(0, len(interleaved), piece):
        pcm = interleaved[start : start + piece].tobytes()
        deque(layout.add_audio(pcm, rate, len(channels)), maxlen=0)


def hears(
    layout: Layout, begin: int, end: int, *, speaker: Speaker = "user", step: int = 20
) -> None:
    """Let frames reach the recorder in real time."""
    for at in range(begin + step, end + 1, step):
        layout.add_frame(speaker, at * MS, step * MS)


@pytest.fixture
def layout() -> Layout:
    """Return the layout of a recorder that recorded from 5.0 to 15.0 s."""
    layout = Layout()
    hears(layout, 5000, 15000)
    return layout


def test_nothing_has_a_place_before_the_first_frame() -> None:
    """Without a recording there is no place in it."""
    layout = Layout()
    layout.pause(3 * MS)
    assert layout.origin_ns is None
    assert layout.place_ms(7 * MS) is None
    assert layout.span_ms("user", 0, 7 * MS) is None


def test_places_run_with_the_clock(layout: Layout) -> None:
    """From the first frame on, and nothing before it has a place of its own."""
    assert layout.origin_ns == 5000 * MS
    assert layout.place_ms(7000 * MS) == 2000
    assert layout.place_ms(1000 * MS) == 0
    assert layout.span_ms("user", 6000 * MS, 7500 * MS) == (1000, 2500)
    assert layout.span_ms("user", 4000 * MS, 7500 * MS) == (0, 2500)
    assert layout.span_ms("user", 4000 * MS, 4900 * MS) is None


def test_a_pause_is_in_no_recording(layout: Layout) -> None:
    """What comes after it goes on where the recorded audio ended."""
    hands_out(layout, sound(ms=9900), sound(ms=9900))
    layout.pause(15010 * MS)
    layout.pause(15030 * MS)
    hears(layout, 20000, 22000, speaker="bot")
    assert layout.span_ms("user", 16000 * MS, 17000 * MS) is None
    assert layout.place_ms(17000 * MS) == 9900
    assert layout.span_ms("user", 14000 * MS, 17000 * MS) == (9000, 9900)
    assert layout.span_ms("bot", 20500 * MS, 21000 * MS) == (10400, 10900)
    assert layout.span_ms("bot", 19000 * MS, 21000 * MS) == (9900, 10900)
    layout.pause(22000 * MS)
    hands_out(layout, sound(ms=1800), sound(ms=1800))
    assert layout.span_ms("bot", 21500 * MS, 23000 * MS) == (11400, 11700)


def test_a_backlog_began_before_it_was_read() -> None:
    """The origin is where the user's first frame was spoken, by the smallest delay."""
    layout = Layout()
    for number in range(50):
        layout.add_frame("user", (1000 + number // 10) * MS, 20 * MS)
    hears(layout, 1000, 4000)
    assert layout.origin_ns == pytest.approx(0, abs=15 * MS)
    hears(layout, 4000, 30000, step=10)
    assert layout.span_ms("user", 3000 * MS, 4000 * MS) == pytest.approx((3000, 4000), abs=15)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("piece", [10**6, 333, 7])
def test_an_edge_is_where_it_is_heard(layout: Layout, channels: int, piece: int) -> None:
    """The sound of the speaker near a place takes precedence over the clock."""
    user, bot = sound((1080, 2060), ms=10000), sound((3914, 5914), ms=10000)
    mixed = [user, bot] if channels == 2 else [user + bot]
    hands_out(layout, *mixed, piece=piece)
    for _ in range(2):  # the second time it is remembered
        heard = layout.span_ms("user", 6000 * MS, 7000 * MS)
        assert heard == pytest.approx((1080, 2060), abs=10)
        assert layout.span_ms("bot", 9000 * MS, 11000 * MS) == pytest.approx((3914, 5914), abs=10)


def test_other_speech_is_left_alone(layout: Layout) -> None:
    """Sound out of reach, or of the other speaker, moves nothing."""
    hands_out(layout, sound((5000, 6000), ms=10000), sound((1080, 2080), ms=10000))
    assert layout.span_ms("user", 6000 * MS, 7000 * MS) == (1000, 2000)


def test_what_was_not_handed_out_yet_goes_by_the_clock(layout: Layout) -> None:
    """Near and behind the end of what is known, the answer may still change."""
    hands_out(layout, sound((1080, 1500), ms=1500), sound(ms=1500))
    assert layout.span_ms("user", 6000 * MS, 8000 * MS) == (1080, 3000)
    hands_out(layout, sound((0, 560), ms=4000), sound(ms=4000))
    assert layout.span_ms("user", 6000 * MS, 7000 * MS) == (1080, 2060)


def test_windows_of_any_rate_keep_their_places(layout: Layout) -> None:
    """At 11025 Hz a window isn't exactly 10 ms, which adds up to nothing."""
    samples = np.zeros(11025 * 10, np.int16)
    samples[11025 * 9 :] = 8000
    hands_out(layout, samples, samples, rate=11025)
    span = layout.span_ms("user", 14050 * MS, 14900 * MS)
    assert span is not None
    assert span[0] == pytest.approx(9000, abs=10)


def test_many_turns_are_quick_to_place(layout: Layout) -> None:
    """A place that was found is not searched for again."""
    hands_out(layout, sound((1080, 2060), ms=10000), sound(ms=10000))
    first = layout.span_ms("user", 6000 * MS, 7000 * MS)
    layout._levels[0][:] = layout._levels[0][::-1]  # noqa: SLF001  # nobody looks any more
    assert layout.span_ms("user", 6000 * MS, 7000 * MS) == first


def test_a_bot_may_be_out_of_step_with_what_waited() -> None:
    """Where the recorder laid it by the clock alone, its sound is found there."""
    layout = Layout()
    for _ in range(100):
        layout.add_frame("user", 2000 * MS, 20 * MS)
    hears(layout, 2000, 10000)
    hands_out(layout, sound((4000, 5000), ms=10000), sound((4030, 4980), ms=10000))
    assert layout.span_ms("user", 4000 * MS, 5000 * MS) == pytest.approx((4000, 5000), abs=10)
    assert layout.span_ms("bot", 6000 * MS, 7000 * MS) == pytest.approx((4030, 4980), abs=10)
    assert layout.span_ms("bot", 8000 * MS, 9000 * MS) == pytest.approx((8000, 9000), abs=20)


@pytest.mark.parametrize("fills", [True, False])
def test_stalls_add_up(fills: bool) -> None:  # noqa: FBT001
    """After ten stalls of a second, speech is ten seconds later, if they were filled."""
    layout = Layout()
    for stall in range(10):
        hears(layout, 2000 * stall, 2000 * stall + 1000)
        for _ in range(50):
            layout.add_frame("user", (2000 * stall + 2000) * MS, 20 * MS)
    hears(layout, 20000, 25000)
    shift = 10000 if fills else 0
    user = sound((shift + 22000, shift + 23000), ms=shift + 25000)
    hands_out(layout, user, sound(ms=shift + 25000))
    span = layout.span_ms("user", 22000 * MS, 23000 * MS)
    assert span == pytest.approx((shift + 22000, shift + 23000), abs=20)


def test_nothing_is_taken_out_of_speech() -> None:
    """Silence that a recorder inserts into speech doesn't cut off the part before it."""
    layout = Layout()
    hears(layout, 0, 3000)
    for _ in range(13):
        layout.add_frame("user", 3260 * MS, 20 * MS)
    hears(layout, 3260, 8000)
    sounds = sound((4110, 4180), (4340, 4870), ms=8240)
    hands_out(layout, sounds, sound(ms=8240))
    span = layout.span_ms("user", 4000 * MS, 4640 * MS)
    assert span == pytest.approx((4110, 4870), abs=10)
