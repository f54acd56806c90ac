"""One request at a time, against scripted replies."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
import respx

from pipecat_roark.delivery.client import EVENTS_PATH, UPLOADS_PATH, RoarkClient
from support.servers import EVENT, KEY, PCM, STORE, failed, hang, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

ROARK = "https://roark.test"


@pytest_asyncio.fixture
async def client() -> AsyncIterator[RoarkClient]:
    """Talk to a Roark of scripted replies."""
    client = RoarkClient(ROARK, KEY, "call#1")
    yield client
    await client.aclose()


@respx.mock
async def test_an_event_carries_the_key_twice(client: RoarkClient) -> None:
    """Both routers find the key; the body is sent as it is."""
    route = respx.post(f"{ROARK}{EVENTS_PATH}").respond(204)
    await client.send_event(EVENT)
    request = route.calls.last.request
    assert request.headers["x-roark-api-key"] == KEY
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.content == EVENT


@respx.mock
@pytest.mark.parametrize("wrap", [lambda ticket: ticket, lambda ticket: {"data": ticket}])
async def test_a_chunk_goes_to_its_presigned_url(client: RoarkClient, wrap: Any) -> None:
    """The URL is asked for by index, wrapped or not, and the store gets the audio and no key."""
    ticket = {"uploadUrl": STORE, "s3Key": "k", "chunkIndex": 3, "method": "PUT"}
    asked = respx.post(f"{ROARK}{UPLOADS_PATH}").respond(json=wrap(ticket))
    put = respx.put(STORE).respond(200)
    await client.upload_chunk(3, PCM)
    assert json.loads(asked.calls.last.request.content) == {
        "pipecatCallId": "call#1",
        "chunkIndex": 3,
        "contentType": "audio/pcm",
    }
    request = put.calls.last.request
    assert request.content == PCM
    assert request.headers["host"] == "store.test"
    assert request.headers["content-type"] == "audio/pcm"
    assert KEY not in str(request.headers.raw)
    assert not {"authorization", "x-roark-api-key", "cookie"} & set(request.headers)


@respx.mock
async def test_a_retry_sends_the_same_bytes(client: RoarkClient) -> None:
    """Whatever is sent again is what was sent before; only the URL is a fresh one."""
    event = respx.post(f"{ROARK}{EVENTS_PATH}").respond(503)
    ticket = respx.post(f"{ROARK}{UPLOADS_PATH}")
    ticket.side_effect = [httpx.Response(200, json={"uploadUrl": f"{STORE}{n}"}) for n in range(2)]
    put = respx.put(url__startswith=STORE).respond(403)
    for _ in range(2):
        await failed(client.send_event(EVENT))
        await failed(client.upload_chunk(0, PCM))
    for route in (event, ticket, put):
        first, second = (call.request for call in route.calls)
        assert first.content == second.content
    assert put.calls[0].request.url != put.calls[1].request.url


ON_THE_WAY = [
    httpx.ConnectError("https://private"),
    httpx.ReadError(""),
    httpx.RemoteProtocolError("private"),
    httpx.ProxyError("private"),
    ssl.SSLError("private"),
]


@respx.mock
@pytest.mark.parametrize("error", ON_THE_WAY, ids=lambda error: type(error).__name__)
async def test_trouble_on_the_way_is_worth_a_retry(client: RoarkClient, error: Exception) -> None:
    """Connection, protocol and TLS errors are named by their type alone."""
    respx.post(f"{ROARK}{EVENTS_PATH}").mock(side_effect=error)
    respx.post(f"{ROARK}{UPLOADS_PATH}").respond(json={"uploadUrl": STORE})
    respx.put(STORE).mock(side_effect=error)
    for request, to in (
        (client.send_event(EVENT), "Roark"),
        (client.upload_chunk(0, PCM), "the object store"),
    ):
        failure = await failed(request)
        assert failure.retryable
        assert str(failure) == f"{type(error).__name__} on the way to {to}"


@respx.mock
async def test_a_timeout_is_worth_a_retry(client: RoarkClient) -> None:
    """The error of a connection that stands still names the host that did not answer."""
    respx.post(f"{ROARK}{EVENTS_PATH}").mock(side_effect=httpx.ConnectTimeout("private"))
    failure = await failed(client.send_event(EVENT))
    assert (str(failure), failure.retryable) == ("no answer from Roark in time", True)


@respx.mock
@pytest.mark.parametrize(
    ("reply", "retryable", "refused"),
    [
        (httpx.Response(401), False, True),
        (httpx.Response(403, headers={"x-should-retry": "true"}), False, True),
        (httpx.Response(404), False, False),
        (httpx.Response(422, text=KEY), False, False),
        (httpx.Response(429, headers={"retry-after": "7"}), True, False),
        (httpx.Response(502, text="<html>"), True, False),
        (httpx.Response(500, headers={"x-should-retry": "false"}), False, False),
    ],
    ids=lambda value: str(getattr(value, "status_code", value)),
)
async def test_roarks_answers(
    client: RoarkClient, reply: httpx.Response, *, retryable: bool, refused: bool
) -> None:
    """They mean the same for events and for upload URLs. No header makes a refused key valid."""
    respx.post(url__startswith=ROARK).mock(return_value=reply)
    for request in (client.send_event(EVENT), client.upload_chunk(0, PCM)):
        failure = await failed(request)
        assert str(failure) == f"Roark answered {reply.status_code}"
        assert (failure.retryable, failure.refused) == (retryable, refused)
        asked = timedelta(seconds=float(reply.headers.get("retry-after", 0)))
        assert failure.retry_after == asked


NO_URLS = [
    None,
    7,
    True,
    ["https://store.test"],
    "",
    "/put/1",
    "store.test/put",
    "//store.test/put",
    "ftp://store.test/put",
    "file:///etc/passwd",
    "https://",
    "https://[::1",
    "https://store.test:0/put",
    "https://store.test:99999/put",
]
NO_TICKETS: list[object] = [
    None,
    [],
    "https://store.test",
    {},
    {"data": None},
    {"data": []},
    {"data": {}},
    *({"uploadUrl": url} for url in NO_URLS),
]
NO_REPLIES = [
    b"",
    b"<html>busy</html>",
    b"\xff\xfe",
    b'{"uploadUrl": "https://store.test',
    b"[" * 60_000,
    *(json.dumps(ticket).encode() for ticket in NO_TICKETS),
]


@respx.mock
@pytest.mark.parametrize("body", NO_REPLIES, ids=lambda body: str(body[:40]))
async def test_a_reply_without_a_usable_url_is_a_failed_try(
    client: RoarkClient, body: bytes
) -> None:
    """Whatever comes instead of an upload URL, another try may bring one."""
    respx.post(f"{ROARK}{UPLOADS_PATH}").respond(content=body)
    failure = await failed(client.upload_chunk(0, PCM))
    assert str(failure) == "Roark answered without a usable upload URL"
    assert failure.retryable


@respx.mock
async def test_a_url_that_httpx_refuses_is_a_failed_try(client: RoarkClient) -> None:
    """A host that is none is found out when the request is made."""
    respx.post(f"{ROARK}{UPLOADS_PATH}").respond(json={"uploadUrl": "https://a\x00b/private"})
    failure = await failed(client.upload_chunk(0, PCM))
    assert str(failure) == "InvalidURL on the way to the object store"
    assert failure.retryable


async def test_a_client_that_was_never_used_closes() -> None:
    """Nothing was opened, so there is nothing to close; twice is once."""
    client = RoarkClient(ROARK, KEY, "call#1")
    await client.aclose()
    await client.aclose()


async def test_closing_does_not_wait_for_an_answer() -> None:
    """A request under way fails."""
    arrived = asyncio.Event()

    async def hang_on(request: web.Request) -> web.StreamResponse:
        arrived.set()
        return await hang(request)

    async with serving(event=hang_on) as (client, _):
        sending = asyncio.create_task(client.send_event(EVENT))
        await arrived.wait()
        await client.aclose()
        assert (await failed(sending)).retryable


async def test_closing_does_not_wait_for_the_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that waits for the client is cancelled."""
    building, built = threading.Event(), threading.Event()

    def build() -> ssl.SSLContext:
        building.set()
        built.wait(10)
        return httpx.create_ssl_context()

    monkeypatch.setattr("pipecat_roark.delivery.connections.tls_context", build)
    client = RoarkClient(ROARK, KEY, "call#1", answer_secs=10)
    sending = asyncio.create_task(client.send_event(EVENT))
    await asyncio.to_thread(building.wait, 10)
    await client.aclose()
    with pytest.raises(asyncio.CancelledError):
        await sending
    built.set()


async def test_a_client_that_cannot_be_opened_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates that can't be read are an error of every request, and not of the end."""

    def build() -> ssl.SSLContext:
        raise FileNotFoundError

    monkeypatch.setattr("pipecat_roark.delivery.connections.tls_context", build)
    client = RoarkClient(ROARK, KEY, "call#1")
    for _ in range(2):
        failure = await failed(client.send_event(EVENT))
        assert failure.retryable
    await client.aclose()


@pytest.mark.process
def test_the_first_request_does_not_hold_the_loop() -> None:
    """Certificates and modules are loaded in a thread, once in a process."""
    script = """
import asyncio, sys, threading, httpx
build, threads = httpx.create_ssl_context, []
def note():
    threads.append(threading.current_thread())
    return build()
httpx.create_ssl_context = note
imported = {}
class Importing:
    def find_spec(name, path=None, target=None):
        imported[name] = threading.current_thread()
sys.meta_path.insert(0, Importing)
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.retry import DeliveryError
async def main():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    host = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    for scheme in ("http", "https"):
        client = RoarkClient(f"{scheme}://{host}", "key", "call")
        try:
            await client.send_event(b"{}")
        except DeliveryError:
            pass
        await client.aclose()
imported.clear()
assert not threads
asyncio.run(main())
assert len(threads) == 1, threads
assert threads[0] is not threading.main_thread()
on_the_loop = [name for name in imported if imported[name] is threading.main_thread()]
assert "httpcore" in imported
assert not [name for name in on_the_loop if name.startswith(("http", "anyio", "h11"))], on_the_loop
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)  # noqa: S603
