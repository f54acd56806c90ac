"""Where an utterance can be heard: at 1000 Hz, so that a sample is a millisecond."""

from __future__ import annotations

import numpy as np
import pytest

from pipecat_roark.moments import Edge
from pipecat_roark.recording.audibility import AUDIBLE
from pipecat_roark.recording.utterance import Background, Utterance

MS = 1_000_000


def frames(*levels: int, begin: int = 0, ms: int = 20) -> list[tuple[bytes, int]]:
    """Return frames in real time, each of one amplitude; every other sample is negative."""
    signs = np.resize([1, -1], ms)
    return [
        ((level * signs).astype("<i2").tobytes(), (begin + ms * (number + 1)) * MS)
        for number, level in enumerate(levels)
    ]


def edge(ms: int, index: int | None = None) -> Edge:
    """Return an edge at a time; unless it is given, the sample has the same number."""
    return Edge(ms * MS, ms if index is None else index)


def test_silence_around_it_is_no_part_of_it() -> None:
    """It lasts from its first loud sample to its last, and comes with the frame's arrival."""
    utterance = Utterance(1000)
    assert not utterance.begun
    first = utterance.add(frames(0, 0, 500, 500, 0, 500, 0), 1000, 0)
    assert utterance.begun
    assert first == (60 * MS, edge(40))
    assert utterance.end() == edge(120)


@pytest.mark.parametrize(
    ("level", "heard"), [(AUDIBLE - 1, False), (AUDIBLE, True), (-(2**15), True)]
)
def test_what_counts_as_heard(level: int, heard: bool) -> None:  # noqa: FBT001
    """A sound is heard from a certain amplitude on, be it positive or negative."""
    utterance = Utterance(1000)
    assert (utterance.add(frames(level), 1000, 0) is not None) is heard
    assert (utterance.end() is not None) is heard


def test_it_may_come_in_any_number_of_parts() -> None:
    """The beginning is returned once, and the end is the latest, whatever silence follows."""
    utterance, told = Utterance(1000), []
    for number in range(30):
        level = 500 if 5 <= number < 12 else 0
        told.append(utterance.add(frames(level, begin=20 * number), 1000, 20 * number))
    assert [sound for sound in told if sound] == [(120 * MS, edge(100))]
    assert utterance.end() == utterance.end() == edge(240)


def test_it_goes_on_after_a_pause() -> None:
    """Sound after silence moves the end."""
    utterance = Utterance(1000)
    utterance.add(frames(500, 0), 1000, 0)
    assert utterance.end() == edge(20)
    utterance.add(frames(0, 500, begin=40), 1000, 40)
    assert utterance.end() == edge(80)


def test_places_are_at_the_rate_of_the_track() -> None:
    """Indexes count samples of the track, whatever the rate of the audio."""
    utterance = Utterance(3000)
    first = utterance.add(frames(0, 500, 0), 1000, 700)
    assert first == (40 * MS, edge(20, 760))
    assert utterance.end() == edge(40, 820)


def test_without_a_place_the_time_remains() -> None:
    """Where the index isn't known, edges have a time only."""
    utterance = Utterance(1000)
    first = utterance.add(frames(0, 500), 1000, None)
    assert first == (40 * MS, Edge(20 * MS))
    assert utterance.end() == Edge(40 * MS)


def test_an_utterance_may_never_be_heard() -> None:
    """Without sound it has no edges."""
    utterance = Utterance(1000)
    assert utterance.end() is None
    assert utterance.add(frames(*[0] * 50), 1000, 0) is None
    assert utterance.end() is None


def noisy(*levels: int, begin: int = 0, noise: int = 300) -> list[tuple[bytes, int]]:
    """Return frames like `frames`, with noise in all of them."""
    random = np.random.default_rng(begin)
    return [
        (
            (
                np.frombuffer(pcm, "<i2") + random.integers(-noise, noise, len(pcm) // 2, np.int16)
            ).tobytes(),
            at,
        )
        for pcm, at in frames(*levels, begin=begin)
    ]


@pytest.mark.parametrize("after", [20, 120, 200])
@pytest.mark.parametrize("lasts", [20, 3000])
@pytest.mark.parametrize("frames_each", [1, 25])
def test_background_sound_is_no_part_of_it(after: int, lasts: int, frames_each: int) -> None:
    """It is heard where it rises above the sound of the line, however late its end is announced."""
    background = Background()
    for begin in range(0, 4000, 500):
        background.add(noisy(*[0] * 25, begin=begin), 1000)
    utterance = Utterance(1000, background.noise)
    spoken = noisy(*[0] * 10, *[4000] * lasts, *[0] * after, begin=4000)
    firsts = [
        utterance.add(spoken[number : number + frames_each], 1000, 20 * number)
        for number in range(0, len(spoken), frames_each)
    ]
    assert [sound.edge for sound in firsts if sound] == [edge(4200, 200)]
    assert utterance.end() == edge(4200 + 20 * lasts, 200 + 20 * lasts)


def test_noise_before_any_speech_is_taken_for_its_beginning_alone() -> None:
    """A greeting in noise still has its true end, though the noise was never heard alone."""
    utterance = Utterance(1000)
    utterance.add(noisy(*[0] * 5, *[4000] * 50, *[0] * 100), 1000, 0)
    assert utterance.end() == edge(1100)


def test_a_background_forgets() -> None:
    """The noise is that of the latest seconds."""
    background = Background()
    assert background.noise is None
    background.add(frames(*[4000] * 500), 1000)
    assert background.noise == 4000
    background.add(frames(*[300] * 125), 1000)
    assert background.noise == 300


def test_a_soft_end_counts_once_the_line_turns_out_to_be_silent() -> None:
    """What might have been noise is a part of it after all, to a window of loudness."""
    utterance = Utterance(1000)
    for number, level in enumerate((1000, 200, 0)):
        utterance.add(frames(level, begin=20 * number), 1000, 20 * number)
    assert utterance.end() == edge(40)
