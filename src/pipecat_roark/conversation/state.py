"""What was said and done in one call.

Frames reach an observer late and in another order than the recorder sees them. So every verb takes
the time at which its event happened, and the events wait in an inbox, sorted by that time, until
enough later ones have come. A report reads the conversation as if the inbox had been applied.

Pure: no Pipecat, no I/O, and time comes in as a value. Times are pipeline nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from pipecat_roark.conversation.playback import SpokenText, heard, unheard
from pipecat_roark.conversation.turns import Conversation, Floor
from pipecat_roark.moments import MILLISECOND, ClockPlaces, Edge
from pipecat_roark.report import CallReport, ToolCall, ToolResult, Turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pipecat_roark.moments import OffsetMs, Places, Speaker

INBOX_LIMIT = 512
"""Events that wait for earlier ones; far more than a lagging callback leaves behind."""
CANCELLED = "CANCELLED"
"""What stands for the result of a tool call that was given up, as in Pipecat's own context."""


@dataclass(slots=True)
class _Call:
    name: str
    arguments: str
    at: int
    results: list[tuple[int, str]] = field(default_factory=list)
    outcome: Literal["returned", "cancelled", "pending"] = "pending"


class CallState:
    """The state of one call, from its first frame to its report."""

    def __init__(self, pipecat_call_id: str) -> None:
        self._pipecat_call_id = pipecat_call_id
        self._conversation = Conversation()
        self._inbox: list[tuple[int, Callable[..., None], tuple[Any, ...]]] = []
        self._calls: dict[str, _Call] = {}
        self._started: int | None = None
        self._ended: tuple[int, str] | None = None

    def started(self, at: int) -> None:
        """Note that the pipeline started; the first time counts."""
        if self._started is None:
            self._started = at

    def ended(self, at: int, reason: str) -> None:
        """Note that the call ended; the first time counts, and nothing after it does."""
        if self._ended is None:
            self._note(at, Conversation.ended, at)
            self._ended = at, reason

    # The user

    def user_started_speaking(self, at: int, edge: Edge) -> None:
        """Note at `at` that the user has been speaking since `edge`."""
        self._note(at, Conversation.user_started, edge)

    def user_stopped_speaking(self, at: int, edge: Edge) -> None:
        """Note at `at` that the user spoke until `edge`."""
        self._note(at, Conversation.user_stopped, edge)

    def user_turn_started(self, at: int) -> None:
        """Note that the pipeline gave the user the floor."""
        self._note(at, Conversation.turn_started, at)

    def user_turn_stopped(self, at: int) -> None:
        """Note that the pipeline took the user's turn as finished."""
        self._note(at, Conversation.turn_stopped, at)

    def user_muted(self, at: int) -> None:
        """Note that the pipeline began to ignore the user."""
        self._note(at, Conversation.user_muted)

    def user_unmuted(self, at: int) -> None:
        """Note that the pipeline listens to the user again."""
        self._note(at, Conversation.user_unmuted)

    def user_said(
        self, at: int, words: SpokenText, *, user_id: str | None = None, language: str | None = None
    ) -> None:
        """Note a final transcription, with the user's id and the language (BCP-47) if known."""
        self._note(at, Conversation.user_said, words, at, user_id, language)

    # The assistant

    def bot_started_speaking(self, at: int, voice: str | None = None) -> None:
        """Note that the assistant's speech was announced, at the output's destination `voice`."""
        self._note(at, Conversation.bot_started, at, voice)

    def bot_stopped_speaking(self, at: int, voice: str | None = None) -> None:
        """Note that the end of the assistant's speech was announced."""
        self._note(at, Conversation.bot_stopped, at, voice)

    def bot_audible_from(self, at: int, edge: Edge) -> None:
        """Note at `at` where the assistant's speech can first be heard."""
        self._note(at, Conversation.bot_onset, edge)

    def bot_audible_until(self, at: int, edge: Edge) -> None:
        """Note at `at` where the assistant's speech can last be heard."""
        self._note(at, Conversation.bot_offset, edge)

    def bot_opened(self, at: int) -> None:
        """Note that the speech service began an utterance."""
        self._note(at, Conversation.bot_opened)

    def bot_closed(self, at: int) -> None:
        """Note that the speech service has made all of an utterance."""
        self._note(at, Conversation.bot_closed)

    def bot_synthesized(self, at: int, seconds: float) -> None:
        """Note that audio of this length was made."""
        self._note_audio(at, Conversation.bot_synthesized, seconds)

    def bot_played(self, at: int, seconds: float) -> None:
        """Note that audio of this length was played, until `at`."""
        self._note_audio(at, Conversation.bot_played, seconds, at)

    def bot_announced(self, at: int, text: str) -> None:
        """Note text that is about to be made into speech."""
        self._note(at, Conversation.bot_announced, text)

    def bot_generated(self, at: int, key: int, words: SpokenText) -> None:
        """Note text that was made into speech, under a key by which it may be released later."""
        self._note(at, Conversation.bot_generated, key, words)

    def bot_said(self, at: int, key: int, words: SpokenText) -> None:
        """Note text that left the output."""
        self._note(at, Conversation.bot_said, key, words, at)

    def interrupted(self, at: int) -> None:
        """Note that what waits to be played was dropped."""
        self._note(at, Conversation.interrupted, at)

    # Tools

    def tool_called(self, at: int, tool_call_id: str, name: str, arguments: str) -> None:
        """Note a tool call; it counts once, however often it is seen."""
        if self._ended is None:
            call = self._calls.setdefault(tool_call_id, _Call(name, arguments, at))
            call.at = min(call.at, at)

    def tool_returned(self, at: int, tool_call_id: str, content: str, *, final: bool) -> None:
        """Note a result of a tool call; unless it is `final`, more may follow."""
        call = self._calls.get(tool_call_id)
        if call and self._ended is None:
            call.results.append((at, content))
            if final:
                call.outcome = "returned"

    def tool_cancelled(self, at: int, tool_call_id: str) -> None:
        """Note that a tool call was given up."""
        call = self._calls.get(tool_call_id)
        if call and self._ended is None and call.outcome == "pending":
            call.outcome = "cancelled"
            call.results.append((at, CANCELLED))

    def report(
        self,
        now: int,
        *,
        wall: Callable[[int], datetime],
        origin: int | None = None,
        offset_ms: OffsetMs | None = None,
        places: Places | None = None,
    ) -> CallReport:
        """Return the call as it is known now.

        Args:
            now: Pipeline time, which bounds whatever still goes on.
            wall: Turns pipeline nanoseconds into UTC.
            origin: Pipeline time of the recording's sample 0; None without a recording.
            offset_ms: Places a sample, by its speaker and index, in the recording; with `True`, as
                the end of speech.
            places: Gives moments their place in a recording that doesn't run with the clock.
        """
        if places is None and origin is not None:
            places = ClockPlaces(origin)
        place = _Places(wall, origin, offset_ms, places)
        now = self._ended[0] if self._ended else now
        turns = sorted(self._settled().turns, key=place.start)
        heard_turns = [turn for turn in turns if heard(turn.fragments)]
        first = [turn.role for turn in heard_turns]
        first += [turn.role for turn in turns if turn.audible and turn.role == "bot"]
        calls = sorted(self._calls.items(), key=lambda item: item[1].at)
        return CallReport(
            pipecat_call_id=self._pipecat_call_id,
            started_at=None if self._started is None else wall(self._started),
            ended_at=wall(self._ended[0]) if self._ended else None,
            ended_reason=self._ended[1] if self._ended else None,
            agent_spoke_first=first[0] == "bot" if first else None,
            turns=place.turns(heard_turns, now),
            tool_calls=tuple(place.tool_call(key, call) for key, call in calls),
        )

    def _note(self, at: int, verb: Callable[..., None], *args: Any) -> None:  # noqa: ANN401
        if self._ended is None:
            self._inbox.insert(self._place(at), (at, verb, args))
        if len(self._inbox) > INBOX_LIMIT:
            _, verb, args = self._inbox.pop(0)
            verb(self._conversation, *args)

    def _note_audio(self, at: int, verb: Callable[..., None], seconds: float, *args: int) -> None:
        """Note audio, in one event with that before it: it comes fifty times a second."""
        place = self._place(at)
        if place and self._inbox[place - 1][1] is verb and self._ended is None:
            since, _, (earlier, *_) = self._inbox[place - 1]
            self._inbox[place - 1] = since, verb, (earlier + seconds, *args)
        else:
            self._note(at, verb, seconds, *args)

    def _place(self, at: int) -> int:
        return bisect_right(self._inbox, at, key=itemgetter(0))

    def _settled(self) -> Conversation:
        """Return the conversation with the whole inbox applied, leaving the real one alone."""
        conversation = self._conversation.fork()
        for _, verb, args in self._inbox:
            verb(conversation, *args)
        return conversation


class _Places:
    """Gives edges their place in wall time and in the recording."""

    def __init__(
        self,
        wall: Callable[[int], datetime],
        origin: int | None,
        offset_ms: OffsetMs | None,
        places: Places | None,
    ) -> None:
        self._wall = wall
        self._origin = origin
        self._offset_ms = offset_ms
        self._places = places

    def at(self, speaker: Speaker, edge: Edge, *, end: bool = False) -> int:
        """Return the pipeline time of an edge: where its sample lies, else the clock's."""
        if self._origin is None or edge.index is None or self._offset_ms is None:
            return edge.at
        return self._origin + MILLISECOND * self._offset_ms(speaker, edge.index, end)

    def start(self, turn: Floor) -> int:
        """Return where a turn starts."""
        start = self.at(turn.role, turn.start)
        return min(start, self.start(turn.answer)) if turn.answer else start

    def end(self, turn: Floor, now: int) -> int:
        """Return where a turn ends; what goes on does so until now."""
        if turn.answer:
            return self.start(turn.answer)
        return now if turn.end is None else self.at(turn.role, turn.end, end=True)

    def ms(self, at: int) -> int | None:
        """Return the place of a moment in the recording."""
        return self._places.place_ms(at) if self._places else None

    def turns(self, turns: list[Floor], now: int) -> tuple[Turn, ...]:
        """Return turns, given in the order of their starts; a speaker's end before the next."""
        spans: list[tuple[int, int]] = []
        limits: dict[Speaker, int] = {}
        for turn in reversed(turns):
            start = self.start(turn)
            end = self.end(turn, now)
            spans.append((start, max(start, min(end, limits.get(turn.role, end)))))
            limits[turn.role] = start
        result: list[Turn] = []
        asked: int | None = None
        for turn, (start, end) in zip(turns, reversed(spans), strict=True):
            result.append(self._turn(turn, start, end, asked))
            asked = end if turn.role == "user" else None
        return tuple(result)

    def tool_call(self, tool_call_id: str, call: _Call) -> ToolCall:
        """Return a tool call with its results."""
        return ToolCall(
            tool_call_id=tool_call_id,
            name=call.name,
            arguments=call.arguments,
            called_at=self._wall(call.at),
            offset_ms=self.ms(call.at),
            results=tuple(
                ToolResult(content=content, returned_at=self._wall(at), offset_ms=self.ms(at))
                for at, content in sorted(call.results, key=itemgetter(0))
            ),
            outcome=call.outcome,
        )

    def _turn(self, turn: Floor, start: int, end: int, asked: int | None) -> Turn:
        span = self._places.span_ms(turn.role, start, end) if self._places else None
        start_ms, end_ms = span or (None, None)
        if span and self._origin is not None:
            start = max(self._origin, start)
        waited = None if asked is None or turn.role == "user" else start - asked
        return Turn(
            role="user" if turn.role == "user" else "assistant",
            content=heard(turn.fragments),
            started_at=self._wall(start),
            ended_at=self._wall(end),
            start_ms=start_ms,
            end_ms=end_ms,
            interrupted=turn.interrupted,
            unheard=unheard(turn.fragments),
            user_id=turn.user_id,
            language=turn.language,
            response_ms=None if waited is None else max(0, round(waited / MILLISECOND)),
        )
