"""Which failures are worth another try, and how long to wait. Numbers in, numbers out."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
        retry_after: timedelta = timedelta(0),
    ) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.refused = refused
        self.retry_after = retry_after


class Backoff:
    """Says after each failed try of one request whether to try again, and after what wait.

    Args:
        jitter: Returns a random number between two bounds. The lower one is 0 (full jitter), so
            that calls which failed together don't come back together.
    """

    def __init__(self, jitter: Callable[[float, float], float]) -> None:
        self._jitter = jitter
        self._bound = WAIT_INITIAL

    def __call__(self, error: Exception) -> bool | timedelta:
        """Return the wait before the next try, or False if there is none."""
        if not isinstance(error, DeliveryError) or not error.retryable:
            return False
        wait = timedelta(seconds=self._jitter(0, self._bound))
        self._bound = min(2 * self._bound, WAIT_MAX)
        return max(wait, error.retry_after)


def failure(status: int, headers: Mapping[str, str], now: datetime, *, to: str) -> DeliveryError:
    """Return what an unsuccessful reply means.

    Args:
        status: The HTTP status.
        headers: The reply's headers, with case-insensitive names.
        now: The time against which a date in `Retry-After` counts.
        to: Who answered, for the text.
    """
    said = headers.get("x-should-retry", "").lower()
    # A redirect is the answer of something in between; it is never followed, for it may lead away.
    retryable = status in RETRYABLE_STATUSES or status // 100 in {3, 5}
    if said in {"true", "false"}:
        retryable = said == "true"
    return DeliveryError(
        f"{to} answered {status}", retryable=retryable, retry_after=retry_after(headers, now)
    )


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta:
    """Return the least wait that a reply asks for; no more than a minute.

    `retry-after-ms` counts before `Retry-After`, which holds seconds or an HTTP date (RFC 9110).
    What can't be read is as good as absent.
    """
    millis, after = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    with suppress(ValueError, OverflowError):
        return _bounded(timedelta(milliseconds=float(millis)))
    with suppress(ValueError, OverflowError):
        return _bounded(timedelta(seconds=float(after)))
    with suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(after)
        return _bounded((date if date.tzinfo else date.replace(tzinfo=timezone.utc)) - now)
    return timedelta(0)


def _bounded(wait: timedelta) -> timedelta:
    return min(max(wait, timedelta(0)), MAX_RETRY_AFTER)
