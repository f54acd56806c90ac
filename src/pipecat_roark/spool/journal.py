"""The journal of one call: what its delivery needs when the process that held it is gone.

The rules:

1. A journal consists of lines of JSON and is only appended to. A line that was cut short or damaged
   is skipped, and the others hold.
2. An event is written here before it is sent, so that it can be sent again in the very same bytes.
3. While the call runs, the journal keeps a draft of `call-ended`, which says how the call would end
   now: first the whole draft, then only its changes.
4. Every line has its time. If the process dies, the call ended at the time of the last line.

The module does no I/O and reads no clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pipecat_roark import wire
from pipecat_roark.plain import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from pipecat_roark.wire import CallEnded

VERSION = 1
"""Version of the lines. A journal of a newer version is not touched."""
DIED = "process-died"
"""The reason that a call gets if its process died."""
_KEYS = {"call-started": "started", "call-ended": "ended"}
"""The entries that hold the two events which every call has; any other event has a named entry."""
_LISTS = ("transcript", "toolCalls")
_UNTIL_THE_END = ("eventTimestamp", "callEndedAt", "callEndedReason")


class UnreadableJournalError(Exception):
    """A journal that can't be read; the text says why."""


@dataclass(slots=True)
class Journal:
    """The content of a journal.

    Attributes:
        pipecat_call_id: The call.
        events: Every event of the call but `call-ended`, by name, in the order of writing.
        ended: The event `call-ended`: as it was, or as it must be if the process died.
        finished: Whether the call came to its own end.
        recorded: Whether it has a recording.
        absent: The size of each chunk that is not on disk, by its index.
        arrived: What need not be sent any more, because it arrived or never can: events by name,
            chunks by index.
    """

    pipecat_call_id: str
    events: dict[str, bytes] = field(default_factory=dict)
    ended: bytes = b""
    finished: bool = False
    recorded: bool = False
    absent: dict[int, int] = field(default_factory=dict)
    arrived: set[str | int] = field(default_factory=set)


def line(at: datetime, **entry: object) -> bytes:
    """Encode one line."""
    return encode({"at": wire.timestamp(at), **entry}) + b"\n"


def header(at: datetime, pipecat_call_id: str, owner: str) -> bytes:
    """Encode the first line.

    Args:
        at: The time.
        pipecat_call_id: The call.
        owner: The fingerprint of its API key and base URL.
    """
    return line(at, version=VERSION, pipecatCallId=pipecat_call_id, owner=owner)


def event(name: str, event: bytes) -> dict[str, object]:
    """Return the entry that keeps an event."""
    text = event.decode()
    return {_KEYS[name]: text} if name in _KEYS else {"event": name, "text": text}


def changes(old: CallEnded, new: CallEnded) -> Iterator[dict[str, object]]:
    """Yield the entries that turn one draft of `call-ended` into a later one."""
    fields = {
        name: value
        for name, value in new.items()
        if name not in (*_LISTS, *_UNTIL_THE_END) and old.get(name) != value
    }
    if fields:
        yield {"set": fields}
    for name in _LISTS:
        before, after = _list(old, name), _list(new, name)
        for place, item in enumerate(after):
            if place >= len(before) or before[place] != item:
                yield {"put": name, "place": place, "item": item}
        if len(after) < len(before):
            yield {"cut": name, "length": len(after)}


def replay(data: bytes) -> Journal:
    """Read a journal.

    Raises:
        UnreadableJournalError: If it is of a newer version, or doesn't say which call it is of.
    """
    entries = list(_entries(data))
    first = entries[0] if entries else {}
    version, call_id = first.get("version"), first.get("pipecatCallId")
    if isinstance(version, int) and version > VERSION:
        raise UnreadableJournalError(f"it is of version {version}, and this one reads {VERSION}")
    if version != VERSION or not isinstance(call_id, str):
        raise UnreadableJournalError("its first line is damaged")
    journal = Journal(call_id)
    draft: dict[str, Any] = {"event": "call-ended", "pipecatCallId": call_id}
    for entry in entries:
        _apply(entry, journal, draft)
    journal.recorded = "recordingSampleRate" in draft
    if not journal.finished:
        at = entries[-1]["at"]
        draft |= {"eventTimestamp": at, "callEndedAt": at, "callEndedReason": DIED}
        draft.setdefault("callStartedAt", None)
        journal.ended = encode(cast("CallEnded", draft))
    return journal


def _entries(data: bytes) -> Iterator[dict[str, Any]]:
    for text in data.split(b"\n"):
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("at"), str):
            yield entry


def _apply(entry: Mapping[str, Any], journal: Journal, draft: dict[str, Any]) -> None:
    match entry:
        case {"started": str(text)}:
            journal.events["call-started"] = text.encode()
        case {"ended": str(text)}:
            journal.ended, journal.finished = text.encode(), True
        case {"event": str(name), "text": str(text)}:
            journal.events[name] = text.encode()
        case {"arrived": str(what) | int(what)}:
            journal.arrived.add(what)
        case {"absent": int(index), "size": int(size)}:
            journal.absent[index] = size
        case {"set": dict(fields)}:
            draft.update(fields)
        case {"put": str(name), "place": int(place), "item": dict(item)}:
            draft.setdefault(name, [])[place : place + 1] = [item]
        case {"cut": str(name), "length": int(length)}:
            del draft.setdefault(name, [])[length:]


def _list(draft: CallEnded, name: str) -> list[object]:
    return cast("list[object]", draft.get(name, []))
