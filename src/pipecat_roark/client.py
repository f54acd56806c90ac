"""Roark's three requests over HTTP, one try each. Retrying is `delivery`'s business."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from contextvars import ContextVar
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from pipecat_roark import wire
from pipecat_roark.retry import DeliveryError, failure

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

BASE_URL = "https://api.roark.ai"
BASE_URL_VARIABLE = "ROARK_BASE_URL"
EVENTS_PATH = "/v1/integrations/pipecat"
UPLOADS_PATH = "/v1/integrations/pipecat/chunk-upload-url"
AUDIO_TYPE = "audio/pcm"

EVENT_SECS = 10.0
"""Longest time for one try of an event or of the request for an upload URL."""
UPLOAD_SECS = 30.0
"""Longest time for one try of a chunk."""
MAX_REPLY_BYTES = 64 * 1024
"""A reply is read no further than this."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_OK = range(200, 300)
_REFUSED = {401, 403}


def base_url() -> str:
    """Return Roark's base URL, or that of the environment.

    Raises:
        ValueError: If it is no HTTP URL, or would send the key in clear text off this machine.
    """
    url = os.environ.get(BASE_URL_VARIABLE, "").strip().rstrip("/") or BASE_URL
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{BASE_URL_VARIABLE} must be an http or https URL")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError(
            f"{BASE_URL_VARIABLE} must use https: the API key would leave this machine unprotected"
        )
    return url


class RoarkClient:
    """A connection to Roark for one call. Nothing is opened before the first request.

    Args:
        url: Base URL.
        api_key: The key, sent to that base URL only.
        pipecat_call_id: The call that everything is about.
    """

    def __init__(self, url: str, api_key: str, pipecat_call_id: str) -> None:
        self._url = url
        self._pipecat_call_id = pipecat_call_id
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
        url = _upload_url(reply)
        status, headers, _ = await self._send(
            "PUT", url, pcm, {"content-type": AUDIO_TYPE}, UPLOAD_SECS, to="the object store"
        )
        if status == 403:  # noqa: PLR2004  # the URL expired; a fresh one may still work
            raise DeliveryError("the object store answered 403")
        if status not in _OK:
            raise failure(status, headers, datetime.now(timezone.utc), to="the object store")

    async def aclose(self) -> None:
        """Close the connections. Anything still under way fails."""
        if self._opening is not None and not self._opening.cancelled():
            await (await self._opening).aclose()

    async def _ask(self, path: str, body: bytes) -> bytes:
        url = f"{self._url}{path}"
        status, headers, reply = await self._send(
            "POST", url, body, self._headers, EVENT_SECS, to="Roark"
        )
        if status in _REFUSED:
            raise DeliveryError(f"Roark answered {status}", retryable=False, refused=True)
        if status not in _OK:
            raise failure(status, headers, datetime.now(timezone.utc), to="Roark")
        return reply

    async def _send(  # noqa: PLR0913
        self,
        method: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
        *,
        to: str,
    ) -> tuple[int, httpx.Headers, bytes]:
        """Send one request and read the reply, bounded in bytes and in time."""
        try:
            return await asyncio.wait_for(self._exchange(method, url, body, headers), timeout)
        except asyncio.TimeoutError:
            raise DeliveryError(f"no answer from {to} in {timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The text of an httpx error may hold the URL, and with it a signature.
            raise DeliveryError(f"{type(error).__name__} on the way to {to}") from None

    async def _exchange(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, httpx.Headers, bytes]:
        http = await self._open()
        reply = bytearray()
        _discreet.set(True)
        async with http.stream(method, url, content=body, headers=dict(headers)) as response:
            async for part in response.aiter_bytes():
                reply += part
                if len(reply) > MAX_REPLY_BYTES:
                    break
        return response.status_code, response.headers, bytes(reply)

    async def _open(self) -> httpx.AsyncClient:
        if self._opening is None:
            self._opening = asyncio.create_task(_http())
        return await asyncio.shield(self._opening)


async def _http() -> httpx.AsyncClient:
    """Open a client without holding the event loop: its TLS context takes up to 150 ms to build."""
    context = await asyncio.to_thread(_tls_context)
    return httpx.AsyncClient(verify=context, timeout=None)  # noqa: S113  # each try has its own


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _upload_url(reply: bytes) -> str:
    """Return the presigned URL of a reply, wrapped in `data` or not."""
    try:
        body = json.loads(reply)
        body = body.get("data", body)
        url = body["uploadUrl"]
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except (ValueError, TypeError, KeyError, AttributeError):
        usable = False
    if not usable:
        raise DeliveryError("Roark answered without a usable upload URL")
    return str(url)


_discreet: ContextVar[bool] = ContextVar("_discreet", default=False)


def _not_ours(_: logging.LogRecord) -> bool:
    """Keep the library's requests out of httpx's log, which shows presigned URLs in full."""
    return not _discreet.get()


logging.getLogger("httpx").addFilter(_not_ours)
