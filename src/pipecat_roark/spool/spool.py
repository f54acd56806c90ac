"""The spool as a delivery uses it, and the one that stands in where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark.moments import Speaker
    from pipecat_roark.receipt import Cause
    from pipecat_roark.spool.tail import Tail
    from pipecat_roark.wire import CallEnded


class Spool(Protocol):
    """Keeps one call on disk while it is delivered."""

    silenced: Cause | None
    """Why audio that is not in memory was sent as silence; None if it was never on disk."""

    @property
    def healthy(self) -> bool:
        """Whether everything is on disk, or on its way, so that it can be delivered later."""

    @property
    def unkept(self) -> int:
        """How many chunks have neither arrived nor found room on the disk."""

    def note_change(self, *, growing: bool = False) -> None:
        """Note that the draft of `call-ended` may have changed.

        Args:
            growing: Whether no more changed than what is known of a turn that goes on.
        """

    def keep_event(self, name: str, event: bytes) -> None:
        """Keep an event that is about to be sent."""

    def keep_chunk(self, index: int, pcm: bytes) -> None:
        """Keep a chunk that is about to be sent."""

    def drop(self, key: str | int) -> None:
        """Forget an event or a chunk that arrived, or never can."""

    async def flushed(self) -> bool:
        """Wait until everything is on disk. Return whether it is."""

    async def read_chunk(self, index: int) -> bytes | None:
        """Return a chunk, or None if it can't be read."""

    async def follow(
        self, draft: Callable[[bool], CallEnded], tail: Callable[[Tail, Speaker], Tail]
    ) -> None:
        """Keep the end of the call as it would be now, until it is cancelled.

        Args:
            draft: Returns `call-ended` as of now, given whether there is any audio.
            tail: Returns the tail with the channel of a speaker as of now, given the one before.
        """

    async def close(self, *, done: bool) -> None:
        """Release the call; with `done`, remove it from the disk."""


class NoSpool:
    """Keeps nothing: the call is delivered from memory alone."""

    silenced: Cause | None = None
    healthy = False
    unkept = 0

    def note_change(self, *, growing: bool = False) -> None:
        """Do nothing."""

    def keep_event(self, name: str, event: bytes) -> None:
        """Do nothing."""

    def keep_chunk(self, index: int, pcm: bytes) -> None:
        """Do nothing."""

    def drop(self, key: str | int) -> None:
        """Do nothing."""

    async def flushed(self) -> bool:
        """Return False: nothing is on disk."""
        return False

    async def read_chunk(self, index: int) -> bytes | None:  # noqa: ARG002
        """Return None: there is no chunk."""
        return None

    async def follow(
        self, draft: Callable[[bool], CallEnded], tail: Callable[[Tail, Speaker], Tail]
    ) -> None:
        """Return at once."""

    async def close(self, *, done: bool) -> None:
        """Do nothing."""
