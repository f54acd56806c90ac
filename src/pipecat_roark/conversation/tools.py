"""The tools that the model called in one call, and what they returned."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Literal

from pipecat_roark.report import ToolCall, ToolResult

if TYPE_CHECKING:
    from pipecat_roark.conversation.placement import Placement

CANCELLED = "CANCELLED"
"""The result of a tool call that was cancelled, as in Pipecat's own context."""


@dataclass(slots=True)
class _Invocation:
    """One use of a tool, while results may still come."""

    tool_call_id: str
    name: str
    arguments: str
    at: int
    results: list[tuple[int, str]] = field(default_factory=list)
    outcome: Literal["returned", "cancelled", "pending"] = "pending"

    def report(self, placement: Placement) -> ToolCall:
        return ToolCall(
            tool_call_id=self.tool_call_id,
            name=self.name,
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
    """The tool calls of one call."""

    def __init__(self) -> None:
        self._invocations: dict[str, _Invocation] = {}

    def called(self, at: int, tool_call_id: str, name: str, arguments: str) -> None:
        """Note that a tool was called; the earliest time of several counts."""
        invocation = self._invocations.setdefault(
            tool_call_id, _Invocation(tool_call_id, name, arguments, at)
        )
        invocation.at = min(invocation.at, at)

    def returned(self, at: int, tool_call_id: str, content: str, *, final: bool) -> None:
        """Note a result of a tool call; unless it is `final`, more may follow."""
        if invocation := self._invocations.get(tool_call_id):
            invocation.results.append((at, content))
            if final:
                invocation.outcome = "returned"

    def cancelled(self, at: int, tool_call_id: str) -> None:
        """Note that a tool call was cancelled."""
        invocation = self._invocations.get(tool_call_id)
        if invocation and invocation.outcome == "pending":
            invocation.outcome = "cancelled"
            invocation.results.append((at, CANCELLED))

    def report(self, placement: Placement) -> tuple[ToolCall, ...]:
        """Return the report of all tool calls, in the order in which they were made."""
        invocations = sorted(self._invocations.values(), key=attrgetter("at"))
        return tuple(invocation.report(placement) for invocation in invocations)
