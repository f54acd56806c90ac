"""Which failures are worth another try, and how long to wait. Numbers in, numbers out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RETRYABLE_STATUSES = frozenset({408, 409, 425, 429})
"""Besides every 5xx; the set of Roark's own REST SDK, and 425 (Too Early, RFC 8470)."""
MAX_RETRY_AFTER = timedelta(seconds=60)
WAIT_INITIAL = 0.25
WAIT_MAX = 8.0
"""Bounds of the exponential backoff, in seconds."""


class DeliveryError(Exception):
    """A request that failed, without anything private in its text.

    Attributes:
        retryable: Whether another try may succeed.
        refused: Whether the key was refused, so that no request of this call can succeed.
        retry_after: The least wait that the server asked for.
    """

    def __init__(
        self,
        reason: str,
        *,
        retryable: bool = True,
        refused: bool = False,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.refused = refused
        self.retry_after = retry_after


def failure(status: int, headers: Mapping[str, str], now: datetime, *, to: str) -> DeliveryError:
    """Return what an unsuccessful reply means.

    Args:
        status: The HTTP status.
        headers: The reply's headers, with case-insensitive names.
        now: The time against which a date in `Retry-After` counts.
        to: Who answered, for the text.
    """
    said = headers.get("x-should-retry", "").lower()
    retryable = status in RETRYABLE_STATUSES or status >= 500  # noqa: PLR2004
    if said in {"true", "false"}:
        retryable = said == "true"
    return DeliveryError(
        f"{to} answered {status}", retryable=retryable, retry_after=retry_after(headers, now)
    )


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return the least wait that a reply asks for, or None; no more than a minute.

    `retry-after-ms` counts before `Retry-After`, which holds seconds or an HTTP date (RFC 9110).
    """
    wait: timedelta | None = None
    try:
        if "retry-after-ms" in headers:
            wait = timedelta(milliseconds=float(headers["retry-after-ms"]))
        elif (value := headers.get("retry-after", "")).replace(".", "", 1).isdigit():
            wait = timedelta(seconds=float(value))
        elif value:
            date = parsedate_to_datetime(value)
            wait = (date if date.tzinfo else date.replace(tzinfo=timezone.utc)) - now
    except (ValueError, OverflowError):
        return None
    return None if wait is None else min(max(wait, timedelta(0)), MAX_RETRY_AFTER)


def wait_before_retry(error: Exception) -> bool | timedelta:
    """Say whether to try again: False for no, True for the usual backoff, or a wait."""
    if not isinstance(error, DeliveryError) or not error.retryable:
        return False
    return error.retry_after or True
