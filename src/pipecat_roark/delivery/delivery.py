"""Getting what was captured to Roark: beside the call while it runs, and whole when it ends.

The rules:

1. `call-started` goes first, beside everything else; a chunk never waits for it.
2. Chunks go in order, a few at a time, and each is tried until it arrives or the ending gives up.
3. `call-ended` goes last, after every chunk has arrived or was given up.
4. The ending has one deadline. A part of it is kept for `call-ended`. What waits for its next try
   when the ending begins is tried at once, and no try waits long any more unless Roark asks for it.
5. A refused key closes the gate: nothing else of this call is sent.
6. Audio that waits for the API is bounded. What goes over the bound is sent as silence of the same
   length, so that nothing after it shifts, and counted as lost.
7. What was captured is owed until it has arrived. What is owed in the end is said, and why.
8. With a spool nothing is sent before it is on disk, audio that memory has no room for is read back
   from there, and what is owed in the end stays there with `call-ended`, to be delivered later.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import stamina
from loguru import logger

from pipecat_roark.delivery.retry import Backoff, DeliveryError
from pipecat_roark.receipt import CHUNK, Item, Ledger
from pipecat_roark.settings import DEADLINE_SECS, MAX_WAITING_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from pipecat_roark.delivery.client import RoarkClient
    from pipecat_roark.receipt import Receipt
    from pipecat_roark.spool.writer import SpoolWriter

CHUNK_BYTES = 256 * 1024
"""Size of a chunk, all channels together."""
IN_FLIGHT = 3
"""Uploads at the same time."""
_AUDIO_SHARE = 0.75
"""Part of the deadline in which chunks may use up the time."""
_REST_SHARE = 0.05
"""Part of the deadline that a try may wait in the ending, so that a flaky API gets many of them."""
_CANCEL_SECS = 0.1
"""How long a cancelled task may take before it is cancelled again."""
_SILENCED = "sent as silence: too much audio was waiting"
_UNREADABLE = "sent as silence: it can't be read from the spool"
_NO_ROOM = "no room in the spool"


@dataclass(slots=True)
class _Chunk:
    index: int
    size: int
    pcm: bytes | None


class Delivery:
    """Delivers one call.

    Args:
        client: Sends one request at a time.
        label: Names the call in the log.
        deadline_secs: Bound on the ending, in seconds.
        max_waiting_bytes: Bound on the audio that waits in memory. A stretch that comes while
            nothing waits is taken whatever its length.
        spool: Keeps the call on disk, if it is wanted.
        jitter: Returns a random number between two bounds.
    """

    def __init__(  # noqa: PLR0913  # keyword-only, each with a default
        self,
        client: RoarkClient,
        *,
        label: str,
        deadline_secs: float = DEADLINE_SECS,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        spool: SpoolWriter | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.chunks = 0
        """Chunks captured so far."""
        self._client = client
        self._label = label
        self._deadline_secs = deadline_secs
        self._max_waiting_bytes = max_waiting_bytes
        self._spool = spool
        self._jitter = jitter
        self._waiting_bytes = 0
        self._queue: deque[_Chunk] = deque()
        self._events: set[asyncio.Future[Any]] = set()
        self._uploads: set[asyncio.Future[Any]] = set()
        self._rests: set[asyncio.Future[Any]] = set()
        self._ledger = Ledger()
        self._ending = False
        self._refused = False
        self._over = False

    @property
    def receipt(self) -> Receipt:
        """What has arrived so far, and what is lost."""
        return self._ledger.receipt()

    def begin(self, event: bytes) -> None:
        """Send `call-started` in the background."""
        if self._spool is not None:
            self._spool.keep_event("call-started", event)
        self._ledger.captured("call-started")
        self._send_event("call-started", event)

    def resume(self, started: bytes | None, chunks: Mapping[int, int]) -> None:
        """Send what is left of a call in the spool.

        Args:
            started: `call-started`, unless it arrived.
            chunks: The size of each chunk that did not, by index.
        """
        if started is not None:
            self._ledger.captured("call-started")
            self._send_event("call-started", started)
        for index, size in sorted(chunks.items()):
            self._queue.append(_Chunk(index, size, None))
            self._ledger.captured(CHUNK, size)
        self._send_chunks()

    def add_audio(self, pcm: bytes) -> None:
        """Take the next stretch of the recording; it becomes one chunk, or more if it is long."""
        waiting = self._waiting_bytes
        fits = not waiting or waiting + len(pcm) <= self._max_waiting_bytes
        for start in range(0, len(pcm), CHUNK_BYTES):
            part = pcm[start : start + CHUNK_BYTES]
            if self._spool is not None:
                self._spool.keep_chunk(self.chunks, part)
            self._queue.append(_Chunk(self.chunks, len(part), part if fits else None))
            self._waiting_bytes += len(part) if fits else 0
            self._ledger.captured(CHUNK, len(part))
            self.chunks += 1
        self._send_chunks()

    async def finish(self, event: bytes) -> None:
        """Deliver what is left, then `call-ended`; over within the deadline, whatever happens."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._ledger.captured("call-ended")
        if self._spool is not None:
            self._spool.keep_event("call-ended", event)
        self._ending = True
        try:
            self._hurry()
            await self._settle(began + self._deadline_secs * _AUDIO_SHARE)
            await self._stop()
            if not (self._spooled and self._ledger.owed > 1):
                self._send_event("call-ended", event)
                await self._settle(began + self._deadline_secs)
        finally:
            await self._stop()
            if self._spool is not None and self._spooled and await self._spool.kept():
                for _ in range(self._spool.unkept):
                    self._ledger.lost(CHUNK, _NO_ROOM)
            self._ledger.close(loop.time() - began, spooled=self._spooled)
            self._tell()
            await self._client.aclose()
            if self._spool is not None:
                await self._spool.close(done=not self.receipt.spooled)

    @property
    def _spooled(self) -> bool:
        return self._spool is not None and self._spool.healthy

    async def _settle(self, until: float) -> None:
        """Wait for what is under way, but no longer than until a time of the event loop."""
        loop = asyncio.get_running_loop()
        while (tasks := self._events | self._uploads) and (left := until - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left)

    async def _stop(self) -> None:
        """Give up what is left."""
        self._over = True
        self._queue.clear()
        while tasks := self._events | self._uploads:
            for task in tasks:
                task.cancel()
            # Once more if need be: `wait_for` of Python 3.11 and older can swallow a cancellation.
            await asyncio.wait(tasks, timeout=_CANCEL_SECS)

    def _send_chunks(self) -> None:
        if not self._over:
            for _ in range(min(len(self._queue), IN_FLIGHT - len(self._uploads))):
                _spawn(self._upload(), self._uploads)

    def _send_event(self, what: Item, event: bytes) -> None:
        _spawn(self._deliver_event(what, event), self._events)

    async def _deliver_event(self, what: Item, event: bytes) -> None:
        if self._spool is not None:
            await self._spool.kept()
        outcome = await self._outcome(what, partial(self._client.send_event, event))
        if outcome == "arrived":
            self._ledger.delivered(what)
        if outcome != "owed" and self._spool is not None:
            self._spool.drop_event(what)

    async def _upload(self) -> None:
        while self._queue:
            chunk = self._queue.popleft()
            pcm = await self._read(chunk)
            silence = bytes(chunk.size) if pcm is None else pcm
            send = partial(self._client.upload_chunk, chunk.index, silence)
            outcome = await self._outcome(CHUNK, send)
            if outcome == "arrived" and pcm is None:
                self._ledger.lost(CHUNK, _SILENCED if self._spool is None else _UNREADABLE)
            elif outcome == "arrived":
                self._ledger.delivered(CHUNK, chunk.size)
            if outcome != "owed" and self._spool is not None:
                self._spool.drop_chunk(chunk.index)
            if chunk.pcm is not None:
                self._waiting_bytes -= chunk.size

    async def _read(self, chunk: _Chunk) -> bytes | None:
        """Return a chunk's audio, if it is anywhere."""
        if self._spool is not None:
            await self._spool.kept()
            if chunk.pcm is None:
                return await self._spool.read_chunk(chunk.index)
        return chunk.pcm

    async def _outcome(
        self, what: Item, send: Callable[[], Awaitable[None]]
    ) -> Literal["arrived", "lost", "owed"]:
        """Send until it arrives or never can."""
        try:
            await self._persist(what, send)
        except DeliveryError as error:
            if self._refused and self._spooled:
                return "owed"  # to another key
            self._ledger.lost(what, str(error))
            return "lost"
        return "arrived"

    async def _persist(self, what: Item, send: Callable[[], Awaitable[None]]) -> None:
        tries = self._tries()
        failure: DeliveryError | None = None
        while True:
            # The rest before a try is a task of its own, so that `_hurry` can cut it short.
            rest = _spawn(anext(tries), self._rests)
            await asyncio.gather(rest, return_exceptions=True)
            if rest.cancelled():
                tries = self._tries()
                continue
            attempt = rest.result()
            if failure is not None and not self._refused:
                self._ledger.retried(what)
            failure = await self._try(what, send)
            if failure is None:
                return
            with attempt:
                raise failure

    def _tries(self) -> AsyncIterator[stamina.Attempt]:
        return aiter(stamina.retry_context(on=Backoff(self._rest), attempts=None, timeout=None))

    def _rest(self, least: float, most: float) -> float:
        if self._ending:
            most = min(most, self._deadline_secs * _REST_SHARE)
        return self._jitter(least, most)

    def _hurry(self) -> None:
        """Let what rests between two tries be tried at once."""
        for rest in self._rests:
            rest.cancel()

    async def _try(self, what: Item, send: Callable[[], Awaitable[None]]) -> DeliveryError | None:
        """Send once. Return what went wrong, if anything did."""
        if self._refused:
            return DeliveryError("the API key was refused", retryable=False)
        try:
            await send()
        except DeliveryError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  # counted and said, whatever it is
            failure = DeliveryError(type(error).__name__, retryable=False)
        else:
            self._ledger.tried(what)
            return None
        self._ledger.tried(what, str(failure))
        if failure.refused:
            self._close_gate(failure)
        return failure

    def _close_gate(self, failure: DeliveryError) -> None:
        if not self._refused:
            self._refused = True
            self._hurry()
            logger.warning(
                f"{failure}: the API key is wrong, or bound to another integration. "
                f"Nothing more of call {self._label} is sent."
            )

    def _tell(self) -> None:
        """Say once, at the end, what arrived, and what didn't."""
        receipt = self.receipt
        logger.info(
            f"Call {self._label} has ended: {receipt.chunks.delivered} of "
            f"{receipt.chunks.captured} audio chunks are at Roark, {receipt.delivered_bytes} bytes."
        )
        missing = " ".join(
            f"{kind}: {', '.join(f'{gap.count} x {gap.what} ({gap.why})' for gap in gaps)}."
            for kind, gaps in (("Lost", receipt.lost), ("In the spool", receipt.spooled))
            if gaps
        )
        if missing:
            logger.warning(f"Call {self._label} is not whole at Roark. {missing}")


def _spawn(work: Awaitable[Any], group: set[asyncio.Future[Any]]) -> asyncio.Future[Any]:
    task = asyncio.ensure_future(work)
    group.add(task)
    task.add_done_callback(group.discard)
    return task
