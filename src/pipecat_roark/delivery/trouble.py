"""Reports an outage in two log lines, however many requests fail in it and however often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark.delivery.retry import DeliveryError

REPORT_SECS = 2.0
"""How long requests must fail before it is reported; a wrong configuration is reported at once."""


class Trouble:
    """Watches the requests of one call for an outage.

    An outage begins when a request fails. It is over when every request that failed in it has
    arrived or is lost.

    Args:
        label: Names the call in the log.
        clock: Returns the time in seconds.
    """

    def __init__(self, label: str, clock: Callable[[], float]) -> None:
        self._label = label
        self._clock = clock
        self._failing: set[str | int] = set()
        self._since = 0.0
        self._reported = False

    def failed(self, key: str | int, error: DeliveryError) -> None:
        """Note that a request failed.

        Args:
            key: The request.
            error: Why it failed.
        """
        now = self._clock()
        if not self._failing:
            self._since = now
        self._failing.add(key)
        lasts = error.retryable and now - self._since >= REPORT_SECS
        if not self._reported and (lasts or error.misconfigured):
            self._reported = True
            logger.warning(
                f"Call {self._label} can't be delivered at the moment: {error}. "
                "Every request is tried again as long as there is time."
            )

    def arrived(self, key: str | int) -> None:
        """Note that a request succeeded."""
        self.given_up(key)
        if self._reported and not self._failing:
            self._reported = False
            secs = self._clock() - self._since
            logger.info(f"Call {self._label} can be delivered again, after {secs:.0f} s.")

    def given_up(self, key: str | int) -> None:
        """Note that a request is not tried any more."""
        self._failing.discard(key)
