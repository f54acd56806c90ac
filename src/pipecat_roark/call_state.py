"""What was said and done in one call.

Frames reach an observer late and in another order than the recorder sees them. So every verb takes
the time at which its event happened, and the events wait in an inbox, sorted by that time, until
enough later ones have come. A report reads the conversation as if the inbox had been applied.

Pure: no Pipecat, no I/O, and time comes in as a value. Times are pipeline nanoseconds.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from pipecat_roark.conversation import Conversation, Edge, Floor, Words, join
from pipecat_roark.report import CallReport, ToolCall, ToolResult, Turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pipecat_roark.timeline import Speaker

    OffsetMs = Callable[[Speaker, int, bool], int]

INBOX_LIMIT = 512
"""Events that wait for earlier ones; far more than a lagging callback leaves behind."""
_SAME_RESULT_NS = 250_000_000
_OPEN_TURNS = 8
"""How many of the latest turns an event in the inbox may still change."""


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
            self._ended = at, reason

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

    def user_said(
        self,
        at: int,
        text: str,
        *,
        spaced: bool = False,
        user_id: str | None = None,
        language: str | None = None,
    ) -> None:
        """Note a final transcription.

        Args:
            at: When it came.
            text: The words.
            spaced: Whether the text brings the spaces around it along.
            user_id: The user's id, if known.
            language: BCP-47, if known.
        """
        self._note(at, Conversation.user_said, Words(text, spaced), at, user_id, language)

    def bot_started_speaking(self, at: int) -> None:
        """Note that the assistant's speech was announced."""
        self._note(at, Conversation.bot_started, at)

    def bot_stopped_speaking(self, at: int) -> None:
        """Note that the end of the assistant's speech was announced."""
        self._note(at, Conversation.bot_stopped, at)

    def bot_audible_from(self, at: int, edge: Edge) -> None:
        """Note at `at` where the assistant's speech can first be heard."""
        self._note(at, Conversation.bot_onset, edge)

    def bot_audible_until(self, at: int, edge: Edge) -> None:
        """Note at `at` where the assistant's speech can last be heard."""
        self._note(at, Conversation.bot_offset, edge)

    def bot_synthesized(self, at: int, seconds: float) -> None:
        """Note that speech of this length was made for the text that follows."""
        self._note(at, Conversation.bot_synthesized, seconds)

    def bot_generated(self, at: int, key: int, text: str, *, spaced: bool = False) -> None:
        """Note text that was made into speech, under a key by which it may be played later."""
        self._note(at, Conversation.bot_generated, key, Words(text, spaced))

    def bot_said(self, at: int, key: int, text: str, *, spaced: bool = False) -> None:
        """Note text that was played."""
        self._note(at, Conversation.bot_said, key, Words(text, spaced), at)

    def interrupted(self, at: int) -> None:
        """Note that what waits to be played was dropped."""
        self._note(at, Conversation.interrupted, at)

    def tool_called(self, at: int, tool_call_id: str, name: str, arguments: str) -> None:
        """Note a tool call; it counts once, however often it is seen."""
        if self._ended is None:
            self._calls.setdefault(tool_call_id, _Call(name, arguments, at))

    def tool_returned(self, at: int, tool_call_id: str, content: str, *, final: bool) -> None:
        """Note a result of a tool call; unless it is `final`, more may follow."""
        call = self._calls.get(tool_call_id)
        if call is None or self._ended is not None:
            return
        # Before broadcasts named their siblings, a result came once each way, as two frames.
        if not (call.results and call.results[-1][1] == content and _same(call.results[-1][0], at)):
            call.results.append((at, content))
        if final:
            call.outcome = "returned"

    def tool_cancelled(self, at: int, tool_call_id: str) -> None:
        """Note that a tool call was given up."""
        call = self._calls.get(tool_call_id)
        if call and self._ended is None and call.outcome == "pending":
            call.outcome = "cancelled"
            call.results.append((at, "CANCELLED"))

    def report(
        self,
        now: int,
        *,
        wall: Callable[[int], datetime],
        origin: int | None = None,
        offset_ms: OffsetMs | None = None,
    ) -> CallReport:
        """Return the call as it is known now.

        Args:
            now: Pipeline time, which bounds whatever still goes on.
            wall: Turns pipeline nanoseconds into UTC.
            origin: Pipeline time of the recording's sample 0; None without a recording.
            offset_ms: Places a sample, by its speaker and index, in the recording; with `True`, as
                the end of speech.
        """
        conversation = self._settled()
        place = _Places(wall, origin, offset_ms)
        now = self._ended[0] if self._ended else now
        turns = sorted(conversation.turns, key=lambda turn: place.at(turn.role, turn.start))
        spoken = [turn for turn in turns if turn.pieces]
        voiced = spoken or [turn for turn in turns if turn.audible and turn.role == "assistant"]
        return CallReport(
            pipecat_call_id=self._pipecat_call_id,
            started_at=None if self._started is None else wall(self._started),
            ended_at=wall(self._ended[0]) if self._ended else None,
            ended_reason=self._ended[1] if self._ended else None,
            agent_spoke_first=voiced[0].role == "assistant" if voiced else None,
            turns=place.turns(spoken, now),
            tool_calls=tuple(place.tool_call(key, call) for key, call in self._calls.items()),
        )

    def _note(self, at: int, verb: Callable[..., None], *args: Any) -> None:  # noqa: ANN401
        if self._ended is not None:
            return
        insort(self._inbox, (at, verb, args), key=itemgetter(0))
        if len(self._inbox) > INBOX_LIMIT:
            _, verb, args = self._inbox.pop(0)
            verb(self._conversation, *args)

    def _settled(self) -> Conversation:
        """Return the conversation with the whole inbox applied, leaving the real one alone."""
        conversation = self._conversation.fork(_OPEN_TURNS)
        for _, verb, args in self._inbox:
            verb(conversation, *args)
        return conversation


class _Places:
    """Gives edges their place in wall time and in the recording."""

    def __init__(
        self, wall: Callable[[int], datetime], origin: int | None, offset_ms: OffsetMs | None
    ) -> None:
        self._wall = wall
        self._origin = origin
        self._offset_ms = offset_ms

    def at(self, speaker: Speaker, edge: Edge, *, end: bool = False) -> int:
        """Return the pipeline time of an edge: where its sample lies, else the clock's."""
        if edge.index is None or self._offset_ms is None or self._origin is None:
            return edge.at
        return self._origin + 1_000_000 * self._offset_ms(speaker, edge.index, end)

    def ms(self, at: int) -> int | None:
        """Return a pipeline time as milliseconds in the recording."""
        return None if self._origin is None else max(0, round((at - self._origin) / 1_000_000))

    def turns(self, turns: list[Floor], now: int) -> tuple[Turn, ...]:
        """Return turns whose edges never run backwards, for each speaker."""
        result: list[Turn] = []
        until: dict[Speaker, int] = {}
        answers: int | None = None
        for turn in turns:
            start = max(self.at(turn.role, turn.start), until.get(turn.role, 0))
            end = now if turn.end is None else self.at(turn.role, turn.end, end=True)
            end = until[turn.role] = max(start, end)
            asked = answers if turn.role == "assistant" else None
            answers = end if turn.role == "user" else None
            result.append(
                Turn(
                    role=turn.role,
                    content=join(turn.pieces),
                    started_at=self._wall(start),
                    ended_at=self._wall(end),
                    start_ms=self.ms(start),
                    end_ms=self.ms(end),
                    interrupted=turn.interrupted,
                    unheard=join(turn.unheard),
                    user_id=turn.user_id,
                    language=turn.language,
                    response_ms=None if asked is None else max(0, (start - asked) // 1_000_000),
                )
            )
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
                for at, content in call.results
            ),
            outcome=call.outcome,
        )


def _same(earlier: int, later: int) -> bool:
    return later - earlier <= _SAME_RESULT_NS
