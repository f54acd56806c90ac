"""What is owed to Roark, and the sender: one try to send one thing, counted whether it succeeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pipecat_roark.delivery.retry import DeliveryError
from pipecat_roark.receipt import CHUNK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat_roark.delivery.client import RoarkClient
    from pipecat_roark.delivery.trouble import Trouble
    from pipecat_roark.receipt import Ledger
    from pipecat_roark.spool.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One thing that Roark must still receive.

    Attributes:
        what: Its name on the receipt.
        key: Its name in the spool: that of an event, or the index of a chunk.
        body: The bytes to send, or a function that reads them from the spool.
        send: Sends the body; one try.
        audio_bytes: Length of its audio; 0 for an event.
    """

    what: str
    key: str | int
    body: bytes | Callable[[], Awaitable[bytes | None]]
    send: Callable[[bytes], Awaitable[None]]
    audio_bytes: int = 0


class Requests:
    """Describes what is owed: one method for each kind of request.

    Args:
        client: Sends one request at a time.
        spool: Has the audio that is not in memory.
    """

    def __init__(self, client: RoarkClient, spool: Spool) -> None:
        self._client = client
        self._spool = spool

    def event(self, name: str, event: bytes) -> Owed:
        """Return an event that is owed."""
        return Owed(what=name, key=name, body=event, send=self._client.send_event)

    def chunk(self, index: int, size: int, pcm: bytes | None) -> Owed:
        """Return a chunk that is owed; without its audio, it is read from the spool."""
        return Owed(
            what=CHUNK,
            key=index,
            body=partial(self._spool.read_chunk, index) if pcm is None else pcm,
            send=partial(self._client.upload_chunk, index),
            audio_bytes=size,
        )


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
