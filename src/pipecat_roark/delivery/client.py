"""The client: it sends Roark's three requests over HTTP, one try each. Retrying is not its job."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from pipecat_roark import wire
from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.delivery.retry import DeliveryError, failure, store_failure
from pipecat_roark.delivery.route import proxy_for

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

    from pipecat_roark.delivery.route import Proxy

EVENTS_PATH = "/v1/integrations/pipecat"
UPLOADS_PATH = "/v1/integrations/pipecat/chunk-upload-url"
AUDIO_TYPE = "audio/pcm"

ANSWER_SECS = 6.0
"""Longest time for one try of a short request to Roark, and for any request to stand still."""
UPLOAD_SECS = 30.0
"""Longest time for one try to upload a chunk. A long event has as much time for each byte."""
MAX_REPLY_BYTES = 64 * 1024
"""No more of a reply is read."""

_ROARK, _STORE = "Roark", "the object store"
_PIECE_BYTES = 64 * 1024
"""How much is written to the network at once."""
_SEND_BUFFER_BYTES = 64 * 1024
"""How much the system takes that is not yet on its way; more would hide that nothing moves on."""
_DRAIN_SECS = 0.1
"""How long the unneeded rest of a reply is read, so that the connection can be used again."""
_LATE_IMPORTS = ("httpcore", "anyio._backends._asyncio")
"""Modules that httpx imports with the first request, which would hold up the event loop."""
_OK = range(200, 300)
_REFUSED = {401, 403}
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors of a machine that has no room at the moment, whichever file it was about to open."""


@dataclass(slots=True)
class _Reply:
    """What is known of a reply so far; the status is 0 before its first line."""

    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytearray = field(default_factory=bytearray)


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
        self._opening: dict[Proxy | None, asyncio.Task[httpx.AsyncClient]] = {}

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
        request = _Request("PUT", url, pcm, {"content-type": AUDIO_TYPE})
        reply = await self._send(request, self._upload_secs, to=_STORE, read=False)
        if reply.status not in _OK:
            raise store_failure(reply.status, reply.headers, datetime.now(timezone.utc), to=_STORE)

    async def aclose(self) -> None:
        """Close the connections. Requests under way fail."""
        opening = [*self._opening.values()]
        for task in opening:
            task.cancel()
        for http in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(http, httpx.AsyncClient):
                await http.aclose()

    async def _ask(self, path: str, body: bytes, *, read: bool) -> bytes:
        """Send a request to Roark. Return the body of the reply, if it is to be read."""
        request = _Request("POST", f"{self._url}{path}", body, self._headers)
        secs = self._answer_secs + self._upload_secs * len(body) / CHUNK_BYTES
        reply = await self._send(request, secs, to=_ROARK, read=read)
        if reply.status in _REFUSED:
            raise DeliveryError(f"{_ROARK} answered {reply.status}", retryable=False, refused=True)
        if reply.status not in _OK:
            raise failure(reply.status, reply.headers, datetime.now(timezone.utc), to=_ROARK)
        return bytes(reply.body)

    async def _send(self, request: _Request, secs: float, *, to: str, read: bool) -> _Reply:
        """Send one request, and wait for the reply for some seconds.

        The status line is the answer. What happens after it matters only if the body of a
        successful reply is to be read.
        """
        reply = _Reply()
        try:
            await asyncio.wait_for(self._exchange(request, reply, read=read), secs)
        except (asyncio.TimeoutError, httpx.TimeoutException):
            problem = f"no answer from {to} in time"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Its text may hold the URL, and with it a signature.
            problem = f"{type(error).__name__} on the way to {to}"
        else:
            return reply
        if reply.status and not (read and reply.status in _OK):
            return reply
        raise DeliveryError(problem)

    async def _exchange(self, request: _Request, reply: _Reply, *, read: bool) -> None:
        http = await self._open(request.url)
        hushed = _discreet.set(True)
        try:
            async with http.stream(
                request.method,
                request.url,
                content=request.pieces(),
                headers={**request.headers, "content-length": str(len(request.body))},
                extensions={"trace": _Handshake().trace},
            ) as response:
                reply.status, reply.headers = response.status_code, response.headers
                needed = read and reply.status in _OK
                await asyncio.wait_for(_read(response, reply), None if needed else _DRAIN_SECS)
        finally:
            _discreet.reset(hushed)

    async def _open(self, url: str) -> httpx.AsyncClient:
        """Return the connections that lead to a URL.

        Raises:
            DeliveryError: If this machine can't make them now.
        """
        try:
            return await self._opened(url)
        except DeliveryError:
            raise
        except Exception as error:  # noqa: BLE001  # no descriptor, no thread, no memory, …
            why = getattr(error, "strerror", None) or type(error).__name__
            raise DeliveryError(f"no connection can be made on this machine: {why}") from None

    async def _opened(self, url: str) -> httpx.AsyncClient:
        if self._proxies is None:
            self._proxies = getproxies()
        proxy = proxy_for(url, self._proxies)
        opening = self._opening.get(proxy)
        if opening is None:
            # In a thread: modules and TLS context take up to 0.15 s each, the first time.
            opening = asyncio.create_task(asyncio.to_thread(_http, self._answer_secs, proxy))
            self._opening[proxy] = opening
        try:
            return await asyncio.shield(opening)
        except Exception:
            if self._opening.get(proxy) is opening:
                del self._opening[proxy]
            raise


@dataclass(frozen=True, slots=True)
class _Request:
    """A request, as often as it is sent."""

    method: str
    url: str
    body: bytes
    headers: Mapping[str, str]

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces, so that the time to stand still is that of one of them."""
        for start in range(0, len(self.body), _PIECE_BYTES):
            yield self.body[start : start + _PIECE_BYTES]


class _Handshake:
    """Closes the connection of a TLS handshake that is cancelled, which httpx leaves open."""

    def __init__(self) -> None:
        self._connection: Any = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._connection = info["return_value"]
        elif event == "connection.start_tls.failed":
            await self._connection.aclose()


async def _read(response: httpx.Response, reply: _Reply) -> None:
    # Raw, for a small reply may unpack to a huge one.
    async for part in response.aiter_raw():
        reply.body += part
        if len(reply.body) > MAX_REPLY_BYTES:
            break


def _http(timeout: float, proxy: Proxy | None) -> httpx.AsyncClient:
    """Make connections.

    Raises:
        DeliveryError: If something must be mended; the text says what.
    """
    for name in _LATE_IMPORTS:
        with suppress(ImportError):
            import_module(name)
    verify = _verify()
    try:
        transport = httpx.AsyncHTTPTransport(
            verify=verify,
            proxy=None if proxy is None else proxy.url,
            trust_env=False,  # `proxy_for` has read the environment
            socket_options=[(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)],
        )
        return httpx.AsyncClient(
            transport=transport,
            timeout=timeout,
            trust_env=False,
            headers={"accept-encoding": "identity"},
            # Accepts no cookie from anybody, so that none of Roark's goes to an object store.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        if proxy is None:
            raise
        need = "is no proxy that can be used"
        if isinstance(error, ImportError):
            need = "is a SOCKS proxy, which needs the package socksio: pip install 'httpx[socks]'"
        raise DeliveryError(f"{proxy.name} {need}", misconfigured=True) from None


def _verify() -> ssl.SSLContext:
    try:
        return tls_context()
    except OSError as error:
        named = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        if error.errno in _NO_ROOM or not named:
            raise
        why = error.strerror or type(error).__name__
        raise DeliveryError(f"{named[0]} can't be used: {why}", misconfigured=True) from None


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
