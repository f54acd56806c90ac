"""A call as text: its turns in a table, both sides drawn over time, and what was found."""

from __future__ import annotations

import textwrap
from itertools import accumulate, cycle, pairwise
from typing import TYPE_CHECKING

from pipecat_roark.local.checkup import check_up
from pipecat_roark.local.story import StoredTurn, tell
from pipecat_roark.local.waveform import Waveforms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipecat_roark.local.store import StoredCall
    from pipecat_roark.local.story import StoredStage, StoredTool, Story
    from pipecat_roark.local.waveform import Waveform

_BARS = " ▁▂▃▄▅▆▇█"
_SHADES = "█▒▓░"
_NO_BREAK = "\N{NO-BREAK SPACE}"
_LABEL_WIDTH = 8
_ROW = "{:>4}  {:>15}  {:>6}  {:<6}  {}"
_TEXT_AT = len(_ROW.format(*[""] * 5))
_LEAST_WIDTH = 60


def draw_call(call: StoredCall, width: int = 100) -> str:
    """Draw a call as text. This reads its files.

    Args:
        call: The call. Without its end, there is nothing in the table.
        width: How many characters a line may have; at least 60.
    """
    return "\n".join(_lines(call, max(width, _LEAST_WIDTH)))


def plain(text: str) -> str:
    """Return a text of a call as it may go to a terminal, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _lines(call: StoredCall, width: int) -> Iterator[str]:
    story, waveform = tell(call), Waveforms().read(call)
    yield from _table(story, width)
    if story.replies is not None:
        median, worst = (ms / 1000 for ms in story.replies)
        yield f"Response time: median {median:.2f} s, worst {worst:.2f} s"
        yield ""
    if waveform is not None:
        yield from _drawing(waveform, story, width)
        sides = "caller left and bot right" if waveform.channels > 1 else "one channel"
        yield ""
        yield f"Recording: {waveform.length_ms / 1000:.1f} s, {waveform.rate} Hz, {sides}:"
        yield f"  {call.recording or call.folder}"
    yield "What the local Roark found:"
    yield from (f"  ✓ {plain(sentence)}" for sentence in call.verified)
    yield from (f"  ✗ {plain(sentence)}" for sentence in call.problems)
    yield from (f"  ! {finding}" for finding in check_up(call, waveform))
    yield f"The call {_verdict(call)}. All of it:"
    yield f"  {call.folder}"


def _verdict(call: StoredCall) -> str:
    if call.ended is None:
        return "has not ended"
    return "arrived whole" if call.complete else "did not arrive whole"


def _table(story: Story, width: int) -> Iterator[str]:
    yield _ROW.format("#", "from - to (s)", "reply", "who", "what")
    yield "─" * width
    number = 0
    longest = max((sum(map(_length, turn.latency)) for turn in story.turns), default=0)
    for entry in story.entries:
        label = reply = ""
        if isinstance(entry, StoredTurn):
            number += 1
            label = str(number)
            reply = "" if entry.response_ms is None else f"{entry.response_ms / 1000:.2f}"
        first, *others = textwrap.wrap(
            plain(_what(entry)), width - _TEXT_AT, break_on_hyphens=False
        ) or [""]
        yield _ROW.format(label, _span(entry), reply, _who(entry), first)
        yield from (f"{'':<{_TEXT_AT}}{line}" for line in others)
        yield from (f"{'':<{_TEXT_AT}}{line}" for line in _latency(entry, width, longest))
    yield ""


def _latency(entry: StoredTurn | StoredTool, width: int, longest: int) -> Iterator[str]:
    """Draw why the bot began when it did: a bar, and what each part of it is."""
    stages = entry.latency if isinstance(entry, StoredTurn) else ()
    if not stages:
        return
    edges = [*accumulate((_length(stage) for stage in stages), initial=0)]
    places = [edge * (width - _TEXT_AT) // max(longest, 1) for edge in edges]
    shades = [*zip(cycle(_SHADES), stages, pairwise(places), strict=False)]
    yield "".join(shade * (end - begin) for shade, _, (begin, end) in shades)
    names = (f"{shade} {plain(one.key)} {_length(one) / 1000:.2f}" for shade, one, _ in shades)
    whole = ", ".join(name.replace(" ", _NO_BREAK) for name in names)
    for line in textwrap.wrap(whole, width - _TEXT_AT, break_on_hyphens=False):
        yield line.replace(_NO_BREAK, " ")


def _length(stage: StoredStage) -> int:
    return max(0, stage.end_ms - stage.start_ms)


def _who(entry: StoredTurn | StoredTool) -> str:
    if isinstance(entry, StoredTurn):
        return "caller" if entry.role == "user" else "bot"
    return "tool"


def _what(entry: StoredTurn | StoredTool) -> str:
    if not isinstance(entry, StoredTurn):
        return f"{entry.name}({entry.arguments}) → {', '.join(entry.results) or 'no result'}"
    unheard = len(entry.unheard.split())
    note = f" (interrupted{f', {unheard} words unheard' if unheard else ''})"
    return f"{entry.content}{note if entry.interrupted else ''}"


def _span(entry: StoredTurn | StoredTool) -> str:
    start = entry.start_ms
    if isinstance(entry, StoredTurn):
        end = entry.end_ms
    else:
        end = None if start is None else start + (entry.duration_ms or 0)
    return " - ".join("?" if edge is None else f"{edge / 1000:.1f}" for edge in (start, end))


def _drawing(waveform: Waveform, story: Story, width: int) -> Iterator[str]:
    """Draw how loud each side is over time, and where each turn starts."""
    columns = width - _LABEL_WIDTH
    labels = ("caller", "bot") if waveform.channels > 1 else ("call",)
    for number, label in enumerate(labels):
        track = waveform.peaks[number :: waveform.channels]
        yield f"{label:<{_LABEL_WIDTH}}{_loudness(track, columns)}"
    marks = [" "] * columns
    for number, turn in enumerate(story.turns, 1):
        if turn.start_ms is not None:
            at = min(int(turn.start_ms * columns / waveform.length_ms), columns - 1)
            marks[at : at + len(str(number))] = str(number)
    yield f"{'turn':<{_LABEL_WIDTH}}{''.join(marks)[:columns]}"


def _loudness(track: bytes, columns: int) -> str:
    edges = [column * len(track) // columns for column in range(columns + 1)]
    loudest = max(track, default=0) or 1
    levels = [
        max(track[begin : max(end, begin + 1)], default=0) / loudest
        for begin, end in pairwise(edges)
    ]
    return "".join(_BARS[round(level * (len(_BARS) - 1))] for level in levels)
