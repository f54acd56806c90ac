"""The retry policy: which failures are worth another try, and how long to wait before it.

The module does no I/O and reads no clock: time and chance are arguments.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pipecat_roark.receipt import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipecat_roark.receipt import Reason

RETRYABLE_STATUSES = frozenset({408, 409, 425, 429})
"""Besides every 5xx; the set of Roark's own REST SDK, and 425 (Too Early, RFC 8470)."""
_STORE_PASSES = RETRYABLE_STATUSES | {403}
"""Answers of an object store that blame the moment or the URL: 403 means that it expired."""
STORE_TRIES = 8
"""How many times in a row an object store must blame the upload before the chunk is given up."""
MAX_RETRY_AFTER = timedelta(seconds=60)
WAIT_INITIAL = 0.25
WAIT_MAX = 8.0
"""Bounds of the exponential backoff, in seconds."""


class DeliveryError(Exception):
    """A request that failed. Its text contains nothing private.

    Attributes:
        retryable: Whether another try may succeed.
        refused: Whether Roark refused the key, so that no request of this call can succeed.
        retry_after: The least wait that the server asked for.
        tries: How many failures like this in a row are enough to give up; None if no number is.
        misconfigured: Whether something in this machine's configuration must be mended.
        cause: What the receipt says if this was the last try.
    """

    def __init__(  # noqa: PLR0913  # keyword-only, each with a default
        self,
        why: str,
        *,
        retryable: bool = True,
        refused: bool = False,
        retry_after: timedelta = timedelta(0),
        tries: int | None = None,
        misconfigured: bool = False,
        reason: Reason | None = None,
    ) -> None:
        super().__init__(why)
        self.retryable = retryable
        self.refused = refused
        self.retry_after = retry_after
        self.tries = tries
        self.misconfigured = misconfigured
        usual: Reason = "unavailable" if retryable else "rejected"
        self.cause = Cause(why, reason or ("key-refused" if refused else usual))


class Patience:
    """Decides after each failed try of one request whether there were enough of them."""

    def __init__(self) -> None:
        self._blamed = 0

    def is_over(self, error: DeliveryError) -> bool:
        """Return whether the request is given up after this failure."""
        self._blamed = 0 if error.tries is None else self._blamed + 1
        return error.tries is not None and self._blamed >= error.tries


class Backoff:
    """Chooses the wait after each failed try of one request.

    Args:
        jitter: Returns a random number between two bounds. The lower bound is always 0 (full
            jitter), so that calls which failed at the same time do not retry at the same time.
    """

    def __init__(self, jitter: Callable[[float, float], float]) -> None:
        self._jitter = jitter
        self._bound = WAIT_INITIAL

    def __call__(self, error: DeliveryError) -> timedelta:
        """Return the wait before the next try; it is never shorter than the server asked for."""
        wait = timedelta(seconds=self._jitter(0, self._bound))
        self._bound = min(2 * self._bound, WAIT_MAX)
        return max(wait, error.retry_after)


def is_retryable(error: BaseException) -> bool:
    """Return whether another try may succeed."""
    return isinstance(error, DeliveryError) and error.retryable


def failure(status: int, headers: Mapping[str, str], now: datetime, *, to: str) -> DeliveryError:
    """Return the error that an unsuccessful reply stands for.

    Args:
        status: The HTTP status.
        headers: The reply's headers, with case-insensitive names.
        now: The current time, needed if `Retry-After` is a date.
        to: Who answered, for the text.
    """
    wish = headers.get("x-should-retry", "").lower()
    # A redirect comes from a proxy or a portal, so it may pass. It is never followed: it may lead
    # to another host.
    retryable = status in RETRYABLE_STATUSES or status // 100 in {3, 5}
    if wish in {"true", "false"}:
        retryable = wish == "true"
    return DeliveryError(
        f"{to} answered {status}", retryable=retryable, retry_after=retry_after(headers, now)
    )


def store_failure(
    status: int, headers: Mapping[str, str], now: datetime, *, to: str
) -> DeliveryError:
    """Return the error that an unsuccessful reply of the object store stands for.

    The answer is about the presigned URL, which is used up by then, and not about the chunk: with
    a fresh URL another try may succeed. Only an answer that blames the upload and comes again and
    again is believed.

    Args:
        status: The HTTP status.
        headers: The reply's headers, with case-insensitive names.
        now: The current time, needed if `Retry-After` is a date.
        to: Who answered, for the text.
    """
    blames = status // 100 == 4 and status not in _STORE_PASSES  # noqa: PLR2004
    return DeliveryError(
        f"{to} answered {status}",
        retry_after=retry_after(headers, now),
        tries=STORE_TRIES if blames else None,
        reason="rejected" if blames else None,
    )


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta:
    """Return the least wait that a reply asks for; at most a minute.

    `retry-after-ms` takes precedence over `Retry-After`, which contains seconds or an HTTP date
    (RFC 9110). A value that can't be read is ignored.
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
