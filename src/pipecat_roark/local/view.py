"""A call as the page shows it: plain values for JSON."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipecat_roark.local.checkup import check_up
from pipecat_roark.local.contract import CALL_STARTED
from pipecat_roark.local.peaks import WINDOW_MS
from pipecat_roark.local.schema import parse_utc
from pipecat_roark.local.story import StoredTurn, tell

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from pipecat_roark.local.store import StoredCall
    from pipecat_roark.local.waveform import Waveform


def summary(call: StoredCall, *, is_live: bool) -> dict[str, Any]:
    """Describe a call in the list."""
    started, ended = call.started or {}, call.ended or {}
    begin = ended.get("callStartedAt") or started.get("eventTimestamp")
    end = ended.get("callEndedAt")
    length = (parse_utc(end) - parse_utc(begin)).total_seconds() * 1000 if begin and end else None
    return {
        "name": call.folder.name,
        "id": call.call_id,
        "agent": started.get("agentName") or started.get("agentId"),
        "agent_id": started.get("agentId"),
        "state": "live" if is_live else "ended" if call.ended else "open",
        "started_at": parse_utc(begin).isoformat() if begin else None,
        "length_ms": length,
        "reason": ended.get("callEndedReason"),
        "turns": len(ended.get("transcript", ())),
        "problem_count": len(call.problems),
        "complete": call.complete,
    }


def detail(call: StoredCall, waveform: Waveform | None, *, is_live: bool) -> dict[str, Any]:
    """Describe a call with everything that the page shows of it, but its requests."""
    story = tell(call)
    entries: list[dict[str, Any]] = [
        {"kind": "turn" if isinstance(entry, StoredTurn) else "tool", **asdict(entry)}
        for entry in story.entries
    ]
    return {
        **summary(call, is_live=is_live),
        "prompt": call.events.get(CALL_STARTED, {}).get("agentPrompt"),
        "entries": entries,
        "replies": story.replies and story.replies._asdict(),
        "problems": call.problems,
        "verified": call.verified,
        "findings": [*map(str, check_up(call, waveform))],
        "audio": waveform and _audio(waveform),
    }


def _audio(waveform: Waveform) -> dict[str, Any]:
    return {
        "length_ms": waveform.length_ms,
        "rate": waveform.rate,
        "channels": waveform.channels,
        "chunks": len(waveform.chunks),
        "is_estimate": waveform.is_estimate,
        "window_ms": WINDOW_MS,
        "peaks": base64.b64encode(waveform.peaks).decode(),
    }


def as_text(value: object) -> str:
    """Write a value that JSON doesn't know."""
    moment: datetime = value  # type: ignore[assignment]  # nothing else is in a view
    return moment.isoformat()
