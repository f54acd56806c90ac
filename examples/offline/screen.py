"""Shows the demo call while it runs, and afterwards everything that was captured of it."""

from __future__ import annotations

import asyncio
import time
import wave
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipecat_roark import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from demo import HeldCall, LiveCall
    from pipecat_roark import CallReport, ToolCall

_BARS = " ▁▂▃▄▅▆▇█"
_LABEL_WIDTH = 8
_REFRESH_S = 0.2


async def follow(console: Console, call: LiveCall) -> None:
    """Show the turns and tool calls of a running call as they are captured, until cancelled.

    The latest entry may still grow, so it stays in the progress line until the next one comes.
    """
    shown = 0
    with console.status("The caller dials ...") as status:
        try:
            while True:
                entries = _entries(call.roark.report())
                for entry in entries[shown:-1]:
                    console.print(_line(entry))
                    shown += 1
                growing = map(_line, entries[shown:])
                status.update(Text("\n").join([Text(_progress(call)), *growing]))
                await asyncio.sleep(_REFRESH_S)
        finally:
            for entry in _entries(call.roark.report())[shown:]:
                console.print(_line(entry))


def show(console: Console, held: HeldCall) -> None:
    """Show a call that is over: its turns, its recording, and what the local Roark found."""
    stored = held.stored
    console.print(_table(held.report))
    if stored.recording is not None:
        samples, rate = _read(stored.recording)
        seconds = len(samples) / rate
        for row in _drawing(samples, rate, held.report.turns, console.width):
            console.print(row, no_wrap=True, crop=True)
        console.print(f"\nRecording: {seconds:.1f} s, {rate} Hz, caller left and bot right:")
        console.print(f"  {escape(str(stored.recording))}", soft_wrap=True)
    console.print("What the local Roark found:")
    for sentence in stored.verified:
        console.print(f"  [green]✓[/] {escape(sentence)}")
    for sentence in stored.problems:
        console.print(f"  [red]✗[/] {escape(sentence)}")
    verdict = "[green]arrived whole" if stored.complete else "[red]did not arrive whole"
    console.print(f"The call {verdict}[/]. All of it, and Pipecat's log:")
    console.print(f"  {escape(str(stored.folder))}", soft_wrap=True)


def _entries(report: CallReport) -> list[Turn | ToolCall]:
    return sorted([*report.turns, *report.tool_calls], key=_moment)


def _moment(entry: Turn | ToolCall) -> datetime:
    return entry.started_at if isinstance(entry, Turn) else entry.called_at


def _who(entry: Turn | ToolCall) -> str:
    if isinstance(entry, Turn):
        return "caller" if entry.role == "user" else "bot"
    return "tool"


def _what(entry: Turn | ToolCall) -> Text:
    if isinstance(entry, Turn):
        text = Text(entry.content)
        if entry.interrupted:
            unheard = len(entry.unheard.split())
            text.append(f" (interrupted, {unheard} words unheard)", "yellow")
        return text
    results = ", ".join(result.content for result in entry.results) or entry.outcome
    return Text(f"{entry.name}({entry.arguments}) → {results}", "cyan")


def _line(entry: Turn | ToolCall) -> Text:
    return Text(f"{_who(entry):<{_LABEL_WIDTH}}", "bold").append_text(_what(entry))


def _progress(call: LiveCall) -> str:
    if call.caller.speaking:
        doing = "the caller speaks"
    else:
        doing = "the bot speaks" if call.caller.hears_bot else "silence"
    stored = call.local.calls.get(call.roark.pipecat_call_id)
    chunks = len(stored.chunks) if stored else 0
    return f"{time.monotonic() - call.started:5.1f} s, {doing}; {chunks} chunks at the local Roark"


def _table(report: CallReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="The call as captured", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("from - to (s)", justify="right", no_wrap=True)
    table.add_column("reply", justify="right")
    table.add_column("who")
    table.add_column("what", overflow="fold")
    number = 0
    for entry in _entries(report):
        label = reply = ""
        if isinstance(entry, Turn):
            number += 1
            label = str(number)
            reply = "" if entry.response_ms is None else f"{entry.response_ms / 1000:.1f}"
        table.add_row(label, _span(entry), reply, _who(entry), _what(entry))
    return table


def _span(entry: Turn | ToolCall) -> str:
    if isinstance(entry, Turn):
        edges = [entry.start_ms, entry.end_ms]
    else:
        edges = [entry.offset_ms, *(result.offset_ms for result in entry.results[-1:])]
    return " - ".join("?" if edge is None else f"{edge / 1000:.1f}" for edge in edges)


def _read(recording: Path) -> tuple[NDArray[np.int16], int]:
    with wave.open(str(recording)) as wav:
        pcm = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
        return pcm.reshape(-1, wav.getnchannels()), wav.getframerate()


def _drawing(
    samples: NDArray[np.int16], rate: int, turns: Sequence[Turn], width: int
) -> Iterator[str]:
    """Draw how loud each channel is over time, and where each turn starts."""
    columns = width - _LABEL_WIDTH
    for label, channel in zip(("caller", "bot"), samples.T, strict=False):
        yield f"{label:<{_LABEL_WIDTH}}{_loudness(channel, columns)}"
    marks = [" "] * columns
    for number, turn in enumerate(turns, 1):
        if turn.start_ms is not None:
            at = turn.start_ms * rate * columns // (1000 * len(samples))
            marks[at : at + len(str(number))] = str(number)
    yield f"{'turn':<{_LABEL_WIDTH}}{''.join(marks)}"


def _loudness(channel: NDArray[np.int16], columns: int) -> str:
    parts = np.array_split(channel.astype(np.float64), columns)
    loudness = np.array([np.sqrt(np.mean(part**2)) if len(part) else 0.0 for part in parts])
    levels = np.rint(loudness / max(1.0, loudness.max()) * (len(_BARS) - 1)).astype(int)
    return "".join(_BARS[level] for level in levels)
