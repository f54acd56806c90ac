"""A stored call as text, and the command that prints it or writes it as one file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx
import pytest

from pipecat_roark.cli import main
from pipecat_roark.local import StoredCall, draw_call
from pipecat_roark.local.store import join_recording, save_chunk
from support import pages

if TYPE_CHECKING:
    from pathlib import Path

    from pipecat_roark.local import ThreadedRoark

CALL = "SmallWebRTC#0"


@pytest.fixture
def stored(roark: ThreadedRoark) -> StoredCall:
    """Send the whole call, and return what is stored of it."""
    with httpx.Client(base_url=roark.url) as http:
        pages.send_call(http, CALL)
    return roark.calls[CALL]


def columns(line: str, count: int) -> list[int]:
    """Return the columns of a drawn line in which something is heard, of so many."""
    return [i for i, letter in enumerate(line[8 : 8 + count]) if letter != " "]


def test_call_is_drawn_as_text(stored: StoredCall) -> None:
    """The table has every turn with its times, and the drawing has ink where each side speaks."""
    lines = draw_call(stored, 108).splitlines()
    assert re.fullmatch(r" +1 +0\.6 - 3\.4 +bot +Good morning, this is .*", lines[2])
    table = "\n".join(lines)
    assert re.search(r"3 +7\.5 - 10\.0 +1\.20 +bot +The weather", table)
    assert re.search(r"\n +6\.7 - 7\.0 +tool +get_weather\(\{\"city\": \"London\"\}\) → ", table)
    assert "ago. (interrupted)" in " ".join(table.split())
    assert "Response time: median 0.90 s, worst 1.20 s" in table
    assert "  ✓ 10 chunks, none missing" in table
    assert "The call arrived whole." in table
    caller, bot, turns = (
        next(line for line in lines if line.startswith(label))
        for label in ("caller", "bot", "turn")
    )
    assert {round(begin * 4) for role, begin, *_ in pages.TALK if role == "user"} <= {
        column + shift for column in columns(caller, 100) for shift in (0, 1)
    }
    assert min(columns(bot, 100)) == 2  # 0.6 s of 25 s, in 100 columns
    assert max(columns(caller, 100)) == 85
    assert turns.split() == ["turn", *"1234567"]
    assert max(map(len, lines[2:20])) <= 108


def test_unheard_words_are_counted(stored: StoredCall) -> None:
    """What only the report knows is in the table, too."""
    known = {"role": "assistant", "content": pages.TALK[4][3], "start_ms": 14_000}
    report = {"turns": [{**known, "interrupted": True, "unheard": "They had a bridge."}]}
    (stored.folder / "report.json").write_text(json.dumps(report))
    assert "(interrupted, 4 words unheard)" in " ".join(draw_call(stored).split())


def test_a_bar_tells_why_an_answer_took_its_time(stored: StoredCall) -> None:
    """Its parts are as long as the stages, on the scale of the slowest answer."""

    def turn(number: int, *stages: tuple[str, int]) -> dict[str, object]:
        at, latency = 0, []
        for key, length in stages:
            stage = {"key": key, "owner": "x", "kind": "service"}
            latency.append({**stage, "start_ms": at, "end_ms": at + length})
            at += length
        _, begin, _, content = pages.TALK[number]
        start_ms = round(1000 * begin)
        return {"role": "assistant", "content": content, "start_ms": start_ms, "latency": latency}

    slow = turn(2, ("endpointing_wait", 200), ("llm_inference", 600), ("\x1b", 200))
    report = {"turns": [slow, turn(4, ("speech_synthesis", 500), ("pipeline", 0))]}
    (stored.folder / "report.json").write_text(json.dumps(report))
    lines = [line.strip() for line in draw_call(stored, 139).splitlines()]
    assert f"{'█' * 20}{'▒' * 60}{'▓' * 20}" in lines
    assert "█ endpointing_wait 0.20, ▒ llm_inference 0.60, ▓   0.20" in lines
    assert "█" * 50 in lines
    assert "█ speech_synthesis 0.50, ▒ pipeline 0.00" in lines
    assert max(map(len, draw_call(stored, 60).splitlines()[2:20])) <= 60


def test_text_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """Control characters in what was said are not printed; long words are cut."""
    ended = pages.ended("call-1", [("user", 0, 1, "\x1b[2J\x07" + "x" * 200)])
    drawn = draw_call(StoredCall("call-1", tmp_path, {"call-ended": ended}, problems=("\x1b",)))
    assert drawn.replace("\n", "").isprintable()
    assert "x" * 40 in drawn


def test_call_without_places_or_end_is_drawn(tmp_path: Path) -> None:
    """What is not known is a question mark, and a call without an end says so."""
    turn = pages.turn(("user", 1, 2, ""))
    del turn["audioOffsetMs"], turn["endAudioOffsetMs"]
    tool = {**next(pages.tool_records()), "toolCallId": "t"}
    del tool["audioOffsetMs"]
    ended = pages.ended("call-1", transcript=[turn], toolCalls=[tool])
    drawn = draw_call(StoredCall("call-1", tmp_path, {"call-ended": ended}), 10)
    assert re.search(r"1 +\? - \? +caller *\n", drawn)
    assert re.search(r"\? - \? +tool +get_weather", drawn)
    assert "no result" in " ".join(drawn.split())
    assert "did not arrive whole" in drawn
    assert "has not ended" in draw_call(StoredCall("call-1", tmp_path))


def test_one_channel_is_drawn_as_one(tmp_path: Path) -> None:
    """A mono recording has one line, and a turn at its very end is still marked."""
    turns = [("user", 0.0, 0.5, "a"), ("user", 1.0, 1.0, "b")]
    typed = {**pages.turn(("user", 2, 2, "c"))}
    del typed["audioOffsetMs"], typed["endAudioOffsetMs"]
    ended = pages.ended("call-1", transcript=[*map(pages.turn, turns), typed])
    stored = StoredCall("call-1", tmp_path, {"call-ended": ended})
    stored.chunks[0] = save_chunk(stored, 0, bytes(16_000))
    stored.recording = join_recording(stored, 8000, 1)
    lines = draw_call(stored, 68).splitlines()
    assert "call    " + " " * 60 in lines
    assert f"turn    1{' ' * 58}2" in lines


def test_show_prints_a_call(
    stored: StoredCall, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call is found by its id, and by its folder."""
    monkeypatch.setenv("COLUMNS", "100")
    for argv in ([CALL, "--folder", str(stored.folder.parent)], [str(stored.folder)]):
        assert main(["show", *argv]) == 0
        assert capsys.readouterr().out == f"{draw_call(stored, 100)}\n"


def test_show_without_a_call_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An id that nobody has is named."""
    assert main(["show", "call-1", "--folder", str(tmp_path)]) == 1
    assert f"There is no call call-1 in {tmp_path}" in capsys.readouterr().err


def test_call_is_one_file(
    stored: StoredCall, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file names no other, and holds words and audio."""
    file = tmp_path / "call.html"
    assert main(["show", str(stored.folder), "--html", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: {file.stat().st_size / 1e6:.1f} MB\n"
    html = file.read_text()
    assert not re.findall(r'\b(?:src|href)="(?!data:)', html.partition('id="saved-call"')[0])
    assert pages.TALK[0][3] in html
    assert main(["show", str(stored.folder), "--html", str(tmp_path / "none" / "a.html")]) == 1
    assert "No such file" in capsys.readouterr().err
