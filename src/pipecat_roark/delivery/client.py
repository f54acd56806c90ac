"""The client: it sends Roark's three requests over HTTP, one try each. Retrying is not its job."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timezone
from importlib import import_module
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit
from urllib.request import getproxies

from pipecat_roark import wire
from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.delivery.exchange import ExchangeError, Reply, Request
from pipecat_roark.delivery.retry import DeliveryError, failure, store_failure
from pipecat_roark.delivery.route import proxy_for

if TYPE_CHECKING:
    from pipecat_roark.delivery.connections import Connections
    from pipecat_roark.delivery.route import Proxy

EVENTS_PATH = "/v1/integrations/pipecat"
UPLOADS_PATH = "/v1/integrations/pipecat/chunk-upload-url"
AUDIO_TYPE = "audio/pcm"

ANSWER_SECS = 6.0
"""Longest time for one try of a short request to Roark, and for any request to stand still."""
UPLOAD_SECS = 30.0
"""Longest time for one try to upload a chunk. A long event has as much time for each byte."""

_ROARK, _STORE = "Roark", "the object store"
_REFUSED = {401, 403}


class RoarkClient:
    """The connections of one call, to Roark and to its object store.

    Nothing is opened before the first request. Opening is part of a try: if it fails, the next try
    starts anew.

    Args:
        url: Base URL.
        api_key: The key. It is sent to that base URL only.
        pipecat_call_id: The call.
        answer_secs: Longest time for a short request to Roark, and for any to stand still.
        upload_secs: Longest time for the upload of a chunk.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        pipecat_call_id: str,
        *,
        answer_secs: float = ANSWER_SECS,
        upload_secs: float = UPLOAD_SECS,
    ) -> None:
        self._url = url
        self._pipecat_call_id = pipecat_call_id
        self._answer_secs = answer_secs
        self._upload_secs = upload_secs
        self._headers = {
            "x-roark-api-key": api_key,
            "authorization": f"Bearer {api_key}",
            "content-type": "application/json",
        }
        self._proxies: dict[str, str] | None = None
        self._opening: dict[Proxy | None, asyncio.Task[Connections]] = {}

    def __repr__(self) -> str:
        return f"<RoarkClient {self._url}>"

    async def send_event(self, event: bytes) -> None:
        """Send a lifecycle event.

        Raises:
            DeliveryError: If it was not acknowledged.
        """
        await self._ask(EVENTS_PATH, event, read=False)

    async def upload_chunk(self, index: int, pcm: bytes) -> None:
        """Ask for a presigned URL and put a chunk there.

        Args:
            index: Place of the chunk in the recording, from 0.
            pcm: Interleaved little-endian 16-bit samples.

        Raises:
            DeliveryError: If it did not arrive. The URL is used up then, so a retry begins anew.
        """
        question = wire.chunk_upload(self._pipecat_call_id, index)
        url = _upload_url(await self._ask(UPLOADS_PATH, question, read=True))
        request = Request(
            method="PUT", url=url, body=pcm, headers={"content-type": AUDIO_TYPE}, recurs=False
        )
        reply = await self._send(request, self._upload_secs, to=_STORE, read=False)
        if not reply.is_success:
            raise store_failure(reply.status, reply.headers, datetime.now(timezone.utc), to=_STORE)

    async def aclose(self) -> None:
        """Close the connections. Requests under way fail."""
        opening = [*self._opening.values()]
        for task in opening:
            task.cancel()
        for opened in await asyncio.gather(*opening, return_exceptions=True):
            if not isinstance(opened, BaseException):
                await opened.aclose()

    async def _ask(self, path: str, body: bytes, *, read: bool) -> bytes:
        """Send a request to Roark. Return the body of the reply, if it is to be read."""
        request = Request(
            method="POST", url=f"{self._url}{path}", body=body, headers=self._headers, recurs=True
        )
        secs = self._answer_secs + self._upload_secs * len(body) / CHUNK_BYTES
        reply = await self._send(request, secs, to=_ROARK, read=read)
        if reply.status in _REFUSED:
            raise DeliveryError(f"{_ROARK} answered {reply.status}", retryable=False, refused=True)
        if not reply.is_success:
            raise failure(reply.status, reply.headers, datetime.now(timezone.utc), to=_ROARK)
        return bytes(reply.body)

    async def _send(self, request: Request, secs: float, *, to: str, read: bool) -> Reply:
        """Send one request, and wait for the reply for some seconds.

        The status line is the answer. What happens after it matters only if the body of a
        successful reply is to be read.
        """
        reply, end = Reply(), asyncio.get_running_loop().time() + secs
        try:
            connections = await self._open(request.url, end)
            await connections.exchange(request, reply, end, read=read)
        except TimeoutError:
            problem = f"no answer from {to} in time"
        except ExchangeError as error:
            problem = f"{error} on the way to {to}"
        else:
            return reply
        if reply.status and not (read and reply.is_success):
            return reply
        raise DeliveryError(problem)

    async def _open(self, url: str, end: float) -> Connections:
        """Return the connections that lead to a URL.

        Raises:
            DeliveryError: If this machine can't make them now.
            TimeoutError: If they are not there in time.
        """
        try:
            connections = await self._opened(url, end)
        except DeliveryError:
            raise
        except Exception as error:  # noqa: BLE001  # no descriptor, no thread, no memory, …
            why = getattr(error, "strerror", None) or type(error).__name__
            raise DeliveryError(f"no connection can be made on this machine: {why}") from None
        if connections is None:
            raise TimeoutError
        return connections

    async def _opened(self, url: str, end: float) -> Connections | None:
        if self._proxies is None:
            self._proxies = getproxies()
        proxy = proxy_for(url, self._proxies)
        opening = self._opening.get(proxy)
        if opening is None:
            # In a thread: modules and TLS context take up to 0.15 s each, the first time.
            opening = asyncio.create_task(asyncio.to_thread(_connect, self._answer_secs, proxy))
            self._opening[proxy] = opening
        if not opening.done():  # it serves other requests, too, so it is not cancelled
            await asyncio.wait({opening}, timeout=end - asyncio.get_running_loop().time())
        if not opening.done():
            return None
        try:
            return opening.result()
        except Exception:
            if self._opening.get(proxy) is opening:
                del self._opening[proxy]
            raise


def _connect(timeout_secs: float, proxy: Proxy | None) -> Connections:
    module = import_module("pipecat_roark.delivery.connections")  # it loads httpx
    return cast("Connections", module.Connections(timeout_secs, proxy))


def _upload_url(reply: bytes) -> str:
    """Return the presigned URL of a reply, wrapped in `data` or not."""
    try:
        body = json.loads(reply)
        body = body.get("data", body)
        url = body["uploadUrl"]
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        usable = False
    if not usable:
        raise DeliveryError("Roark answered without a usable upload URL")
    return str(url)
