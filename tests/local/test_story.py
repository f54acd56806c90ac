"""What is read of a stored call: turns, tool calls, response times, and what a report adds."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_roark.local import StoredCall, StoredStage, StoredWord
from pipecat_roark.local.peaks import join, measure
from pipecat_roark.local.story import tell
from pipecat_roark.local.view import summary
from pipecat_roark.local.waveform import Waveform, Waveforms
from support import pages

if TYPE_CHECKING:
    from pathlib import Path

    from pipecat_roark.local.story import StoredTurn
    from support.pages import Said


def call(folder: Path, talk: list[Said], **fields: Any) -> StoredCall:
    """Return a stored call with these turns."""
    ended = pages.ended("call-1", talk or pages.TALK[:1], **fields)
    if not talk:
        del ended["transcript"]
    return StoredCall("call-1", folder, {"call-ended": ended})


def turns(folder: Path, *talk: Said) -> tuple[StoredTurn, ...]:
    """Return the turns that are read of a call."""
    return tell(call(folder, list(talk))).turns


@pytest.mark.parametrize(
    ("bot", "user", "interrupted"),
    [
        ((0, 5), (4, 6), True),  # the bot falls silent while the user speaks
        ((0, 5), (4, 4.5), True),  # or shortly after
        ((0, 9), (4, 4.5), False),  # the user says yes, and the bot goes on
        ((0, 3), (4, 5), False),
        ((0, 4), (4, 5), False),
    ],
)
def test_turn_that_yields_is_cut_off(
    tmp_path: Path, bot: tuple[float, float], user: tuple[float, float], *, interrupted: bool
) -> None:
    """A turn of the assistant is cut off if the user speaks and it falls silent."""
    first, second = turns(tmp_path, ("assistant", *bot, "a"), ("user", *user, "b"))
    assert first.interrupted is interrupted
    assert not second.interrupted


def test_only_answers_have_response_times(tmp_path: Path) -> None:
    """It is the time from the user's end to the answer, negative if they overlap."""
    talk: list[Said] = [
        ("assistant", 0, 1, "a"),
        ("assistant", 2, 3, "b"),
        ("user", 4, 5, "c"),
        ("assistant", 5.5, 6, "d"),
        ("user", 7, 9, "e"),
        ("assistant", 8.9, 10, "f"),
    ]
    story = tell(call(tmp_path, talk))
    assert [turn.response_ms for turn in story.turns] == [None, None, None, 500, None, -100]
    assert story.replies == (200, 500)
    assert tell(call(tmp_path, talk[:2])).replies is None
    assert tell(call(tmp_path, [])).turns == ()


def test_results_belong_to_their_calls(tmp_path: Path) -> None:
    """Several results are one tool call, which lasts until the last; none is no duration."""
    one, result = pages.tool_records([("a", 1, 2, 1.0, 1.5)])
    late = {**result, "timestamp": pages.at(3), "content": "3"}
    other = {**one, "toolCallId": "other", "timestamp": pages.at(2)}
    del other["audioOffsetMs"]
    story = tell(call(tmp_path, [], toolCalls=[one, result, other, late]))
    assert [(tool.name, tool.results, tool.duration_ms) for tool in story.tools] == [
        ("a", ("2", "3"), 2000),
        ("a", (), None),
    ]
    assert [tool.start_ms for tool in story.tools] == [1000, None]


@pytest.mark.parametrize(
    "report", ["", "[]", "{}", '{"turns": 5}', '{"turns": [5]}', '{"turns": [{}]}', "[" * 100_000]
)
def test_report_that_is_none_changes_nothing(tmp_path: Path, report: str) -> None:
    """A damaged report costs what it would add."""
    before = turns(tmp_path, *pages.TALK)
    (tmp_path / "report.json").write_text(report)
    assert turns(tmp_path, *pages.TALK) == before


def test_report_tells_what_nobody_heard(tmp_path: Path) -> None:
    """It adds unheard words, and takes precedence over what the times suggest."""
    known = {"role": "assistant", "content": pages.TALK[4][3], "start_ms": 14_000}
    for turn, expected in [
        ({**known, "interrupted": False, "unheard": None}, (False, "")),
        ({**known, "interrupted": True, "unheard": "More."}, (True, "More.")),
        ({**known, "start_ms": 1, "unheard": "More."}, (True, "")),
    ]:
        (tmp_path / "report.json").write_text(json.dumps({"turns": [turn]}))
        read = turns(tmp_path, *pages.TALK)[4]
        assert (read.interrupted, read.unheard) == expected


WORDS: list[list[Any]] = [["London", 14000, 14400, 50], ["was", 14400, 14600, 50]]
"""The first words of a turn."""


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (WORDS, 2),
        (WORDS[:1], 0),
        ([*WORDS, ["x", 1, 2, 3]], 0),
        ([["London", 14000, 14400], WORDS[1]], 0),
        ([["London", "14000", 14400, 50], WORDS[1]], 0),
        ([["London", 14000, 14400, None], WORDS[1]], 0),
        ([["London", 14000, True, 50], WORDS[1]], 0),
        ([[7, 14000, 14400, 50], WORDS[1]], 0),
        *((other, 0) for other in (None, 5, "London was", {"a": 1}, [5], [])),
    ],
)
def test_report_tells_where_words_are(tmp_path: Path, words: Any, kept: int) -> None:
    """Words are read if they are those of the turn, and have numbers."""
    talk: Said = ("assistant", 14, 15, "London  was")
    known = {"role": "assistant", "content": talk[3], "start_ms": 14_000, "words": words}
    (tmp_path / "report.json").write_text(json.dumps({"turns": [known]}))
    (read,) = turns(tmp_path, talk)
    assert read.words == tuple(StoredWord(*word) for word in WORDS[:kept])


STAGE = {"key": "llm_inference", "owner": "m", "kind": "service", "start_ms": 1, "end_ms": 5}


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ([STAGE], (StoredStage(**STAGE),)),  # type: ignore[arg-type]  # the values fit
        ([], ()),
        (None, ()),
        (5, ()),
        ("x", ()),
        ([5], ()),
        ([STAGE, {**STAGE, "more": 1}], ()),
        ([{**STAGE, "end_ms": None}], ()),
        ([{**STAGE, "start_ms": True}], ()),
        ([{**STAGE, "owner": 5}], ()),
    ],
)
def test_report_tells_why_an_answer_took_its_time(tmp_path: Path, told: Any, read: Any) -> None:
    """Stages that are none are left out, and the rest of the turn stays."""
    turn = {"role": "assistant", "content": pages.TALK[4][3], "start_ms": 14_000, "latency": told}
    (tmp_path / "report.json").write_text(json.dumps({"turns": [{**turn, "unheard": "More."}]}))
    (known,) = [turn for turn in turns(tmp_path, *pages.TALK) if turn.unheard]
    assert known.latency == read


def test_summary_of_a_call_without_times(tmp_path: Path) -> None:
    """An end that knows neither start nor end has no length."""
    stored = call(tmp_path, [], callStartedAt=None, callEndedAt=None)
    row = summary(stored, is_live=False)
    assert (row["started_at"], row["length_ms"], row["agent"]) == (None, None, None)


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=5),
    st.sampled_from([8000, 16000, 24000, 44100, 48000]),
    st.sampled_from([1, 2]),
    st.integers(0, 2**32 - 1),
)
def test_every_sample_counts_in_its_window(
    sizes: list[int], rate: int, channels: int, seed: int
) -> None:
    """Peaks are the largest amplitudes near their 50 ms, however the audio is cut into chunks."""
    random = np.random.default_rng(seed)
    frames = sum(sizes)
    audio = random.integers(-32768, 32768, (frames, channels), np.int16)
    audio[random.random(frames) < 0.9] = 0
    pieces = np.split(audio, np.cumsum(sizes)[:-1])
    measured = [(piece.nbytes, measure(piece.astype("<i2").tobytes())) for piece in pieces]
    peaks = np.frombuffer(join(measured, rate, channels), np.uint8).reshape(-1, channels)
    window = rate * 0.05
    level = np.abs(audio.astype(int))
    for number, peak in enumerate(peaks):
        # A block of 256 samples counts where it begins.
        near = level[int(number * window) : int((number + 1) * window) + 257]
        assert (peak <= np.minimum((near.max(axis=0, initial=0) + 127) >> 7, 255)).all()
    assert peaks.max() == min((level.max() + 127) >> 7, 255)


def test_no_audio_has_no_peaks() -> None:
    """A recording without a sample has an empty waveform."""
    assert join([], 24_000, 2) == b""


def test_level_is_asked_by_time() -> None:
    """Levels are between silence and full scale, of one side and a part of the recording."""
    stereo = Waveform(1000, 2, 200, bytes([0, 255, 51, 0, 0, 0, 102, 0]))
    assert stereo.length_ms == 200
    assert [stereo.level(role) for role in ("user", "assistant")] == [0.4, 1.0]
    assert [stereo.level("user", *span) for span in [(0, 50), (0, 51), (99, 149)]] == [0, 0.2, 0.2]
    assert stereo.level("assistant", 50) == 0
    assert stereo.level("assistant", 5000) == 0
    mono = Waveform(1000, 1, 100, bytes([51, 102]))
    assert mono.level("user") == mono.level("assistant") == 0.4


@pytest.mark.parametrize(
    ("chunks", "seconds", "rate"),
    [(2, 2.7, 24_000), (8, 9.6, 48_000), (8, 57.3, 8000), (8, 19.1, 24_000), (8, 0, 24_000)],
)
def test_rate_of_a_running_call_is_estimated(
    tmp_path: Path, chunks: int, seconds: float, rate: int
) -> None:
    """The pace of the chunks tells the rate, once it has been watched for long enough."""
    stored = StoredCall("call-1", tmp_path)
    for index in range(chunks):
        path = tmp_path / f"{index}.pcm"
        path.write_bytes(bytes(pages.CHUNK_BYTES))
        os.utime(path, (1e9, 1e9 + seconds * index / (chunks - 1)))
        stored.chunks[index] = path
    waveform = Waveforms().read(stored)
    assert waveform is not None
    assert (waveform.rate, waveform.is_estimate) == (rate, True)
    assert waveform.frames == chunks * pages.CHUNK_BYTES // 4
