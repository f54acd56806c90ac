"""Connections over HTTP, made with httpx.

The module is imported when a call first sends something, because httpx takes time to load.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import anyio
import httpx

from pipecat_roark.delivery.exchange import ExchangeError
from pipecat_roark.delivery.retry import DeliveryError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping, MutableMapping

    from pipecat_roark.delivery.exchange import Reply, Request
    from pipecat_roark.delivery.route import Proxy

MAX_REPLY_BYTES = 64 * 1024
"""No more of a reply is read."""
_SEND_BUFFER_BYTES = 64 * 1024
"""How much the system takes that is not yet on its way; more would hide that nothing moves on."""
_DRAIN_SECS = 0.1
"""How long the unneeded rest of a reply is read, so that the connection can be used again."""
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "pipecat-roark"}
_PIECE_BYTES = 128 * 1024
"""How much is written at once, and must move on within the time to stand still.

A smaller piece takes more time on the event loop, a larger one needs a faster line. With 6 s, each
upload needs 20 KiB/s; pieces of 64 KiB would need 16, because the answer must come in 6 s, too,
while the system still has the last of them to send.
"""
_LATE_IMPORTS = ("httpcore", "anyio._backends._asyncio")
"""Modules that httpx imports with the first request, which would hold up the event loop."""
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors of a machine that has no room at the moment, whichever file it was about to open."""


class Connections:
    """The connections to all hosts that are reached by the same way. Making them blocks.

    Args:
        timeout_secs: Longest time for a request to stand still.
        proxy: The proxy on the way, if there is one.

    Raises:
        DeliveryError: If something must be mended; the text says what.
    """

    def __init__(self, timeout_secs: float, proxy: Proxy | None) -> None:
        for name in _LATE_IMPORTS:
            with suppress(ImportError):
                import_module(name)
        # The transport alone: a client follows redirects and keeps cookies, and neither may be.
        self._transport = _transport(_verify(), proxy)
        phases = ("connect", "read", "write", "pool")
        self._extensions = {"timeout": dict.fromkeys(phases, timeout_secs)}
        self._urls: dict[str, httpx.URL] = {}

    async def exchange(self, request: Request, reply: Reply, end: float, *, read: bool) -> None:
        """Send a request, and fill in the reply as it comes.

        Args:
            request: The request.
            reply: What is known of the reply, even if it breaks off.
            end: Until when it may take, as a time of the event loop.
            read: Whether the body of a successful reply is needed.

        Raises:
            TimeoutError: If it took too long, or stood still for too long.
            ExchangeError: If it broke off.
        """
        hushed = _discreet.set(True)
        try:
            # One scope for all: `asyncio.wait_for` of Python 3.11 and older makes tasks.
            with anyio.fail_after(end - anyio.current_time()) as scope:
                await self._exchange(request, reply, scope, read=read)
        except (httpx.TimeoutException, TimeoutError):
            raise TimeoutError from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Its text may hold the URL, and with it a signature.
            raise ExchangeError(type(error).__name__) from None
        finally:
            _discreet.reset(hushed)

    async def aclose(self) -> None:
        """Close them. Requests under way fail."""
        await self._transport.aclose()

    async def _exchange(
        self, request: Request, reply: Reply, scope: anyio.CancelScope, *, read: bool
    ) -> None:
        url = self._url(request)
        headers = {
            "host": url.netloc.decode(),
            **_HEADERS,
            **request.headers,
            "content-length": str(len(request.body)),
        }
        sent = httpx.Request(
            request.method,
            url,
            headers=headers,
            stream=_Body(request.body),
            extensions={**self._extensions},
        )
        sent.extensions["trace"] = _Handshake(sent.extensions).trace
        response = await self._transport.handle_async_request(sent)
        stream = cast("httpx.AsyncByteStream", response.stream)
        try:
            reply.status, reply.headers = response.status_code, response.headers
            if not (read and reply.is_success):
                scope.deadline = min(scope.deadline, anyio.current_time() + _DRAIN_SECS)
            await _read(stream, reply)
        finally:
            await stream.aclose()

    def _url(self, request: Request) -> httpx.URL:
        """Return the URL of a request. It takes time to parse, so one that recurs is kept."""
        url = self._urls.get(request.url) or httpx.URL(request.url)
        if request.recurs:
            self._urls[request.url] = url
        return url


class _Body(httpx.AsyncByteStream):
    """A body that is written in pieces, so that the time to stand still is that of one of them."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _PIECE_BYTES):
            yield self._body[start : start + _PIECE_BYTES]


class _Handshake:
    """Closes the connection of a TLS handshake that is cancelled, which httpx leaves open.

    Args:
        extensions: Those of the request. Once the connection is open, the trace is taken out of
            them, for it takes time in each phase of the request.
    """

    def __init__(self, extensions: MutableMapping[str, Any]) -> None:
        self._extensions = extensions
        self._connection: Any = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._connection = info["return_value"]
        elif event == "connection.start_tls.failed":
            await self._connection.aclose()
        elif event == "http11.send_request_headers.started":
            self._extensions.pop("trace", None)


async def _read(stream: httpx.AsyncByteStream, reply: Reply) -> None:
    # Raw, for a small reply may unpack to a huge one.
    async for part in stream:
        reply.body += part
        if len(reply.body) > MAX_REPLY_BYTES:
            break


def _transport(verify: ssl.SSLContext, proxy: Proxy | None) -> httpx.AsyncHTTPTransport:
    try:
        return httpx.AsyncHTTPTransport(
            verify=verify,
            proxy=None if proxy is None else proxy.url,
            trust_env=False,  # `proxy_for` has read the environment
            socket_options=[(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)],
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


_discreet: ContextVar[bool] = ContextVar("_discreet", default=False)


def _not_ours(_: logging.LogRecord) -> bool:
    """Keep the library's requests out of logs that show presigned URLs and replies' headers."""
    return not _discreet.get()


logging.getLogger("httpcore.http11").addFilter(_not_ours)
