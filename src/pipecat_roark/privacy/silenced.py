"""Where a recording must be silent, because the turns that lie there were redacted.

Pure: reports in, places of the recording out, in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.privacy.masks import LATE_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipecat_roark.report import CallReport, Turn

PAD_MS = 250
"""How much around a turn is silent, too: more than its edges can be off."""
_LATE_MS = round(LATE_WORDS.total_seconds() * 1000)


def place(report: CallReport, ms: float) -> int:
    """Return the place of a moment of the recording, in bytes from its beginning."""
    return int(ms * (report.sample_rate or 0) / 1000) * 2 * (report.num_channels or 0)


def silenced(report: CallReport) -> list[tuple[int, int]]:
    """Return where the recording must be silent, on both channels: a microphone hears the bot."""
    return [(place(report, begin), place(report, end)) for begin, end in _spans(report.turns)]


def _spans(turns: Sequence[Turn]) -> Iterator[tuple[int, int]]:
    for number, turn in enumerate(turns):
        if not turn.silenced or turn.start_ms is None or turn.end_ms is None:
            continue
        start, end = turn.start_ms, turn.end_ms
        # Where one user stopped and the next began is a guess, so both are silenced.
        for before in reversed(turns[:number]):
            if before.role != turn.role or before.end_ms != start or before.start_ms is None:
                break
            start = before.start_ms
        for after in turns[number + 1 :]:
            if after.role != turn.role or after.start_ms != end or after.end_ms is None:
                break
            end = after.end_ms
        yield max(0, start - PAD_MS - (0 if turn.detected else _LATE_MS)), end + PAD_MS
