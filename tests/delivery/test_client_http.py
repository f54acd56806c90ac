"""One request at a time, against real servers."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import socket
import sys
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from loguru import logger

from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.connections import MAX_REPLY_BYTES
from pipecat_roark.delivery.retry import DeliveryError
from support.servers import (
    EVENT,
    KEY,
    PATIENCE_SECS,
    PCM,
    STORE,
    break_off,
    drip,
    failed,
    hang,
    serving,
)

if TYPE_CHECKING:
    from support.servers import Handler


async def test_a_server_without_tls_is_a_failed_try(unused_tcp_port: int) -> None:
    """A failed handshake and a closed port may be repaired later."""
    async with TestServer(web.Application()) as server:
        for port in (server.port, unused_tcp_port):
            client = RoarkClient(f"https://127.0.0.1:{port}", KEY, "call#1")
            failure = await failed(client.send_event(EVENT))
            assert (str(failure), failure.retryable) == ("ConnectError on the way to Roark", True)
            await client.aclose()


@pytest.mark.live
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog drops no packets")
async def test_a_network_that_drops_packets_is_a_failed_try() -> None:
    """The connection is never made and no error comes: a try ends after `answer_secs`."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as others:
        while True:  # until the backlog is full, and the system drops whoever knocks
            other = others.enter_context(socket.socket())
            other.settimeout(0.2)
            try:
                other.connect(server.getsockname())
            except TimeoutError:
                break
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        client = RoarkClient(url, KEY, "call#1", answer_secs=0.3)
        began = asyncio.get_running_loop().time()
        failure = await failed(client.send_event(EVENT))
        assert 0.2 < asyncio.get_running_loop().time() - began < PATIENCE_SECS
        assert (str(failure), failure.retryable) == ("no answer from Roark in time", True)
        await client.aclose()


async def test_a_handshake_that_stands_still_is_hung_up() -> None:
    """Its connection is closed with the try, not by the collector at some later time."""
    hung_up = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(65536):
                pass
        hung_up.set()
        writer.close()

    gc.disable()
    try:
        async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            client = RoarkClient(url, KEY, "call#1", answer_secs=0.2)
            with pytest.raises(DeliveryError) as failure:
                await client.send_event(EVENT)
            await asyncio.wait_for(hung_up.wait(), PATIENCE_SECS)
            await client.aclose()
    finally:
        gc.enable()
    assert failure.value.retryable


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    """The key and the audio go where they were meant to go, or nowhere."""

    async def redirect(_: web.Request) -> web.Response:
        headers = {"location": str(other.make_url("/?signature=private"))}
        return web.Response(status=status, headers=headers)

    visits: list[web.Request] = []

    async def visit(request: web.Request) -> web.Response:
        visits.append(request)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", visit)
    async with TestServer(app) as other, serving(event=redirect, put=redirect) as (client, _):
        for request, to in (
            (client.send_event(EVENT), "Roark"),
            (client.upload_chunk(0, PCM), "the object store"),
        ):
            failure = await failed(request)
            assert (str(failure), failure.retryable) == (f"{to} answered {status}", True)
    assert visits == []


@pytest.mark.live
async def test_no_answer_takes_for_ever() -> None:
    """A server that is silent is left after a bounded time, and so is an upload URL that drips."""
    began = asyncio.get_running_loop().time()
    async with serving(event=hang, ticket=hang, answer_secs=0.3) as (client, _):
        for request in (client.send_event(EVENT), client.upload_chunk(0, PCM)):
            failure = await failed(request)
            assert (str(failure), failure.retryable) == ("no answer from Roark in time", True)
    async with serving(ticket=drip, answer_secs=0.3) as (client, _):
        failure = await failed(client.upload_chunk(0, PCM))
        assert (str(failure), failure.retryable) == ("no answer from Roark in time", True)
    async with serving(put=hang, upload_secs=0.6) as (client, _):
        failure = await failed(client.upload_chunk(0, PCM))
        assert str(failure) == "no answer from the object store in time"
        assert failure.retryable
    assert asyncio.get_running_loop().time() - began < PATIENCE_SECS


@pytest.mark.parametrize("handler", [drip, break_off], ids=["drips", "breaks off"])
async def test_the_status_line_is_the_acknowledgement(handler: Handler) -> None:
    """What becomes of the body changes nothing, and nothing is sent twice for it."""
    began = asyncio.get_running_loop().time()
    async with serving(event=handler, put=handler) as (client, requests):
        await client.send_event(EVENT)
        await client.upload_chunk(0, PCM)
        assert len(requests) == 3
    assert asyncio.get_running_loop().time() - began < PATIENCE_SECS


async def test_the_body_of_an_error_is_not_waited_for() -> None:
    """The status line says what went wrong; a body that drips behind it delays nothing."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(status=429, headers={"retry-after": "7"})
        await reply.prepare(request)
        while True:
            await reply.write(b" ")
            await asyncio.sleep(0.02)

    began = asyncio.get_running_loop().time()
    async with serving(event=refuse, ticket=refuse) as (client, _):
        for request in (client.send_event(EVENT), client.upload_chunk(0, PCM)):
            failure = await failed(request)
            assert str(failure) == "Roark answered 429"
            assert failure.retry_after == timedelta(seconds=7)
    assert asyncio.get_running_loop().time() - began < PATIENCE_SECS


async def test_a_connection_is_used_again() -> None:
    """A body that is not needed is still read to its end, if it comes at once."""
    async with serving() as (client, requests):
        for index in range(3):
            await client.send_event(EVENT)
            await client.upload_chunk(index, PCM)
        assert len({request.transport for request in requests}) == 1


@pytest.mark.live
async def test_a_long_event_has_more_time() -> None:
    """As much for each byte as a chunk has, as long as it moves on."""
    size, secs, loop = 4 * 1024 * 1024, 0.0, asyncio.get_running_loop()

    async def read_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal secs
        await reader.readuntil(b"\r\n\r\n")
        began, left = loop.time(), size
        while left:
            left -= len(await reader.read(16 * 1024))
            await asyncio.sleep(0.003)
        secs = loop.time() - began
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    async with await asyncio.start_server(read_slowly, sock=listener):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = RoarkClient(url, KEY, "call#1", answer_secs=0.3, upload_secs=1)
        await client.send_event(bytes(size))
        await client.aclose()
    assert secs > 0.6


@pytest.mark.live
async def test_a_long_event_that_stands_still_is_left_early() -> None:
    """It is tried again, long before its time is over."""
    given_up = asyncio.Event()

    async def stand_still(_: web.Request) -> web.StreamResponse:
        await given_up.wait()
        return web.Response()

    began = asyncio.get_running_loop().time()
    async with serving(event=stand_still, answer_secs=0.3) as (client, _):
        failure = await failed(client.send_event(bytes(16 * 1024 * 1024)))
        assert str(failure) == "no answer from Roark in time"
        assert asyncio.get_running_loop().time() - began < PATIENCE_SECS
        given_up.set()


async def test_an_upload_that_stands_still_is_left_early() -> None:
    """What was sent and is not answered gets another try, long before a slow upload is given up."""
    async with serving(put=hang, answer_secs=0.3, upload_secs=30) as (client, _):
        failure = await asyncio.wait_for(failed(client.upload_chunk(0, PCM)), 25)
        assert str(failure) == "no answer from the object store in time"
        assert failure.retryable


@pytest.mark.live
async def test_an_upload_that_moves_on_may_take_longer() -> None:
    """A slow store is not taken for a dead one."""

    async def slow(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        for _ in range(4):
            await asyncio.sleep(0.1)
            await reply.write(b" ")
        return reply

    async with serving(put=slow) as (client, _):
        await client.upload_chunk(0, PCM)


async def test_an_upload_url_that_breaks_off_is_a_failed_try() -> None:
    """Half a URL is none."""
    async with serving(ticket=break_off) as (client, _):
        failure = await failed(client.upload_chunk(0, PCM))
        assert failure.retryable
        assert str(failure) == "RemoteProtocolError on the way to Roark"


async def test_no_reply_fills_the_memory() -> None:
    """Of a reply without an end no more is read than a reply may hold."""
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        reply = web.StreamResponse()
        await reply.prepare(request)
        while True:
            await reply.write(bytes(MAX_REPLY_BYTES))
            sent += MAX_REPLY_BYTES

    async with serving(event=pour, ticket=pour) as (client, _):
        await client.send_event(EVENT)  # acknowledged by its status, whatever follows
        failure = await failed(client.upload_chunk(0, PCM))
        assert str(failure) == "Roark answered without a usable upload URL"
    assert sent < 64 * 1024 * 1024  # what the sockets' buffers hold, not what was read


async def test_no_reply_is_unpacked() -> None:
    """A small reply can't become a huge one."""
    packed = gzip.compress(json.dumps({"uploadUrl": STORE}).encode())

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"content-encoding": "gzip"})

    async with serving(ticket=answer) as (client, requests):
        failure = await failed(client.upload_chunk(0, PCM))
        assert str(failure) == "Roark answered without a usable upload URL"
        assert requests[0].headers["accept-encoding"] == "identity"


async def test_no_cookie_is_kept() -> None:
    """A cookie of Roark's goes neither back to it nor to the object store."""

    async def answer(_: web.Request) -> web.Response:
        reply = web.Response()
        reply.set_cookie("session", "private")
        return reply

    async with serving(event=answer, put=answer) as (client, requests):
        for index in range(2):
            await client.send_event(EVENT)
            await client.upload_chunk(index, PCM)
        assert len(requests) == 6
        assert not [request for request in requests if "cookie" in request.headers]


async def test_no_log_shows_a_key_or_a_signature(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at DEBUG, in any library that takes part."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level=0)
    caplog.set_level(logging.WARNING, logger="aiohttp.access")  # the server's own
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)

    async def redirect(_: web.Request) -> web.Response:
        headers = {"location": STORE, "set-cookie": "session=private", "x-echo": KEY}
        return web.Response(status=307, headers=headers)

    async with serving() as (client, _):
        await client.send_event(EVENT)
        await client.upload_chunk(0, PCM)
    async with serving(event=redirect, put=redirect) as (client, _):
        await failed(client.send_event(EVENT))
        await failed(client.upload_chunk(0, PCM))
    logger.remove(sink)
    said = [str({**record.__dict__, "text": record.getMessage()}) for record in caplog.records]
    assert said
    assert [line for line in [*said, *lines] if "private" in line] == []


async def test_other_requests_are_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What the application does with httpx stays its own affair."""
    caplog.set_level(logging.INFO, logger="httpx")
    async with serving() as (client, _), TestServer(web.Application()) as server:
        await client.send_event(EVENT)
        assert caplog.records == []
        async with httpx.AsyncClient() as http:
            await http.get(str(server.make_url("/mine")))
    assert "/mine" in caplog.text
