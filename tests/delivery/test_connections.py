"""What a request costs, and what stays of it."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.connections import Connections
from pipecat_roark.delivery.exchange import Request
from support.servers import EVENT, KEY, PATIENCE_SECS, PCM, STORE, failed, hang, serving

if TYPE_CHECKING:
    from aiohttp import web


async def test_a_request_takes_no_task() -> None:
    """Once the connection is open, a voice call's event loop has nothing more to switch between."""
    hung_up = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()
        hung_up.set()

    tasks: list[str] = []

    def start(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        tasks.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = RoarkClient(url, KEY, "call#1")
        await client.send_event(b"")
        loop.set_task_factory(start)
        try:
            await client.send_event(b"")
        finally:
            loop.set_task_factory(None)
        await client.aclose()
        await hung_up.wait()
    assert tasks == []


async def test_only_the_opening_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace costs time in each phase of a request, and is of use for the handshake alone."""
    traced: list[bool] = []
    handle = httpx.AsyncHTTPTransport.handle_async_request

    async def handling(
        transport: httpx.AsyncHTTPTransport, request: httpx.Request
    ) -> httpx.Response:
        traced.append("trace" in request.extensions)
        response = await handle(transport, request)
        traced.append("trace" in request.extensions)
        return response

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handling)
    async with serving() as (client, _):
        await client.send_event(EVENT)
        await client.send_event(EVENT)
    assert traced == [True, False, True, False]


async def test_no_presigned_url_is_kept() -> None:
    """It is used once, and holds a signature."""
    async with serving() as (client, requests):
        await client.upload_chunk(0, PCM)
        gc.collect()
        urls = [str(one) for one in gc.get_objects() if isinstance(one, httpx.URL)]
        kept = [url for url in urls if requests[0].host in url]
        assert [url for url in kept if "chunk-upload-url" in url]
        assert [url for url in kept if "signature" in url] == []


def test_a_request_shows_nothing() -> None:
    """Neither key nor signature nor audio."""
    request = Request(method="PUT", url=STORE, body=PCM, headers={"x": KEY}, recurs=False)
    assert "private" not in repr(request)
    assert str(PCM) not in repr(request)


async def test_a_cancelled_request_is_cancelled() -> None:
    """It counts as no failure of the network, and the next one goes out."""
    arrived = asyncio.Event()

    async def hang_on(request: web.Request) -> web.StreamResponse:
        arrived.set()
        return await hang(request)

    async with serving(put=hang_on) as (client, requests):
        sending = asyncio.create_task(client.upload_chunk(0, PCM))
        await arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await client.send_event(EVENT)
        assert len(requests) == 3


@pytest.mark.live
async def test_an_opening_that_takes_long_serves_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The try ends in its time, and what it has begun is not begun again."""
    built, openings = threading.Event(), 0

    def open_slowly(*options: Any) -> Connections:
        nonlocal openings
        openings += 1
        built.wait(PATIENCE_SECS)
        return Connections(*options)

    monkeypatch.setattr("pipecat_roark.delivery.client._connect", open_slowly)
    async with serving(answer_secs=0.5) as (client, requests):
        failure = await failed(client.send_event(EVENT))
        assert (str(failure), failure.retryable) == ("no answer from Roark in time", True)
        built.set()
        await client.send_event(EVENT)
        assert (len(requests), openings) == (1, 1)
