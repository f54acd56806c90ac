"""A language model that calls tools, behind OpenAI's streaming protocol."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web
from aiohttp.test_utils import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@dataclass
class ToolCall:
    """A call of a tool by the model."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    tool_call_id: str | None = "call-1"
    """The id that the model gives, if any."""
    parted: bool = False
    """Whether the id comes in a later part of the stream than the name."""

    def deltas(self, index: int) -> list[dict[str, Any]]:
        """Return it as parts of the stream."""
        arguments = json.dumps(self.arguments)
        if not self.parted:
            whole = {"name": self.name, "arguments": arguments}
            return [self._delta(index, self.tool_call_id, whole)]
        return [
            self._delta(index, None, {"name": self.name, "arguments": ""}),
            self._delta(index, self.tool_call_id, {"arguments": arguments}),
        ]

    @staticmethod
    def _delta(index: int, tool_call_id: str | None, function: dict[str, str]) -> dict[str, Any]:
        call = {"index": index, "id": tool_call_id, "type": "function", "function": function}
        return {"tool_calls": [call]}


Answer: TypeAlias = "str | list[ToolCall]"
"""What the model says, or the tools that it calls."""


@asynccontextmanager
async def serve(answers: Sequence[Answer]) -> AsyncIterator[str]:
    """Serve a model that gives these answers in turn, and yield its base URL."""
    left = iter(answers)

    async def complete(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        response.force_close()
        await response.prepare(request)
        for delta, finish in _deltas(next(left, "")):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
            await response.write(f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


def _deltas(answer: Answer) -> list[tuple[dict[str, Any], str | None]]:
    if isinstance(answer, str):
        return [({"role": "assistant", "content": answer}, None), ({}, "stop")]
    deltas = [delta for index, call in enumerate(answer) for delta in call.deltas(index)]
    return [*((delta, None) for delta in deltas), ({}, "tool_calls")]
