"""An exchange over HTTP: one request and its reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExchangeError(Exception):
    """An exchange that broke off; the text names the kind of error, and nothing of the request."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Request:
    """A request, as often as it is sent.

    Attributes:
        method: Its method.
        url: Its URL; it may contain a signature.
        body: Its body.
        headers: Its headers; they may contain the key.
        recurs: Whether others go to the same URL.
    """

    method: str
    url: str
    body: bytes
    headers: Mapping[str, str]
    recurs: bool


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
