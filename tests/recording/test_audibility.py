"""The edges of speech in audio, near where a detector places them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pipecat_roark.recording.audibility import (
    KEPT_SECS,
    RecentAudio,
    audible,
    levels,
    noise_of,
    offset,
    onset,
)
from support.calls import tone

RATE = 16000


def clip(*parts: tuple[float, int]) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Return stretches of a tone, each so many seconds long and so loud."""
    return np.concatenate([tone(secs, RATE, 440, amplitude) for secs, amplitude in parts])


def at(secs: float) -> int:
    """Return the place of a moment."""
    return round(secs * RATE)


def test_only_loud_samples_are_audible() -> None:
    """Digital noise of a few bits is silence."""
    assert audible(np.array([0, 99, -100, 5, 101], np.int16)).tolist() == [2, 4]


@pytest.mark.parametrize("announced", [0.9, 1.0, 1.1, 1.25, 1.5], ids="at {}".format)
def test_an_onset_is_found_where_the_sound_begins(announced: float) -> None:
    """However far off the detector is, the edge is where the sound is."""
    speech = clip((1.0, 0), (1.0, 8000))
    assert onset(speech, RATE, at(announced)) == pytest.approx(at(1.0), abs=2)


@pytest.mark.parametrize("announced", [0.6, 0.9, 1.0, 1.08, 1.4], ids="at {}".format)
def test_an_offset_is_found_where_the_sound_ends(announced: float) -> None:
    """The same backwards."""
    speech = clip((1.0, 8000), (1.0, 0))
    assert offset(speech, RATE, at(announced)) == pytest.approx(at(1.0), abs=2)


@pytest.mark.parametrize("begins", [1.0, 1.003, 1.0095])
def test_an_edge_is_found_to_the_sample(begins: float) -> None:
    """Wherever in a window of loudness it lies."""
    speech = clip((begins, 0), (1.0, 8000), (1.0, 0))
    assert onset(speech, RATE, at(1.1)) == pytest.approx(at(begins), abs=2)
    assert offset(speech, RATE, at(2.1)) == pytest.approx(at(begins + 1.0), abs=2)


def test_a_short_silence_belongs_to_a_word() -> None:
    """The closure before a plosive doesn't begin a new utterance."""
    speech = clip((1.0, 0), (0.1, 8000), (0.1, 0), (1.0, 8000))
    assert onset(speech, RATE, at(1.3)) == pytest.approx(at(1.0), abs=2)


def test_a_longer_silence_parts_two_utterances() -> None:
    """What was said before a pause is another utterance."""
    speech = clip((0.5, 0), (0.2, 8000), (0.3, 0), (1.0, 8000))
    assert onset(speech, RATE, at(1.1)) == pytest.approx(at(1.0), abs=2)


def test_speech_is_told_from_noise() -> None:
    """Where the line is never silent, the edge is where the voice rises above the noise."""
    speech = clip((1.0, 400), (1.0, 8000))
    assert onset(speech, RATE, at(1.2)) == pytest.approx(at(1.0), abs=at(0.01))


def test_nothing_is_made_up_where_nothing_stands_out() -> None:
    """Without a sound in reach, or without a sound at all, the detector is believed."""
    assert onset(clip((2.0, 0)), RATE, at(1.0)) == at(1.0)
    assert onset(clip((2.0, 0), (0.1, 8000)), RATE, at(1.0)) == at(1.0)
    assert onset(np.empty(0, np.int16), RATE, 0) == 0


def test_an_onset_is_not_looked_for_too_far_back() -> None:
    """A voice that never pauses has no onset in reach, so the search stops."""
    assert at(0.35) <= onset(clip((2.0, 8000)), RATE, at(1.0)) < at(0.5)


def heard(speech: np.ndarray[tuple[int], np.dtype[np.int16]], rate: int) -> RecentAudio:
    """Return a memory of a clip, frame by frame, on a track of some rate."""
    recent, size = RecentAudio(rate), at(0.02)
    for start in range(0, len(speech), size):
        frame = speech[start : start + size].tobytes()
        recent.add([(frame, 0)], RATE, round(start * rate / RATE))
    return recent


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_edges_count_in_the_track_s_samples(rate: int) -> None:
    """They are found at the rate of the microphone and returned at that of the recording."""
    recent = heard(clip((3.0, 0), (1.0, 8000), (0.5, 0)), rate)
    assert recent.onset(round(3.2 * rate)) == pytest.approx(3.0 * rate, abs=4)
    assert recent.offset(round(4.1 * rate)) == pytest.approx(4.0 * rate, abs=4)


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_an_onset_stays_behind_a_pause(rate: int) -> None:
    """What was heard before a pause without frames isn't this utterance."""
    recent = heard(clip((1.0, 8000)), rate)
    assert recent.onset(round(0.7 * rate), after=round(0.5 * rate)) == round(0.5 * rate)


def test_what_is_forgotten_is_left_alone() -> None:
    """Places outside of the memory come back as they were; the memory is bounded."""
    assert RecentAudio(RATE).onset(7) == 7
    recent = heard(clip((4.0, 8000)), RATE)
    assert recent.onset(at(4.0 - KEPT_SECS - 0.5)) == at(4.0 - KEPT_SECS - 0.5)
    assert recent.onset(at(9.0)) == at(9.0)


def test_a_new_rate_of_the_microphone_begins_a_new_memory() -> None:
    """Samples of two rates are never mixed."""
    recent = heard(clip((1.0, 8000)), RATE)
    recent.add([(tone(0.1, 8000).tobytes(), 0)], 8000, at(1.0))
    assert recent.onset(at(0.5)) == at(0.5)
    assert recent.offset(at(1.1)) == pytest.approx(at(1.1), abs=2)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], []),
        ([5, -3], [5]),
        ([1] * 10, [1]),
        ([0] * 9 + [-(2**15)] + [1] * 10 + [2**15 - 1], [2**15, 1, 2**15 - 1]),
    ],
)
def test_the_loudness_is_that_of_the_loudest_sample(
    samples: list[int], expected: list[int]
) -> None:
    """Positive or negative, in each window and in what is left over."""
    assert levels(np.array(samples, np.int16), 1000).tolist() == expected


@pytest.mark.parametrize("count", [1, 2, 20, 21, 41, 250])
def test_noise_is_a_percentile_of_the_loudness(count: int) -> None:
    """Interpolated as numpy does it."""
    loudness = np.random.default_rng(count).integers(0, 9000, count).astype(np.uint16)
    assert noise_of(loudness) == pytest.approx(np.percentile(loudness, 5))


@pytest.mark.process
def test_finding_speech_imports_nothing() -> None:
    """A module that is imported in the middle of a call holds up its event loop."""
    script = """
import sys
import subprocess
import sys

import numpy as np
from pipecat_roark.recording import audibility
known = {*sys.modules}
samples = np.tile(np.arange(-4000, 4000, dtype=np.int16), 8)
audibility.onset(samples, 16000, 32000), audibility.offset(samples, 16000, 32000)
print({*sys.modules} - known)
"""
    command = [sys.executable, "-c", script]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    assert shown.stdout == "set()\n"
