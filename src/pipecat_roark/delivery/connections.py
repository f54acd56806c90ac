"""Connections over HTTP, made with httpx.

The module is imported when a call first sends something, because httpx takes time to load.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import httpx

from pipecat_roark.delivery.exchange import ExchangeError
from pipecat_roark.delivery.retry import DeliveryError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from pipecat_roark.delivery.exchange import Reply, Request
    from pipecat_roark.delivery.route import Proxy

MAX_REPLY_BYTES = 64 * 1024
"""No more of a reply is read."""
_SEND_BUFFER_BYTES = 64 * 1024
"""How much the system takes that is not yet on its way; more would hide that nothing moves on."""
_DRAIN_SECS = 0.1
"""How long the unneeded rest of a reply is read, so that the connection can be used again."""
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "pipecat-roark"}
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

    async def exchange(self, request: Request, reply: Reply, *, read: bool) -> None:
        """Send a request, and fill in the reply as it comes.

        Args:
            request: The request.
            reply: What is known of the reply, even if it breaks off.
            read: Whether the body of a successful reply is needed.

        Raises:
            asyncio.TimeoutError: If the request or the reply stood still for too long.
            ExchangeError: If it broke off.
        """
        hushed = _discreet.set(True)
        try:
            await self._exchange(request, reply, read=read)
        except httpx.TimeoutException:
            raise asyncio.TimeoutError from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Its text may hold the URL, and with it a signature.
            raise ExchangeError(type(error).__name__) from None
        finally:
            _discreet.reset(hushed)

    async def aclose(self) -> None:
        """Close them. Requests under way fail."""
        await self._transport.aclose()

    async def _exchange(self, request: Request, reply: Reply, *, read: bool) -> None:
        sent = httpx.Request(
            request.method,
            request.url,
            content=request.pieces(),
            headers={**_HEADERS, **request.headers, "content-length": str(len(request.body))},
            extensions={**self._extensions, "trace": _Handshake().trace},
        )
        response = await self._transport.handle_async_request(sent)
        try:
            reply.status, reply.headers = response.status_code, response.headers
            needed = read and reply.is_success
            await asyncio.wait_for(_read(response, reply), None if needed else _DRAIN_SECS)
        finally:
            await response.aclose()


class _Handshake:
    """Closes the connection of a TLS handshake that is cancelled, which httpx leaves open."""

    def __init__(self) -> None:
        self._connection: Any = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._connection = info["return_value"]
        elif event == "connection.start_tls.failed":
            await self._connection.aclose()


async def _read(response: httpx.Response, reply: Reply) -> None:
    # Raw, for a small reply may unpack to a huge one.
    async for part in response.aiter_raw():
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
