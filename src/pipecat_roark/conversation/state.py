"""What was said and done in one call: the door to the conversation and the tools.

Pure: no Pipecat, no I/O, and time comes in as a value. Times are pipeline nanoseconds.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from pipecat_roark.conversation.bot_turn import BotTurn
from pipecat_roark.conversation.checks import check
from pipecat_roark.conversation.inbox import Inbox
from pipecat_roark.conversation.past import PastTurns
from pipecat_roark.conversation.placement import Placement
from pipecat_roark.conversation.tools import Tools
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.conversation.user_turn import UserTurn
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.moments import ClockPlaces
from pipecat_roark.report import CallReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from pipecat_roark.moments import OffsetMs, Places
    from pipecat_roark.report import Turn

P = ParamSpec("P")


class CallState:
    """The state of one call, from its first event to its report.

    Events may come in any order. A verb never fails because of its arguments: an event with a wrong
    one is logged and costs itself alone.

    Args:
        pipecat_call_id: The call's identity.
        boundary: Catches and logs errors; by default, one of its own does.
    """

    def __init__(self, pipecat_call_id: str, boundary: ErrorBoundary | None = None) -> None:
        self._pipecat_call_id = pipecat_call_id
        self._boundary = boundary or ErrorBoundary("call")
        self._inbox = Inbox(self._boundary)
        # Words take memory, so they are kept only if somebody asks for them.
        self._past = {words: PastTurns() for words in (True, False)}
        self._tools = Tools()
        self._started: int | None = None
        self._ended: tuple[int, str] | None = None

    def started(self, at: int) -> None:
        """Note that the pipeline started; only the first time counts."""
        with self._boundary.reading("start"):
            check(CallState.started, (at,), {})
            self._started = at if self._started is None else self._started

    def ended(self, at: int, reason: str) -> None:
        """Note that the call ended; only the first time counts, and later events change nothing."""
        with self._boundary.reading("end"):
            check(CallState.ended, (at, reason), {})
            self.note("end", at, Conversation.ended, at)
            self._ended = self._ended or (at, reason)

    def note(
        self,
        kind: str,
        at: int,
        verb: Callable[Concatenate[Conversation, P], None],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Note an event of the conversation.

        Args:
            kind: Where the event came from, such as the name of a frame's type. It is logged if the
                event cannot be used.
            at: Pipeline time at which it happened.
            verb: What happened.
            args: The verb's arguments.
            kwargs: The verb's arguments by name.
        """
        if self._ended is None:
            self._inbox.add(kind, at, verb, args, kwargs)

    def tool_called(
        self, at: int, tool_call_id: str, name: str, arguments: str, *, frame: int | None = None
    ) -> None:
        """Note a tool call; it counts once, however often the same `frame` is seen.

        Args:
            at: Pipeline time.
            tool_call_id: The id that the model gave; it may come again, or be empty.
            name: The tool's name.
            arguments: Its arguments as text.
            frame: The identity of the frame that announced the call; None if a result did.
        """
        self._note_tool(Tools.called, at, tool_call_id, name, arguments, frame)

    def tool_returned(  # noqa: PLR0913  # a result, and what tells which call it belongs to
        self,
        at: int,
        tool_call_id: str,
        content: str,
        *,
        final: bool,
        called_name: str | None = None,
        called_arguments: str | None = None,
    ) -> None:
        """Note a result of a tool call; unless it is `final`, more may follow.

        Args:
            at: Pipeline time.
            tool_call_id: The id that the model gave to the call.
            content: The result as text.
            final: Whether it is the last result.
            called_name: The tool's name, if the result tells it.
            called_arguments: The arguments of the call, if the result tells them.
        """
        self._note_tool(
            Tools.returned,
            at,
            tool_call_id,
            content,
            final=final,
            called_name=called_name,
            called_arguments=called_arguments,
        )

    def tool_cancelled(self, at: int, tool_call_id: str, *, called_name: str | None = None) -> None:
        """Note that a tool call was cancelled."""
        self._note_tool(Tools.cancelled, at, tool_call_id, called_name)

    def report(  # noqa: PLR0913  # keyword-only, what a moment is converted by
        self,
        now: int,
        *,
        wall: Callable[[int], datetime],
        origin: int | None = None,
        offset_ms: OffsetMs | None = None,
        places: Places | None = None,
        pauses: Iterable[tuple[int, int | None]] = (),
        words: bool = True,
    ) -> CallReport:
        """Return the call as it is known now.

        Args:
            now: Pipeline time, which ends whatever has no end yet.
            wall: Converts pipeline nanoseconds to UTC.
            origin: Pipeline time of the recording's first sample; None without a recording.
            offset_ms: Returns the place of a sample in the recording, by its speaker and index;
                with `True`, as the end of speech. None if places are unknown.
            places: Gives moments their place in a recording that does not run with the clock.
            pauses: Begin and end of each pause, in pipeline time; the end is None while it lasts.
            words: Whether turns have their words with their places, and their latency.
        """
        if places is None and origin is not None:
            places = ClockPlaces(origin)
        conversation, ended = self._inbox.conversation(), self._ended
        placement = Placement(
            ended[0] if ended else now,
            wall,
            origin,
            offset_ms,
            places,
            is_open=lambda turn: not ended and conversation.is_open(turn, now),
            words=words,
            tools=self._tools.spans(),
        )
        spoken = self._past[words].report(conversation.turns, self._inbox.settled(now), placement)
        written = [placement.message(one, ended=bool(ended)) for one in conversation.written()]
        all_turns = sorted([*spoken, *written], key=attrgetter("started_at"))
        return CallReport(
            pipecat_call_id=self._pipecat_call_id,
            started_at=None if self._started is None else wall(self._started),
            ended_at=wall(ended[0]) if ended else None,
            ended_reason=ended[1] if ended else None,
            agent_spoke_first=_bot_was_first(all_turns, conversation),
            turns=tuple(all_turns),
            tool_calls=self._tools.report(placement),
            pauses=tuple(placement.pause(*pause) for pause in pauses),
            settled_ms=None if ended else placement.ms(conversation.open_since(now)),
        )

    def closings(self) -> list[int]:
        """Return when the pipeline took each of the user's turns as finished, if it ever did."""
        turns = self._inbox.conversation().turns
        found = [turn.closed_at for turn in turns if isinstance(turn, UserTurn)]
        return sorted(at for at in found if at is not None)

    def _note_tool(
        self,
        verb: Callable[Concatenate[Tools, P], None],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        with self._boundary.reading("tool call"):
            check(verb, args, kwargs)
            if self._ended is None:
                verb(self._tools, *args, **kwargs)


def _bot_was_first(turns: list[Turn], conversation: Conversation) -> bool | None:
    """Return whether the bot spoke first; None while nobody has spoken."""
    if turns:
        return turns[0].role == "assistant"
    audible = any(isinstance(turn, BotTurn) and turn.audible for turn in conversation.turns)
    return True if audible else None
