"""What a stored call tells of the bot's wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.findings import Evidence, Marker, examine
from pipecat_roark.local.schema import parse_utc
from pipecat_roark.local.story import tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipecat_roark.findings import Finding
    from pipecat_roark.local.store import StoredCall
    from pipecat_roark.local.waveform import Waveform


def check_up(call: StoredCall, waveform: Waveform | None) -> Iterator[Finding]:
    """Yield what is wrong with the wiring of the bot that sent a call; nothing before its end.

    Whether the recorder stands before the output can't be seen here. The library logs it.
    """
    if call.ended is None:
        return
    started_at = call.ended["callStartedAt"]
    turns = [
        Marker(turn.role, turn.started_at, turn.start_ms, turn.end_ms, turn.response_ms)
        for turn in tell(call).turns
    ]
    is_measured = waveform is not None and waveform.channels > 1 and waveform.peaks
    stereo = waveform if is_measured else None
    yield from examine(
        Evidence(
            turns=turns,
            started_at=parse_utc(started_at) if started_at else None,
            has_recorder=waveform is not None,
            user_spoke=any(turn.role == "user" and turn.start_ms is not None for turn in turns),
            user_heard=None if stereo is None else stereo.level("user") > 0,
            assistant_heard=None if stereo is None else stereo.level("assistant") > 0,
            level=None if stereo is None else stereo.level,
            has_odd_key=call.has_odd_key,
        )
    )
