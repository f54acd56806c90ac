"""What Roark must still receive of a call: its events and its chunks, each as a value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pipecat_roark.budget import CALL_FULL
from pipecat_roark.receipt import CHUNK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat_roark.budget import Kept
    from pipecat_roark.delivery.client import RoarkClient
    from pipecat_roark.receipt import Cause
    from pipecat_roark.spool.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One thing that Roark must still receive.

    Attributes:
        what: Its name on the receipt.
        key: Its name in the spool: that of an event, or the index of a chunk.
        body: The bytes to send, or a function that gets them from memory or from the spool.
        send: Sends the body; one try.
        audio_bytes: Length of its audio; 0 for an event.
        kept: Its audio in memory; None if only the spool has it.
        lost: Why its audio is silence that stands for what is lost, if it is.
    """

    what: str
    key: str | int
    body: bytes | Callable[[], Awaitable[bytes | None]]
    send: Callable[[bytes], Awaitable[None]]
    audio_bytes: int = 0
    kept: Kept | None = None
    lost: Cause | None = None

    @property
    def is_silence(self) -> bool:
        """Whether it is audio in which nothing can be heard."""
        return self.kept is not None and self.kept.is_silence

    @property
    def missing(self) -> Cause:
        """Why its audio is not in memory, if it isn't."""
        return CALL_FULL if self.kept is None else self.kept.missing

    @property
    def is_gone(self) -> bool:
        """Whether memory had no room for its audio."""
        return self.kept is not None and self.kept.is_gone

    def free(self) -> None:
        """Let go of its audio."""
        if self.kept is not None:
            self.kept.free()


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

    def chunk(
        self, index: int, size: int, kept: Kept | None = None, *, lost: Cause | None = None
    ) -> Owed:
        """Return a chunk that is owed.

        Args:
            index: Its place in the recording.
            size: Its length in bytes.
            kept: Its audio in memory; None if only the spool has it.
            lost: Why its audio is silence that stands for what is lost, if it is.
        """
        return Owed(
            what=CHUNK,
            key=index,
            body=partial(self._audio, index, kept),
            send=partial(self._client.upload_chunk, index),
            audio_bytes=size,
            kept=kept,
            lost=lost,
        )

    async def _audio(self, index: int, kept: Kept | None) -> bytes | None:
        pcm = None if kept is None else kept.take()
        return await self._spool.read_chunk(index) if pcm is None else pcm
