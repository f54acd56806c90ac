"""An exchange over HTTP: one request and its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_PIECE_BYTES = 64 * 1024
"""How much is written to the network at once."""


class ExchangeError(Exception):
    """An exchange that broke off; the text names the kind of error, and nothing of the request."""


class Request:
    """A request, as often as it is sent.

    Args:
        method: Its method.
        url: Its URL; it may contain a signature.
        body: Its body.
        headers: Its headers; they may contain the key.
    """

    def __init__(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.method = method
        self.url = url
        self.body = body
        self.headers = headers

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces, so that the time to stand still is that of one of them."""
        for start in range(0, len(self.body), _PIECE_BYTES):
            yield self.body[start : start + _PIECE_BYTES]


class Reply:
    """What is known of a reply so far; the status is 0 before its first line."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = bytearray()

    @property
    def is_success(self) -> bool:
        """Whether the request was accepted."""
        return self.status // 100 == 2  # noqa: PLR2004  # as HTTP says
