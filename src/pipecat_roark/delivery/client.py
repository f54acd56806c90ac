"""Roark's three requests over HTTP, one try each. Retrying is `delivery`'s business."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime, timezone
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from pipecat_roark import wire
from pipecat_roark.delivery.retry import DeliveryError, failure

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENTS_PATH = "/v1/integrations/pipecat"
UPLOADS_PATH = "/v1/integrations/pipecat/chunk-upload-url"
AUDIO_TYPE = "audio/pcm"

ANSWER_SECS = 6.0
"""Longest time for one try of a request to Roark, and for which an upload may stand still."""
UPLOAD_SECS = 30.0
"""Longest time for one try of an upload that moves on."""
MAX_REPLY_BYTES = 64 * 1024
"""A reply is read no further than this."""

_LATE_IMPORTS = ("httpcore", "anyio._backends._asyncio")
"""What httpx imports with the first request, and so on the event loop, unless it is there."""
_OK = range(200, 300)
_REFUSED = {401, 403}


class RoarkClient:
    """A connection to Roark for one call. Nothing is opened before the first request.

    Args:
        url: Base URL.
        api_key: The key, sent to that base URL only.
        pipecat_call_id: The call that everything is about.
        answer_secs: Longest time for one request to Roark, and for an upload to stand still.
        upload_secs: Longest time for one upload.
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
        self._opening: asyncio.Task[httpx.AsyncClient] | None = None

    def __repr__(self) -> str:
        return f"<RoarkClient {self._url}>"

    async def send_event(self, event: bytes) -> None:
        """Send a lifecycle event.

        Raises:
            DeliveryError: If it was not acknowledged.
        """
        await self._ask(EVENTS_PATH, event)

    async def upload_chunk(self, index: int, pcm: bytes) -> None:
        """Ask for a presigned URL and put a chunk there.

        Args:
            index: Place of the chunk in the recording, from 0.
            pcm: Interleaved little-endian 16-bit samples.

        Raises:
            DeliveryError: If it did not arrive. The URL is used up then, so a retry begins anew.
        """
        reply = await self._ask(UPLOADS_PATH, wire.chunk_upload(self._pipecat_call_id, index))
        store, form = "the object store", {"content-type": AUDIO_TYPE}
        status, headers, _ = await self._send("PUT", _upload_url(reply), pcm, form, to=store)
        if status == 403:  # noqa: PLR2004  # the URL expired; a fresh one may still work
            raise DeliveryError(f"{store} answered 403")
        if status not in _OK:
            raise failure(status, headers, datetime.now(timezone.utc), to=store)

    async def aclose(self) -> None:
        """Close the connections. Anything still under way fails."""
        if self._opening is None:
            return
        self._opening.cancel()
        (http,) = await asyncio.gather(self._opening, return_exceptions=True)
        if isinstance(http, httpx.AsyncClient):
            await http.aclose()

    async def _ask(self, path: str, body: bytes) -> bytes:
        url = f"{self._url}{path}"
        status, headers, reply = await self._send("POST", url, body, self._headers, to="Roark")
        if status in _REFUSED:
            raise DeliveryError(f"Roark answered {status}", retryable=False, refused=True)
        if status not in _OK:
            raise failure(status, headers, datetime.now(timezone.utc), to="Roark")
        return reply

    async def _send(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], *, to: str
    ) -> tuple[int, httpx.Headers, bytes]:
        """Send one request and read the reply, bounded in bytes and in time."""
        secs = self._upload_secs if method == "PUT" else self._answer_secs
        try:
            return await asyncio.wait_for(self._exchange(method, url, body, headers), secs)
        except (asyncio.TimeoutError, httpx.TimeoutException):
            raise DeliveryError(f"no answer from {to} in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            # The text of an httpx error may hold the URL, and with it a signature.
            raise DeliveryError(f"{type(error).__name__} on the way to {to}") from None

    async def _exchange(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, httpx.Headers, bytes]:
        http = await self._open()
        reply = bytearray()
        hushed = _discreet.set(True)
        try:
            async with http.stream(
                method,
                url,
                content=body,
                headers=dict(headers),
                extensions={"trace": _Handshake().trace},
            ) as response:
                # Raw, for a small reply may unpack to a huge one.
                async for part in response.aiter_raw():
                    reply += part
                    if len(reply) > MAX_REPLY_BYTES:
                        break
        finally:
            _discreet.reset(hushed)
        return response.status_code, response.headers, bytes(reply)

    async def _open(self) -> httpx.AsyncClient:
        if self._opening is None:
            # In a thread: modules and TLS context take up to 0.15 s each, the first time.
            self._opening = asyncio.create_task(asyncio.to_thread(_http, self._answer_secs))
        return await asyncio.shield(self._opening)


class _Handshake:
    """Closes the connection of a TLS handshake that is cancelled, which httpx leaves open."""

    def __init__(self) -> None:
        self._connection: Any = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._connection = info["return_value"]
        elif event == "connection.start_tls.failed":
            await self._connection.aclose()


def _http(timeout: float) -> httpx.AsyncClient:
    for name in _LATE_IMPORTS:
        with suppress(ImportError):
            import_module(name)
    return httpx.AsyncClient(
        verify=tls_context(),
        timeout=timeout,
        headers={"accept-encoding": "identity"},
        # Takes no cookie from anybody, so that none of Roark's goes to an object store.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context of all clients of this process."""
    return httpx.create_ssl_context()


def _upload_url(reply: bytes) -> str:
    """Return the presigned URL of a reply, wrapped in `data` or not."""
    try:
        body = json.loads(reply)
        body = body.get("data", body)
        url = body["uploadUrl"]
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        usable = False
    if not usable:
        raise DeliveryError("Roark answered without a usable upload URL")
    return str(url)


_discreet: ContextVar[bool] = ContextVar("_discreet", default=False)


def _not_ours(_: logging.LogRecord) -> bool:
    """Keep the library's requests out of logs that show presigned URLs and replies' headers."""
    return not _discreet.get()


for _name in ("httpx", "httpcore.http11"):
    logging.getLogger(_name).addFilter(_not_ours)
