"""A language model that calls tools, behind OpenAI's streaming protocol."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web
from aiohttp.test_utils import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

Answer: TypeAlias = "str | list[tuple[str, dict[str, Any]]]"
"""What the model says, or the tools that it calls and their arguments."""


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
    calls = [
        {
            "index": index,
            "id": f"call-{name}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for index, (name, arguments) in enumerate(answer)
    ]
    parts: list[tuple[dict[str, Any], str | None]] = [({"tool_calls": [c]}, None) for c in calls]
    return [*parts, ({}, "tool_calls")]
