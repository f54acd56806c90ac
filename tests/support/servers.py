"""Real servers that answer as scripted, and what is asked of a request that fails."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipecat_roark.delivery.client import EVENTS_PATH, UPLOADS_PATH, RoarkClient
from pipecat_roark.delivery.retry import DeliveryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEY = "rk-private"
STORE = "https://store.test/bucket/0.pcm?signature=private"
EVENT = b'{"event":"call-started"}'
PCM = bytes(range(256))
PATIENCE_SECS = 10.0
"""More time than loopback takes on the slowest machine."""


@asynccontextmanager
async def serving(
    *,
    event: Handler | None = None,
    ticket: Handler | None = None,
    put: Handler | None = None,
    answer_secs: float = PATIENCE_SECS,
    upload_secs: float = PATIENCE_SECS,
) -> AsyncIterator[tuple[RoarkClient, list[web.Request]]]:
    """Run a real server with scripted handlers, and a client of it; collect the requests."""
    requests: list[web.Request] = []

    def kept(handler: Handler | None) -> Handler:
        async def keep(request: web.Request) -> web.StreamResponse:
            requests.append(request)
            if handler is not None:
                return await handler(request)
            return web.json_response({"uploadUrl": str(server.make_url("/put?signature=private"))})

        return keep

    app = web.Application()
    app.router.add_post(EVENTS_PATH, kept(event))
    app.router.add_post(UPLOADS_PATH, kept(ticket))
    app.router.add_put("/put", kept(put))
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        client = RoarkClient(url, KEY, "call#1", answer_secs=answer_secs, upload_secs=upload_secs)
        try:
            yield client, requests
        finally:
            await client.aclose()


async def failed(request: Awaitable[None]) -> DeliveryError:
    """Return the error of a request that fails, which holds nothing private."""
    with pytest.raises(DeliveryError) as caught:
        await request
    assert "private" not in f"{caught.value!r} {caught.value.__cause__!r}"
    return caught.value


async def drip(request: web.Request) -> web.StreamResponse:
    """Answer one byte at a time, for ever."""
    reply = web.StreamResponse()
    await reply.prepare(request)
    while True:
        await reply.write(b" ")
        await asyncio.sleep(0.02)


async def hang(_: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def break_off(request: web.Request) -> web.StreamResponse:
    """Announce more than is sent."""
    reply = web.StreamResponse(headers={"content-length": "100"})
    await reply.prepare(request)
    await reply.write(b'{"uploadUrl": "')
    assert request.transport is not None
    request.transport.close()
    return reply
