"""The local Roark under faults: scripted ones, outages, and clients that close connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiohttp import web

from pipecat_roark.local import LocalRoark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp.typedefs import Handler

KEYS = {"x-roark-api-key": "anything", "authorization": "Bearer anything"}
CALL = "call-1"
EVENTS = "/v1/integrations/pipecat"
MOMENT = {"pipecatCallId": CALL, "eventTimestamp": "2026-03-01T12:00:00Z"}
STARTED = {**MOMENT, "event": "call-started", "agentId": "front-desk"}
ENDED: dict[str, Any] = {
    **MOMENT,
    "event": "call-ended",
    "callStartedAt": None,
    "callEndedAt": None,
    "callEndedReason": "unknown",
}
AUDIO = {"content-type": "audio/pcm"}


@pytest.fixture
async def roark(tmp_path: Path) -> AsyncIterator[LocalRoark]:
    """Run a local Roark."""
    async with LocalRoark(tmp_path / "calls") as roark:
        yield roark


async def send(url: str, body: dict[str, Any]) -> int:
    """Send a lifecycle event, and return the status of the answer."""
    async with httpx.AsyncClient(base_url=url, headers=KEYS) as http:
        return (await http.post(EVENTS, json=body)).status_code


async def upload_url(url: str) -> str:
    """Ask for the upload URL of a chunk."""
    body = {"pipecatCallId": CALL, "chunkIndex": 0, "contentType": "audio/pcm"}
    async with httpx.AsyncClient(base_url=url, headers=KEYS) as http:
        answer = await http.post(f"{EVENTS}/chunk-upload-url", json=body)
        return str(answer.json()["data"]["uploadUrl"])


async def put(url: str, data: bytes = bytes(400)) -> httpx.Response:
    """Upload a chunk."""
    async with httpx.AsyncClient() as http:
        return await http.put(url, content=data, headers=AUDIO)


async def test_faults_can_be_scripted_in_front(tmp_path: Path) -> None:
    """A request that a middleware answers changes no call and uses up no upload URL."""
    faults = [503, None, None, 500]

    @web.middleware
    async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
        status = faults.pop(0) if faults else None
        return await handler(request) if status is None else web.Response(status=status)

    async with LocalRoark(tmp_path, middlewares=[fail]) as roark:
        assert await send(roark.url, STARTED) == 503
        assert roark.calls == {}
        assert await send(roark.url, STARTED) == 200
        url = await upload_url(roark.url)
        assert (await put(url)).status_code == 500
        assert (await put(url)).status_code == 200
        assert roark.calls[CALL].problems == ()


async def test_an_outage_keeps_port_and_calls(tmp_path: Path) -> None:
    """Stopped and started again, the server goes on with the same call."""
    roark = LocalRoark(tmp_path)
    await roark.stop()
    async with roark:
        url = roark.url
        await send(url, STARTED)
    with pytest.raises(httpx.ConnectError):
        await send(url, ENDED)
    async with roark:
        assert roark.url == url
        await send(url, ENDED)
        assert (await roark.wait_for_end(CALL)).complete


async def test_a_port_in_use_is_an_error(roark: LocalRoark, tmp_path: Path) -> None:
    """A second server on the same port raises an error."""
    port = int(roark.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await LocalRoark(tmp_path, port=port).start()


@pytest.mark.live
async def test_a_hanging_request_does_not_hold_the_stop(tmp_path: Path) -> None:
    """A request that is never answered is closed when the server stops."""

    @web.middleware
    async def hang(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.Event().wait()
        return await handler(request)

    async with LocalRoark(tmp_path, middlewares=[hang]) as roark:
        hanging = asyncio.ensure_future(send(roark.url, STARTED))
        await asyncio.sleep(0.1)
        assert not hanging.done()
        await asyncio.wait_for(roark.stop(), 4)
    with pytest.raises(httpx.HTTPError):
        await hanging


async def test_a_body_too_large_is_refused(roark: LocalRoark) -> None:
    """A body that would fill the memory is refused."""
    answer = await put(await upload_url(roark.url), bytes(64 * 1024 * 1024 + 2))
    assert answer.status_code == 413
    assert answer.json() == {"error": roark.problems[0]}
    assert roark.calls[CALL].chunks == {}


async def test_a_sender_that_hangs_up_is_no_error(
    roark: LocalRoark, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that closes within a body leaves no chunk and no traceback."""
    url = httpx.URL(await upload_url(roark.url))
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = f"PUT {url.path} HTTP/1.1\r\nhost: {url.host}\r\ncontent-type: audio/pcm\r\n"
    writer.write(f"{head}content-length: 100\r\n\r\nhalf".encode())
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]
    assert (await put(str(url))).status_code == 403
    assert roark.calls[CALL].chunks == {}
