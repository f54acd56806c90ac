"""A language model that fits on a page: OpenAI's streaming protocol, and answers by rule."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

GREETING = "Hello, this is the city guide. How can I help you?"
HISTORY = (
    "London was founded by the Romans almost two thousand years ago. "
    "They built a bridge over the river, and a wall around the town. "
    "The great fire destroyed most of the old city in a few days. "
    "It was built again in brick and stone, and it never stopped growing. "
    "Today nine million people live there."
)
GOODBYE = "You are welcome. Goodbye."
REPEAT = "Sorry, could you say that again?"

# Seconds between two pieces of an answer: about what a fast model needs.
_PACE = 0.02


@dataclass(frozen=True)
class Say:
    """An answer in words."""

    text: str


@dataclass(frozen=True)
class Call:
    """A request to run a tool."""

    name: str
    arguments: dict[str, str]


def answer(messages: list[dict[str, Any]]) -> Say | Call:
    """Choose an answer to the last message, as a model would.

    Args:
        messages: The conversation in OpenAI's format, oldest first.
    """
    last = next((m for m in reversed(messages) if m["role"] in ("user", "tool")), None)
    if last is None:
        return Say(GREETING)
    if last["role"] == "tool":
        found = json.loads(last["content"])
        return Say(f"The weather in {found['city']} is {found['weather']} today.")
    text = last["content"].lower()
    if "enough" in text or "stop" in text:
        return Say(GOODBYE)
    if "history" in text:
        return Say(HISTORY)
    if city := re.search(r"weather.* in (\w+)", text):
        return Call("get_weather", {"city": city[1].title()})
    return Say(REPEAT)


def _deltas(reply: Say | Call) -> Iterator[dict[str, Any]]:
    if isinstance(reply, Say):
        for word in re.findall(r"\S+\s*", reply.text):
            yield {"content": word}
        return
    function = {"name": reply.name, "arguments": json.dumps(reply.arguments)}
    yield {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "rules",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def _complete(request: web.Request) -> web.StreamResponse:
    reply = answer((await request.json())["messages"])
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    response.force_close()  # Pipecat closes no client: leave it no connection to keep open.
    await response.prepare(request)
    try:
        for delta in _deltas(reply):
            await response.write(_event({"role": "assistant", **delta}))
            await asyncio.sleep(_PACE)
        await response.write(_event({}, "tool_calls" if isinstance(reply, Call) else "stop"))
        await response.write(b"data: [DONE]\n\n")
    except ConnectionResetError:
        # The caller interrupted: the pipeline wants no more of this answer.
        pass
    return response


@asynccontextmanager
async def serve() -> AsyncIterator[str]:
    """Serve the model on a free port of this machine, and yield its base URL."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"{site.name}/v1"
    finally:
        await runner.cleanup()
