"""The tools that the model called in one call, and what they returned."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Literal

from pipecat_roark.conversation.steps import ToolSpan
from pipecat_roark.report import ToolCall, ToolResult, unique_id

if TYPE_CHECKING:
    from pipecat_roark.conversation.placement import Placement

CANCELLED = "CANCELLED"
"""The result of a tool call that was cancelled, as in Pipecat's own context."""
UNNAMED = "unknown"
"""The name of a tool if the model gave none."""


@dataclass(slots=True)
class _Invocation:
    """One use of a tool, while results may still come.

    Attributes:
        unique_id: The id in the report.
        frame: The identity of the frame that announced it, if one was seen.
    """

    unique_id: str
    name: str
    arguments: str
    at: int
    frame: int | None
    results: list[tuple[int, str]] = field(default_factory=list)
    outcome: Literal["returned", "cancelled", "pending"] = "pending"

    def likeness(self, name: str | None, arguments: str | None) -> tuple[bool, bool, bool]:
        """Return how well a result of a tool with this name and arguments fits; more is better."""
        named = name in (None, self.name)
        return named, named and arguments in (None, self.arguments), self.outcome == "pending"

    def span(self) -> ToolSpan:
        """Return when it ran, until its first result."""
        end = min((at for at, _ in self.results), default=None)
        return ToolSpan(self.at, end, self.name if self.name.strip() else UNNAMED)

    def report(self, placement: Placement) -> ToolCall:
        """Return what the user of the library gets."""
        return ToolCall(
            tool_call_id=self.unique_id,
            name=self.name if self.name.strip() else UNNAMED,
            arguments=self.arguments,
            called_at=placement.wall(self.at),
            offset_ms=placement.ms(self.at),
            results=tuple(
                ToolResult(
                    content=content, returned_at=placement.wall(at), offset_ms=placement.ms(at)
                )
                for at, content in sorted(self.results, key=itemgetter(0))
            ),
            outcome=self.outcome,
        )


class Tools:
    """The tool calls of one call.

    Models give ids that come again in each turn, and empty ones. So an id does not name a tool
    call: the frame that announces it does. A result belongs to the call with its id that fits it
    best, by the name and arguments of the tool.
    """

    def __init__(self) -> None:
        self._invocations: dict[str, list[_Invocation]] = {}
        self._unique_ids: set[str] = set()

    def called(
        self, at: int, tool_call_id: str, name: str, arguments: str, frame: int | None = None
    ) -> None:
        """Note that a tool was called.

        Args:
            at: Pipeline time; the earliest of several for the same call counts.
            tool_call_id: The id that the model gave.
            name: The tool's name.
            arguments: Its arguments as text.
            frame: The identity of the frame that announced the call. Without one, it is a new call
                only if no other with this id waits for a result or has these arguments.
        """
        seen = self._invocations.setdefault(tool_call_id, [])
        if frame is None:
            same = [
                one
                for one in seen
                if one.outcome == "pending" or (one.name, one.arguments) == (name, arguments)
            ]
        else:
            same = [one for one in seen if one.frame == frame]
        if same:
            same[-1].at = min(same[-1].at, at)
            return
        unique = unique_id(tool_call_id if tool_call_id.strip() else name, self._unique_ids)
        self._unique_ids.add(unique)
        seen.append(_Invocation(unique, name, arguments, at, frame))

    def returned(  # noqa: PLR0913  # a result, and what tells which call it belongs to
        self,
        at: int,
        tool_call_id: str,
        content: str,
        *,
        final: bool,
        called_name: str | None = None,
        called_arguments: str | None = None,
    ) -> None:
        """Note a result of a tool call; unless it is `final`, more may follow."""
        if invocation := self._best(tool_call_id, called_name, called_arguments):
            invocation.results.append((at, content))
            if final:
                invocation.outcome = "returned"

    def cancelled(self, at: int, tool_call_id: str, called_name: str | None = None) -> None:
        """Note that a tool call was cancelled."""
        invocation = self._best(tool_call_id, called_name, None)
        if invocation and invocation.outcome == "pending":
            invocation.outcome = "cancelled"
            invocation.results.append((at, CANCELLED))

    def spans(self) -> list[ToolSpan]:
        """Return when each tool ran until its first result, in the order of their begins."""
        return sorted(
            (one.span() for one in chain(*self._invocations.values())), key=attrgetter("begin")
        )

    def report(self, placement: Placement) -> tuple[ToolCall, ...]:
        """Return the report of all tool calls, in the order in which they were made."""
        invocations = sorted(chain(*self._invocations.values()), key=attrgetter("at"))
        return tuple(invocation.report(placement) for invocation in invocations)

    def _best(
        self, tool_call_id: str, name: str | None, arguments: str | None
    ) -> _Invocation | None:
        """Return the tool call that a result fits best: among equals, the oldest that waits."""
        seen = self._invocations.get(tool_call_id, [])
        waiting = [one for one in seen if one.outcome == "pending"]
        candidates = [*waiting, *reversed([one for one in seen if one.outcome != "pending"])]
        return max(candidates, key=lambda one: one.likeness(name, arguments), default=None)
