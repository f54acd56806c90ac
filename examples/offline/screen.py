"""Shows the demo call while it runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from rich.text import Text

from pipecat_roark import Turn

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from demo import LiveCall
    from pipecat_roark import CallReport, ToolCall

_LABEL_WIDTH = 8
_REFRESH_S = 0.2
_BAR_MS = 100
"""How long a character of a bar stands for."""
_STYLES = {"service": "blue", "setting": "yellow", "bot": "green", "pipeline": "bright_black"}


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
        text = _why(entry).append(entry.content)
        if entry.interrupted:
            unheard = len(entry.unheard.split())
            text.append(f" (interrupted, {unheard} words unheard)", "yellow")
        return text
    results = ", ".join(result.content for result in entry.results) or entry.outcome
    return Text(f"{entry.name}({entry.arguments}) → {results}", "cyan")


def _why(turn: Turn) -> Text:
    """Draw why an answer took its time: a bar with a part for each stage."""
    bar, drawn = Text(), 0
    for stage in turn.latency:
        until = (stage.end_ms - turn.latency[0].start_ms) // _BAR_MS
        bar.append("▇" * (until - drawn), _STYLES[stage.kind])
        drawn = until
    return bar.append(f" {drawn * _BAR_MS / 1000:.1f} s  ") if bar else bar


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
