"""A processor that runs tools as a language model's service does."""

from __future__ import annotations

from typing import Any

from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor


class Toolbox(FrameProcessor):
    """Runs tools as a language model's service does: every frame goes both ways."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass a frame on."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)

    async def call(self, name: Any, arguments: Any, **given: Any) -> None:
        """Begin to run a tool, under the id that the model gave."""
        await self._tell(FunctionCallInProgressFrame, name, given, arguments=arguments)

    async def give(self, name: Any, result: Any, arguments: Any = None, **given: Any) -> None:
        """Return what a tool returned."""
        fields = {"arguments": arguments or {}, "result": result}
        await self._tell(FunctionCallResultFrame, name, given, **fields)

    async def drop(self, name: Any, **given: Any) -> None:
        """Give a tool up."""
        await self._tell(FunctionCallCancelFrame, name, given)

    async def _tell(self, kind: type[Frame], name: Any, given: dict[str, Any], **rest: Any) -> None:
        """Push a frame each way, as this Pipecat does."""
        fields = {"function_name": name, "tool_call_id": f"id-{name}", **given, **rest}
        if hasattr(self, "broadcast_frame"):
            await self.broadcast_frame(kind, **fields)
        else:
            await self.push_frame(kind(**fields), FrameDirection.DOWNSTREAM)
            await self.push_frame(kind(**fields), FrameDirection.UPSTREAM)
