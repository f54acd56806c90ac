"""What a journal keeps of a call whose process died."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from pipecat_roark.spool import journal
from pipecat_roark.spool.journal import UnreadableJournalError, replay

if TYPE_CHECKING:
    from pipecat_roark.wire import CallEnded

AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def turn(content: str) -> Any:
    """Return a turn of the wire."""
    return {"role": "user", "content": content, "timestamp": "2026-03-01T12:00:00.000Z"}


def draft(*contents: str, **fields: Any) -> CallEnded:
    """Return `call-ended` as it was at some moment."""
    event: Any = {
        "event": "call-ended",
        "pipecatCallId": "call#1",
        "callStartedAt": "2026-03-01T12:00:00.000Z",
        "callEndedAt": None,
        **fields,
    }
    return event | ({"transcript": [*map(turn, contents)]} if contents else {})  # type: ignore[no-any-return]


DRAFTS = [
    draft(),
    draft("Hello", agentSpokeFirst=False),
    draft("Hello there.", agentSpokeFirst=False),
    draft("Hello there.", "Good", agentSpokeFirst=False, recordingSampleRate=24000),
    draft("Hello there. Good bye.", agentSpokeFirst=False, recordingSampleRate=24000),
    draft(
        "Hello there. Good bye.",
        agentSpokeFirst=False,
        recordingSampleRate=24000,
        toolCalls=[{"kind": "tool_call", "toolCallId": "1"}],
    ),
]


def journal_lines() -> list[bytes]:
    """Return the journal of a call that was drafted again and again, a line each second."""
    entries: list[dict[str, Any]] = [{"started": '{"event":"call-started"}'}]
    last: Any = {}
    for event in DRAFTS:
        entries += [*journal.changes(last, event), {}]
        last = event
    entries.append({"arrived": "call-started"})
    return [
        journal.header(AT, "call#1", "owner"),
        *(journal.line(AT + timedelta(seconds=n), **entry) for n, entry in enumerate(entries)),
    ]


def test_a_call_that_died_ends_as_it_was_last_known() -> None:
    """The last draft, with an honest reason and the time of the last line."""
    written = journal_lines()
    read = replay(b"".join(written))
    at = json.loads(written[-1])["at"]
    assert json.loads(read.ended) == {
        **DRAFTS[-1],
        "eventTimestamp": at,
        "callEndedAt": at,
        "callEndedReason": "process-died",
    }
    assert read.pipecat_call_id == "call#1"
    assert read.events == {"call-started": b'{"event":"call-started"}'}
    assert read.arrived == {"call-started"}
    assert read.recorded
    assert not read.finished


def test_an_event_is_kept_to_the_byte() -> None:
    """An event is sent again in the same bytes, whatever it contains."""
    event = '{"event":"call-ended","content":"né\\"\\n"}'.encode()
    read = replay(b"".join([*journal_lines(), journal.line(AT, ended=event.decode())]))
    assert read.ended == event
    assert read.finished


def test_it_knows_which_chunks_are_where() -> None:
    """Those that arrived, and the size of those that are not on disk."""
    entries: list[dict[str, object]] = [{"absent": 3, "size": 400}, {"arrived": 2}, {"arrived": 3}]
    read = replay(b"".join([*journal_lines(), *(journal.line(AT, **entry) for entry in entries)]))
    assert read.absent == {3: 400}
    assert read.arrived == {"call-started", 2, 3}


def test_a_journal_cut_anywhere_still_replays() -> None:
    """At every byte, all whole lines hold; without the first one it is no journal."""
    data = b"".join(journal_lines())
    first = data.index(b"\n")
    sizes = []
    for cut in range(len(data) + 1):
        if cut < first:
            with pytest.raises(UnreadableJournalError, match="first line is damaged"):
                replay(data[:cut])
            continue
        ended = json.loads(replay(data[:cut]).ended)
        assert ended["callEndedReason"] == "process-died"
        assert {"callStartedAt", "callEndedAt", "eventTimestamp"} <= ended.keys()
        sizes.append(len(ended))
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize(
    "damage",
    [
        b"\x00\xff\n",
        b"[]\n",
        b"{}\n",
        b'{"at":1}\n',
        b'{"at":"now","put":1}\n',
        b"[" * 9999 + b"\n",
    ],
)
def test_a_damaged_line_is_passed_over(damage: bytes) -> None:
    """All other lines still count."""
    head, *others = journal_lines()
    assert replay(b"".join([head, damage, *others])) == replay(b"".join(journal_lines()))


@pytest.mark.parametrize("said", [{"version": 1}, {"pipecatCallId": "call#1"}])
def test_a_journal_says_what_it_is(said: dict[str, object]) -> None:
    """The first line must name both the version and the call."""
    with pytest.raises(UnreadableJournalError, match="first line is damaged"):
        replay(journal.line(AT, **said))


def test_only_changes_are_written() -> None:
    """A draft without changes writes nothing; its time is that of the line."""
    later: Any = DRAFTS[-1] | {"eventTimestamp": "later", "callEndedAt": "later"}
    assert list(journal.changes(DRAFTS[-1], later)) == []


def test_a_newer_journal_is_left_alone() -> None:
    """Its lines may have another meaning."""
    newer = journal.line(AT, version=2, pipecatCallId="call#1")
    with pytest.raises(UnreadableJournalError, match="of version 2, and this one reads 1"):
        replay(newer)


def test_an_event_of_any_name_is_kept() -> None:
    """Also one that only a later version sends."""
    entry = journal.event("call-paused", '{"née":1}'.encode())
    read = replay(b"".join([*journal_lines(), journal.line(AT, **entry)]))
    assert read.events == {
        "call-started": b'{"event":"call-started"}',
        "call-paused": '{"née":1}'.encode(),
    }
