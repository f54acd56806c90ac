"""Where samples are laid: at 1000 Hz, so that a sample is a millisecond."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipecat_roark.moments import SPEAKERS
from pipecat_roark.recording.timeline import Timeline
from pipecat_roark.recording.track import HOLD_SECS, SETTLE_SECS, Track

if TYPE_CHECKING:
    from pipecat_roark.moments import Speaker

RATE = 1000
MS = 1_000_000
HOLD, SETTLE = round(HOLD_SECS * RATE), round(SETTLE_SECS * RATE)


def audio(value: int, ms: int, rate: int = RATE) -> bytes:
    """Return samples that all have one value."""
    return np.full(ms * rate // 1000, value, "<i2").tobytes()


def runs(pcm: bytes) -> list[tuple[int, int]]:
    """Return the values of samples and how often each stands in a row."""
    samples = np.frombuffer(pcm, "<i2").tolist()
    return [(value, len([*alike])) for value, alike in groupby(samples)]


def add(track: Track, value: int, *arrivals: int, ms: int = 20, begins: bool = False) -> None:
    """Add frames of a length that arrive at these times, one by one."""
    for at in arrivals:
        track.add([(audio(value, ms), at * MS)], RATE, begins=begins)
        begins = False


def rest(track: Track) -> list[tuple[int, int]]:
    """Return all that a track has, that was not removed."""
    track.decide_all()
    return runs(track.pop_front(track.laid - track.popped))


def paced(begin: int, count: int, ms: int = 20) -> range:
    """Return when frames arrive that are sent in real time."""
    return range(begin + ms, begin + ms * count + 1, ms)


@pytest.fixture
def track() -> Track:
    """Return a track that begins with the clock."""
    return Track(RATE, 0)


@pytest.fixture
def timeline() -> Timeline:
    """Return a timeline that begins with the clock."""
    return Timeline(RATE, 0)


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        pytest.param([*paced(0, 50)], [(1, 1000)], id="real time"),
        pytest.param([*paced(300, 50)], [(0, 300), (1, 1000)], id="a late beginning"),
        pytest.param(
            [*paced(0, 10), *paced(500, 40)], [(1, 200), (0, 300), (1, 800)], id="a pause"
        ),
        pytest.param(
            [*paced(0, 10), *paced(240, 40)], [(1, 200), (0, 40), (1, 800)], id="a short pause"
        ),
        pytest.param(
            [*paced(0, 10), *paced(300, 5), *paced(450, 40)],
            [(1, 200), (0, 100), (1, 100), (0, 50), (1, 800)],
            id="two pauses in short order",
        ),
        pytest.param(
            [*paced(0, 10), *paced(300, 3), *paced(410, 3), *paced(520, 40)],
            [(1, 200), (0, 100), (1, 60), (0, 50), (1, 60), (0, 50), (1, 800)],
            id="three pauses in short order",
        ),
        pytest.param([20, 40, *range(55, 1000, 20)], [(1, 1000)], id="early frames"),
        pytest.param([*paced(0, 10), 234, *paced(220, 39)], [(1, 1000)], id="one late frame"),
        pytest.param(
            [*paced(0, 10), *([1200] * 50), *paced(1200, 40)], [(1, 2000)], id="a stall, a burst"
        ),
        pytest.param(
            [*paced(10, 10), *([1210] * 50), *paced(1210, 40)],
            [(1, 2000)],
            id="a stall of one that began a little late",
        ),
        pytest.param(
            [*paced(0, 10), *range(610, 1010, 10), *paced(1000, 30)],
            [(1, 1600)],
            id="a stall, and a slow way back",
        ),
        pytest.param(
            [*paced(0, 10), *([2200] * 25), *paced(2200, 30)],
            [(1, 200), (0, 1500), (1, 1100)],
            id="a pause that ends in a stall",
        ),
        pytest.param([*range(1, 101)], [(1, 2000)], id="all at once"),
        pytest.param([*range(21, 2101, 21)], [(1, 2000)], id="a slow sender"),
        pytest.param(
            [*range(21, 1051, 21), *paced(1500, 10)],
            [(1, 1000), (0, 500), (1, 200)],
            id="a slow sender, a pause",
        ),
        pytest.param(
            [*range(1, 51), *paced(3000, 10), 3250, *paced(3230, 40)],
            [(1, 1000), (0, 2000), (1, 1020)],
            id="a late frame, after a lead and a pause",
        ),
        pytest.param(
            [*range(1, 51), *paced(1200, 50)], [(1, 1000), (0, 200), (1, 1000)], id="ahead, a pause"
        ),
    ],
)
def test_silence_stands_where_there_was_no_audio(
    track: Track, arrivals: list[int], expected: list[tuple[int, int]]
) -> None:
    """What remains of a delay is a gap, and nothing else is; each sample is there once."""
    add(track, 1, *arrivals)
    assert rest(track) == expected


@pytest.mark.parametrize("size", [1, 2, 7, 25, 1000])
def test_frames_may_come_many_at_a_time(track: Track, size: int) -> None:
    """How many frames are added together changes nothing."""
    arrivals = [*paced(0, 40), *([1800] * 50), *paced(1800, 40), *paced(3000, 40)]
    frames = [(audio(1, 20), at * MS) for at in arrivals]
    for start in range(0, len(frames), size):
        track.add(frames[start : start + size], RATE)
    assert rest(track) == [(1, 2600), (0, 400), (1, 800)]


def test_an_utterance_that_begins_is_no_burst(track: Track) -> None:
    """Where speech is known to begin, what was before it is a gap, however fast it comes."""
    add(track, 1, *paced(0, 10))
    add(track, 2, *range(1000, 1025), begins=True)
    assert rest(track) == [(1, 200), (0, 780), (2, 500)]


def test_only_the_first_frame_begins(track: Track) -> None:
    """Of frames that come together the first begins an utterance, and a later one may be late."""
    add(track, 1, *paced(0, 10))
    frames = [1020, 1040, *[1500] * 23, 1520]
    track.add([(audio(2, 20), at * MS) for at in frames], RATE, begins=True)
    assert rest(track) == [(1, 200), (0, 800), (2, 520)]


def test_an_utterance_may_be_longer_than_the_pause_before_it(track: Track) -> None:
    """Even if all of it would fit into the pause, it begins when it comes."""
    add(track, 1, *paced(0, 10))
    track.add([(audio(2, 20), 1000 * MS)] * 60, RATE, begins=True)
    assert rest(track) == [(1, 200), (0, 780), (2, 1200)]


def test_audio_that_runs_ahead_is_decided(track: Track) -> None:
    """After a pause that only eats up a lead, the track is decided as before."""
    add(track, 1, *range(1, 101), *paced(500, 50))
    assert track.decided(1500 * MS) == 3000


def test_frames_that_nothing_paces_are_never_late() -> None:
    """What comes in bursts as it is made begins when it comes."""
    track = Track(RATE, 0, paced=False)
    track.add([(audio(1, 20), at * MS) for at in [500] * 10 + [2000] * 100], RATE)
    add(track, 1, *[3000] * 20)
    assert rest(track) == [(0, 480), (1, 200), (0, 1300), (1, 2400)]


def test_a_pause_is_decided_by_the_frames_that_follow(track: Track) -> None:
    """After a pause nothing is decided until a burst could have caught up."""
    add(track, 1, *paced(0, 10))
    add(track, 1, *paced(1000, 25))
    assert track.decided(1500 * MS) == 200
    assert track.decided((1020 + SETTLE) * MS) == 1500
    assert rest(track) == [(1, 200), (0, 800), (1, 500)]


def test_a_silent_track_is_decided_behind_the_clock(track: Track) -> None:
    """A track without frames is silent after a while; audio that comes later is laid after that."""
    assert track.decided(HOLD * MS) == 0
    assert track.decided((HOLD + 500) * MS) == 500
    assert runs(track.pop_front(500)) == [(0, 500)]
    add(track, 1, *[HOLD + 600] * 130)
    assert rest(track) == [(1, 2600)]


@pytest.mark.parametrize("decided", [True, False])
def test_places_know_the_silence_before_them(track: Track, decided: bool) -> None:  # noqa: FBT001
    """A sample after a gap begins after it, and speech that ends before it ends before it."""
    add(track, 1, *paced(0, 10))
    add(track, 1, *paced(1000, 10))
    add(track, 1, *paced(2000, 10))
    if decided:
        track.decide_all()
    assert [track.position(index) for index in (0, 199, 200, 399, 400, 599)] == [
        *(0, 199, 1000, 1199, 2000, 2199)
    ]
    assert [track.position(index, end=True) for index in (200, 201, 400, 600)] == [
        *(200, 1001, 1200, 2200)
    ]
    assert track.position(-50) == 0


def test_places_stay_when_a_silent_track_is_removed(track: Track) -> None:
    """Silence that is removed in pieces is one gap."""
    add(track, 1, *paced(0, 10))
    for _ in range(3):
        track.pop_front(300)
    add(track, 1, *paced(1000, 10))
    assert [track.position(index) for index in (199, 200)] == [199, 1000]
    assert track.position(200, end=True) == 200


@pytest.mark.parametrize(
    ("back", "onset", "offset"),
    [
        pytest.param(300, 200, 200, id="between"),
        pytest.param(200, 300, 300, id="exactly"),
        pytest.param(220, 300, 280, id="a frame before"),
        pytest.param(180, 320, 300, id="a frame behind"),
        pytest.param(160, 340, 340, id="further behind"),
    ],
)
@pytest.mark.parametrize("decided", [True, False])
def test_edges_close_to_a_pause_are_on_their_side_of_it(
    track: Track,
    back: int,
    onset: int,
    offset: int,
    decided: bool,  # noqa: FBT001
) -> None:
    """A detector that is a frame early or late puts speech on the right side of a pause."""
    add(track, 1, *paced(0, 15))
    add(track, 1, *paced(1000, 10))
    if decided:
        track.decide_all()
    assert track.received == 500
    assert (track.onset(back), track.offset(back)) == (onset, offset)


def test_what_waits_can_be_looked_at(track: Track) -> None:
    """A track shows what is laid and not removed, and whether any audio waits."""
    assert not track.waiting
    add(track, 1, *paced(0, 10))
    assert track.waiting
    assert runs(track.peek()) == [(1, 200)]
    assert runs(track.pop_front(150)) == [(1, 150)]
    assert runs(track.peek()) == [(1, 50)]
    track.pop_front(50)
    assert not track.waiting
    add(track, 1, 5000)
    assert track.waiting


def test_the_tail_of_the_resampler_is_kept(track: Track) -> None:
    """What the filter holds back is laid at the end, so that the length is right."""
    track.add([(audio(5000, 1000, 4000), 1000 * MS)], 4000)
    assert track.laid < 1000
    most = track.pop_front(track.laid)
    assert track.waiting
    track.decide_all()
    assert track.laid == track.received == 1000
    samples = np.frombuffer(most + track.pop_front(1000 - track.popped), "<i2")
    assert min(samples[10:-10]) > 4900


def test_the_tail_of_the_resampler_comes_before_silence(track: Track) -> None:
    """What is removed beyond what is laid is the filter's tail first, and silence only then."""
    track.add([(audio(5000, 1000, 4000), 1000 * MS)], 4000)
    assert track.laid < 990
    assert min(np.frombuffer(track.pop_front(990), "<i2")[10:]) > 4900
    assert runs(track.pop_front(500))[-1] == (0, 490)


def test_a_change_of_rate_is_a_seam_without_a_gap(track: Track) -> None:
    """Audio that changes its rate stays whole, and in its place."""
    for begin, rate in ((0, 4000), (1000, 1000), (2000, 500)):
        track.add([(audio(5000, 1000, rate), (begin + 1000) * MS)], rate)
    track.decide_all()
    samples = np.frombuffer(track.pop_front(track.laid), "<i2")
    assert len(samples) == 3000
    assert np.array_equal(samples[1000:2000], np.full(1000, 5000))
    for begin in (0, 2000):  # at its ends the filter swings in and out
        assert np.abs(samples[begin + 50 : begin + 950].astype(int) - 5000).max() < 50


def test_stretches_of_an_odd_length_add_up(track: Track) -> None:
    """Each stretch is rounded to whole samples, and places follow what was laid."""
    for number in range(200):
        track.add([(audio(5000, 31, 7000)[:-2], (number + 1) * 1000 * MS)], 7000)
    track.decide_all()
    assert track.position(track.received - 1) == track.laid - 1
    assert track.laid == pytest.approx(200000, abs=1)


def test_a_call_begins_with_its_first_sample() -> None:
    """Positions count from the origin, wherever the clock is then."""
    timeline = Timeline(RATE, 777 * MS)
    timeline.add("user", [(audio(1, 20), 797 * MS)], RATE)
    timeline.add("bot", [(audio(2, 40), 1817 * MS)], RATE)
    assert (timeline.offset_ms("user", 0), timeline.offset_ms("bot", 0)) == (0, 1000)


def test_a_chunk_is_cut_where_both_tracks_are_decided(timeline: Timeline) -> None:
    """Neither track is padded while it may still get audio, and a seam changes nothing."""
    for at in paced(0, 100):
        timeline.add("user", [(audio(1, 20), at * MS)], RATE)
    assert timeline.pop_decided(500, 2000 * MS) is None
    timeline.add("bot", [(audio(2, 1900), 2000 * MS)], RATE)
    timeline.add("bot", [(audio(2, 100), 2100 * MS)], RATE)
    assert timeline.pop_decided(1500, 2100 * MS) is None
    chunk = timeline.pop_decided(1500, 2600 * MS)
    assert chunk is not None
    assert [runs(pcm) for pcm in chunk] == [[(1, 1500)], [(0, 100), (2, 1400)]]
    assert [runs(pcm) for pcm in timeline.peek()] == [[(1, 500), (0, 100)], [(2, 600)]]
    assert [runs(pcm) for pcm in timeline.pop_rest()] == [[(1, 500), (0, 100)], [(2, 600)]]
    assert not timeline.waiting


def test_a_preview_shows_what_is_not_decided_yet(timeline: Timeline) -> None:
    """It holds the audio that waits for a decision, at any rate, and decides nothing."""
    timeline.add("user", [(audio(1, 20), 20 * MS)], RATE)
    timeline.add("bot", [(audio(2, 200), 700 * MS)], RATE // 2)
    assert [len(pcm) // 2 for pcm in timeline.peek()] == [20, 20]
    laid: dict[Speaker, int] = dict.fromkeys(SPEAKERS, 700 * MS)
    settled = timeline.settled("user", laid)
    user, bot = (timeline.preview(side, 0) for side in SPEAKERS)
    assert (len(user) // 2, len(bot) // 2) == (20, 700)
    assert settled == 0
    assert runs(bot)[0] == (0, 300)
    assert [len(pcm) // 2 for pcm in timeline.peek()] == [20, 20]
    assert [len(pcm) // 2 for pcm in timeline.pop_rest()] == [700, 700]


def test_nothing_is_settled_while_the_opening_of_the_user_waits(timeline: Timeline) -> None:
    """Frames of it that are not laid yet, or have not come, may move what is laid of the bot."""
    timeline.add("bot", [(audio(2, 20), 20 * MS)], RATE)
    now, opens_until = 3000 * MS, (20 + HOLD) * MS
    assert timeline.settled("bot", {"user": now, "bot": now}) == 0
    timeline.add("user", [(audio(1, 20), 20 * MS)], RATE)
    assert timeline.settled("bot", {"user": opens_until - 1, "bot": now}) == 0
    assert timeline.settled("bot", {"user": opens_until, "bot": now}) == 20


def test_lines_that_sound_at_once_are_mixed(timeline: Timeline) -> None:
    """Two destinations of the assistant are one track, in which neither waits for the other."""
    for at in paced(0, 50):
        timeline.add("bot", [(audio(20000, 20), at * MS)], RATE, line="es")
    first = timeline.add("bot", [(audio(1, 20), 520 * MS)], RATE, line="fr")
    timeline.add("bot", [(audio(20000, 400), 920 * MS)], RATE, line="fr")
    assert first is None
    assert runs(timeline.peek()[1])[0] == (20000, 1000)
    assert runs(timeline.pop_rest()[1]) == [
        (20000, 500),
        (20001, 20),
        (2**15 - 1, 400),
        (20000, 80),
    ]


def test_a_line_that_opens_late_is_in_step(timeline: Timeline) -> None:
    """A second line begins where the others were removed, and only the first one knows places."""
    assert timeline.add("user", [(audio(1, 1000), 1000 * MS)], RATE, line="a") == 0
    timeline.pop_decided(1000, (1000 + HOLD) * MS)
    assert timeline.add("user", [(audio(2, 500), 2500 * MS)], RATE, line="b") is None
    assert timeline.add("user", [(audio(1, 100), 2600 * MS)], RATE, line="a") == 1000
    assert runs(timeline.pop_rest()[0]) == [(0, 1000), (2, 500), (1, 100)]
    assert timeline.track("user").received == 1100
