"""The sender: one try to send one thing, counted whether it succeeds or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.delivery.retry import DeliveryError

if TYPE_CHECKING:
    from pipecat_roark.delivery.owed import Owed
    from pipecat_roark.delivery.trouble import Trouble
    from pipecat_roark.receipt import Ledger


class Sender:
    """Makes the tries of one call, and tells the ledger and the log about them.

    Args:
        ledger: Counts retries and remembers failures.
        trouble: Reports an outage.
    """

    def __init__(self, ledger: Ledger, trouble: Trouble) -> None:
        self._ledger = ledger
        self._trouble = trouble

    async def send(self, owed: Owed, body: bytes, *, again: bool) -> None:
        """Send something once.

        Args:
            owed: What to send.
            body: Its bytes.
            again: Whether an earlier try failed.

        Raises:
            DeliveryError: If it did not arrive.
        """
        if again:
            self._ledger.retried(owed.what)
        try:
            await owed.send(body)
        except DeliveryError as error:
            self._note_failure(owed, error)
            raise
        except Exception as error:  # noqa: BLE001  # counted and reported, whatever it is
            name = type(error).__name__  # only the name: the text may contain anything
            failure = DeliveryError(name, retryable=False, reason="internal-error")
            self._note_failure(owed, failure)
            raise failure from None
        self._ledger.succeeded(owed.what)
        self._trouble.arrived(owed.key)

    def _note_failure(self, owed: Owed, error: DeliveryError) -> None:
        self._ledger.failed(owed.what, error.cause)
        self._trouble.failed(owed.key, error)
