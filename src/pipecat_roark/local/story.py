"""What happened in a stored call, read from its call-ended: turns, tool calls and response times.

The wire says what was said, and when. It says neither whether a turn was cut off nor what nobody
heard, nor why an answer took its time, nor where each word lies. So the first is computed from the
times, and the others are known only if the call's folder holds a `report.json`: what the library's
`report()` returned, as JSON.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pipecat_roark.local.schema import parse_utc
from pipecat_roark.local.store import REPORT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    from pipecat_roark.local.schema import Row
    from pipecat_roark.local.store import StoredCall

_YIELDS_MS = 1000
"""A bot that the user interrupts falls silent at the latest so long after the user has spoken."""


class StoredWord(NamedTuple):
    """A word with its place in the recording.

    Attributes:
        text: The word.
        start_ms: Where it begins, in milliseconds.
        end_ms: Where it ends.
        error_ms: How far `start_ms` may be off.
    """

    text: str
    start_ms: int
    end_ms: int
    error_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStage:
    """A part of the time that the assistant's answer took.

    Attributes:
        key: What the time was spent on, such as `llm_inference`.
        owner: What spent it: a processor, a tool, or a setting.
        kind: `service`, `setting`, `bot` or `pipeline`.
        start_ms: Its begin in the recording, in milliseconds.
        end_ms: Its end in the recording, in milliseconds.
    """

    key: str
    owner: str
    kind: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTurn:
    """What one speaker said until the other's turn.

    Attributes:
        role: `user` or `assistant`.
        content: The words.
        started_at: When the speech began, UTC.
        ended_at: When it ended, UTC.
        start_ms: The begin in the recording, in milliseconds; None if it isn't in there.
        end_ms: The end in the recording, in milliseconds.
        user_id: The user's id, if given.
        language: The language (BCP-47), if given.
        response_ms: Of an assistant's turn that follows the user's, the time between the two in
            milliseconds. It is negative if they overlap.
        interrupted: Whether the user cut off this turn of the assistant.
        unheard: Words of the assistant that nobody heard, if the call's folder tells them.
        words: The words with their places, if the call's folder tells them.
        latency: Why the assistant began when it did, if the call's folder tells it.
    """

    role: str
    content: str
    started_at: datetime
    ended_at: datetime
    start_ms: int | None = None
    end_ms: int | None = None
    user_id: str | None = None
    language: str | None = None
    response_ms: int | None = None
    interrupted: bool = False
    unheard: str = ""
    words: tuple[StoredWord, ...] = ()
    latency: tuple[StoredStage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTool:
    """A tool call with its results.

    Attributes:
        tool_call_id: The id that pairs the call with its results.
        name: Name of the tool.
        arguments: Its arguments as a JSON string.
        results: What came back, as text, in order.
        called_at: When it was called, UTC.
        start_ms: The same moment in the recording, in milliseconds; None if it isn't in there.
        duration_ms: Milliseconds until the last result; None without a result.
    """

    tool_call_id: str
    name: str
    arguments: str
    results: tuple[str, ...]
    called_at: datetime
    start_ms: int | None = None
    duration_ms: int | None = None


class Replies(NamedTuple):
    """How long the assistant took to respond, in milliseconds."""

    median: int
    worst: int


@dataclass(frozen=True, slots=True)
class Story:
    """What happened in a call.

    Attributes:
        turns: In the order in which they began.
        tools: In the order in which they were called.
    """

    turns: tuple[StoredTurn, ...] = ()
    tools: tuple[StoredTool, ...] = ()
    replies: Replies | None = field(init=False)

    def __post_init__(self) -> None:
        """Sum the response times up."""
        times = [turn.response_ms for turn in self.turns if turn.response_ms is not None]
        replies = Replies(round(median(times)), max(times)) if times else None
        object.__setattr__(self, "replies", replies)

    @property
    def entries(self) -> list[StoredTurn | StoredTool]:
        """Turns and tool calls by the time at which they began."""
        return sorted([*self.turns, *self.tools], key=_moment)


def tell(call: StoredCall) -> Story:
    """Return what happened in a call; nothing until its end has come."""
    ended = call.ended or {}
    turns = [_turn(row) for row in ended.get("transcript", ())]
    turns = [_with_reply(turn, before) for turn, before in zip(turns, [None, *turns], strict=False)]
    turns = [_cut_off(turn, after) for turn, after in zip_longest(turns, turns[1:])]
    return Story(
        turns=tuple(_as_reported(turns, call.folder)),
        tools=tuple(_tools(ended.get("toolCalls", ()))),
    )


def _moment(entry: StoredTurn | StoredTool) -> datetime:
    return entry.started_at if isinstance(entry, StoredTurn) else entry.called_at


def _turn(row: Row) -> StoredTurn:
    return StoredTurn(
        role=row["role"],
        content=row["content"],
        started_at=parse_utc(row["timestamp"]),
        ended_at=parse_utc(row["endTimestamp"]),
        start_ms=row.get("audioOffsetMs"),
        end_ms=row.get("endAudioOffsetMs"),
        user_id=row.get("userId"),
        language=row.get("language"),
    )


def _with_reply(turn: StoredTurn, before: StoredTurn | None) -> StoredTurn:
    """Measure how long the assistant took, if the turn before is the user's."""
    if before is None or (before.role, turn.role) != ("user", "assistant"):
        return turn
    return replace(turn, response_ms=_milliseconds(before.ended_at, turn.started_at))


def _cut_off(turn: StoredTurn, after: StoredTurn | None) -> StoredTurn:
    """Mark a turn of the assistant that ends because the user begins to speak.

    A user who speaks while the assistant goes on has not interrupted it.
    """
    if after is None or (turn.role, after.role) != ("assistant", "user"):
        return turn
    overlaps = after.started_at < turn.ended_at
    yields = _milliseconds(after.ended_at, turn.ended_at) <= _YIELDS_MS
    return replace(turn, interrupted=overlaps and yields)


def _milliseconds(begin: datetime, end: datetime) -> int:
    return round((end - begin).total_seconds() * 1000)


def _tools(records: Sequence[Row]) -> Iterator[StoredTool]:
    results: defaultdict[str, list[Row]] = defaultdict(list)
    for entry in records:
        if entry["kind"] == "tool_result":
            results[entry["toolCallId"]].append(entry)
    for entry in records:
        if entry["kind"] == "tool_call":
            yield _tool(entry, results[entry["toolCallId"]])


def _tool(call: Row, results: Sequence[Row]) -> StoredTool:
    called_at = parse_utc(call["timestamp"])
    last = parse_utc(results[-1]["timestamp"]) if results else None
    return StoredTool(
        tool_call_id=call["toolCallId"],
        name=call["name"],
        arguments=call["arguments"],
        results=tuple(entry["content"] for entry in results),
        called_at=called_at,
        start_ms=call.get("audioOffsetMs"),
        duration_ms=None if last is None else _milliseconds(called_at, last),
    )


def _as_reported(turns: list[StoredTurn], folder: Path) -> Iterator[StoredTurn]:
    """Add to turns what only the library's report knows of them."""
    reported = _reported_turns(folder)
    for turn in turns:
        known = reported.get((turn.role, turn.content, turn.start_ms))
        if known is None:
            yield turn
            continue
        yield replace(
            turn,
            interrupted=known.get("interrupted") is True,
            unheard=str(known.get("unheard") or ""),
            words=_words(known.get("words"), turn.content),
            latency=_stages(known.get("latency")),
        )


def _words(rows: object, content: str) -> tuple[StoredWord, ...]:
    """Read the words of a turn; none if they are not those of its content."""
    try:
        words = tuple(StoredWord(*row) for row in rows)  # type: ignore[attr-defined]
        usable = "".join(word.text for word in words) == "".join(content.split())
        numbers = [number for word in words for number in word[1:]]
    except TypeError:
        return ()
    return words if usable and all(type(number) is int for number in numbers) else ()


def _stages(known: object) -> tuple[StoredStage, ...]:
    """Return the stages that a report tells; none if one of them is none."""
    try:
        stages = tuple(StoredStage(**stage) for stage in known)  # type: ignore[attr-defined]  # or it fails
    except TypeError:
        return ()
    texts = [text for stage in stages for text in (stage.key, stage.owner, stage.kind)]
    places = [ms for stage in stages for ms in (stage.start_ms, stage.end_ms)]
    usable = all(type(text) is str for text in texts) and all(type(ms) is int for ms in places)
    return stages if usable else ()


def _reported_turns(folder: Path) -> Mapping[tuple[str, str, int | None], dict[str, Any]]:
    """Read the turns of a call's report.json, if there is one."""
    try:
        turns = json.loads((folder / REPORT_FILE).read_bytes())["turns"]
        return {(turn["role"], turn["content"], turn["start_ms"]): turn for turn in turns}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
