"""The retrier: repeats a request with growing waits, and can cut those waits short."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from tenacity import AsyncRetrying, retry_if_exception

from pipecat_roark.delivery.retry import WAIT_MAX, Backoff, Patience, is_retryable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

    from pipecat_roark.delivery.retry import DeliveryError


class Retrier:
    """Repeats the requests of one call.

    Args:
        jitter: Returns a random number between two bounds.
        sleep: Waits for a number of seconds.
    """

    def __init__(
        self,
        jitter: Callable[[float, float], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._jitter = jitter
        self._sleep = sleep
        self._longest_wait = WAIT_MAX
        self._waits: set[asyncio.Future[None]] = set()

    def attempts(self) -> AsyncRetrying:
        """Return an iterator over the tries of one request.

        It ends after the first try that succeeds, and raises the error of the try that is the last.
        """
        backoff, patience = Backoff(self._wait_secs), Patience()
        return AsyncRetrying(
            sleep=self._wait,
            retry=retry_if_exception(is_retryable),
            stop=lambda state: patience.is_over(_error(state)),
            wait=lambda state: backoff(_error(state)).total_seconds(),
            reraise=True,
        )

    def limit_waits(self, secs: float) -> None:
        """Shorten all later waits, except those that a server asks for."""
        self._longest_wait = secs

    def cut_waits(self) -> None:
        """End the waits that are under way, so that those requests are tried at once."""
        for wait in self._waits:
            wait.cancel()

    def _wait_secs(self, least: float, most: float) -> float:
        return self._jitter(least, min(most, self._longest_wait))

    async def _wait(self, secs: float) -> None:
        wait = asyncio.ensure_future(self._sleep(secs))
        self._waits.add(wait)
        try:
            await asyncio.wait([wait])  # does not raise if the wait itself is cancelled
        finally:
            wait.cancel()
            self._waits.discard(wait)


def _error(state: RetryCallState) -> DeliveryError:
    """Return the error of a try; the policy retries no other type."""
    outcome = cast("asyncio.Future[None]", state.outcome)
    return cast("DeliveryError", outcome.exception())
