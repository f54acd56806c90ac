"""What Pipecat's frames say about the tools that the model calls.

A service passes on whatever the model gave as id and name, so both are made into text here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark import compat
from pipecat_roark.plain import arguments_text, result_text

if TYPE_CHECKING:
    from pipecat.frames.frames import (
        FunctionCallCancelFrame,
        FunctionCallInProgressFrame,
        FunctionCallResultFrame,
    )

    from pipecat_roark.conversation.state import CallState
    from pipecat_roark.sighting import Sightings


class ToolFrames:
    """Reads the frames of tool calls into the state of a call.

    Args:
        state: The state.
        sightings: The frames that were seen already.
    """

    def __init__(self, state: CallState, sightings: Sightings) -> None:
        self._state = state
        self._sightings = sightings

    def called(self, frame: FunctionCallInProgressFrame, at: int) -> None:
        """Read a call at its pipeline time."""
        call_id, name = result_text(frame.tool_call_id), result_text(frame.function_name)
        arguments = arguments_text(frame.arguments)
        broadcast = self._sightings.tool_broadcast(frame, at, call_id, arguments)
        self._state.tool_called(at, call_id, name, arguments, frame=broadcast)

    def returned(self, frame: FunctionCallResultFrame, at: int) -> None:
        """Read a result at its pipeline time; it brings its call along, if nobody saw that."""
        call_id, name = result_text(frame.tool_call_id), result_text(frame.function_name)
        content = result_text(frame.result)
        if not self._sightings.is_first_of_tool(frame, at, call_id, content):
            return
        arguments = arguments_text(frame.arguments)
        self._state.tool_called(at, call_id, name, arguments)
        final = compat.is_final(frame.properties)
        self._state.tool_returned(
            at, call_id, content, final=final, called_name=name, called_arguments=arguments
        )

    def cancelled(self, frame: FunctionCallCancelFrame, at: int) -> None:
        """Read a cancellation at its pipeline time."""
        call_id, name = result_text(frame.tool_call_id), result_text(frame.function_name)
        if self._sightings.is_first_of_tool(frame, at, call_id, name):
            self._state.tool_cancelled(at, call_id, called_name=name)
