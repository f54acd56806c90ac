"""What Roark must still receive of a call: its events and its chunks, each as a value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pipecat_roark.receipt import CHUNK
from pipecat_roark.silence import shared_if_silent, silence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat_roark.delivery.client import RoarkClient
    from pipecat_roark.receipt import Cause
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
        memory_bytes: How much memory it takes while it waits, as far as that is bounded.
        lost: Why its audio is silence that stands for what is lost, if it is.
    """

    what: str
    key: str | int
    body: bytes | Callable[[], Awaitable[bytes | None]]
    send: Callable[[bytes], Awaitable[None]]
    audio_bytes: int = 0
    memory_bytes: int = 0
    lost: Cause | None = None

    @property
    def is_silence(self) -> bool:
        """Whether it is audio in which nothing can be heard."""
        return self.body is silence(self.audio_bytes)


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
        self,
        index: int,
        size: int,
        pcm: bytes | None = None,
        *,
        fits: bool = True,
        lost: Cause | None = None,
    ) -> Owed:
        """Return a chunk that is owed.

        Silence takes no memory: a call on hold for an hour must not cost the speech that follows.

        Args:
            index: Its place in the recording.
            size: Its length in bytes.
            pcm: Its audio; None if only the spool has it.
            fits: Whether memory has room for the audio; otherwise it is read from the spool.
            lost: Why its audio is silence that stands for what is lost, if it is.
        """
        body: bytes | Callable[[], Awaitable[bytes | None]]
        body, memory_bytes = partial(self._spool.read_chunk, index), 0
        if pcm is not None:
            pcm = shared_if_silent(pcm)
            if pcm is silence(size):
                body = pcm
            elif fits:
                body, memory_bytes = pcm, size
        return Owed(
            what=CHUNK,
            key=index,
            body=body,
            send=partial(self._client.upload_chunk, index),
            audio_bytes=size,
            memory_bytes=memory_bytes,
            lost=lost,
        )
