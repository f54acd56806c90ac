"""The delivery: it sends to Roark what was captured of one call, while it runs and when it ends.

The rules:

1. `call-started` is sent first. Audio chunks do not wait for its answer.
2. Chunks are sent in order, a few at a time. Each is tried until it arrives, or until the ending
   runs out of time.
3. `call-ended` is sent last, after every chunk has arrived or was given up.
4. The ending has one deadline, and a part of it is reserved for `call-ended`. When the ending
   begins, requests that wait for their next try are tried at once, and later waits are short
   unless Roark asks for longer ones.
5. If Roark refuses the key, nothing else of this call is sent.
6. Audio that waits in memory is bounded, for the call and for the process. Audio above a bound is
   sent as silence of the same length, so that nothing after it shifts, and is counted as lost.
7. Everything captured is owed until it has arrived. What is still owed at the end is reported with
   its last error.
8. With a spool, nothing is sent before it is on disk. Audio above a bound in memory is read back
   from the disk, and what is still owed at the end waits there, together with `call-ended`.
9. With a spool, only Roark's own "no" makes a loss final. A chunk that the object store refused
   again and again waits there once; a later delivery gives it up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from enum import Enum, auto
from operator import attrgetter
from typing import TYPE_CHECKING

from loguru import logger

from pipecat_roark.budget import Share
from pipecat_roark.delivery.owed import Requests
from pipecat_roark.delivery.retrier import Retrier
from pipecat_roark.delivery.retry import DeliveryError
from pipecat_roark.delivery.sender import Sender
from pipecat_roark.delivery.tasks import Tasks
from pipecat_roark.delivery.trouble import Trouble
from pipecat_roark.receipt import CHUNK, Cause, Ledger
from pipecat_roark.settings import DEADLINE_SECS
from pipecat_roark.spool.spool import NoSpool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pipecat_roark.delivery.client import RoarkClient
    from pipecat_roark.delivery.owed import Owed
    from pipecat_roark.receipt import Receipt
    from pipecat_roark.spool.spool import Spool

STARTED, ENDED = "call-started", "call-ended"
CHUNK_BYTES = 256 * 1024
"""Size of a chunk, all channels together."""
IN_FLIGHT = 3
"""Uploads at the same time."""
_AUDIO_SHARE = 0.75
"""Share of the deadline after which chunks are given up, so that `call-ended` has time left."""
_WAIT_SHARE = 0.05
"""Share of the deadline that a wait may take in the ending, so that there are many tries."""
_NO_ROOM = Cause("no room in the spool", "spool-full")


class _Phase(Enum):
    """Where a delivery is.

    RUNNING -> ENDING -> CLOSING -> OVER, each when the one before is done. Until it is OVER, a
    refused key leads from everywhere to REFUSED, and from there only to OVER.
    """

    RUNNING = auto()
    """The call goes on."""
    ENDING = auto()
    """The call has ended; the rest of its audio has time to arrive."""
    CLOSING = auto()
    """No more audio is sent; `call-ended` has time to arrive."""
    REFUSED = auto()
    """Roark refused the key: every request fails before it is sent."""
    OVER = auto()
    """Nothing is sent any more."""


class Delivery:
    """Delivers one call.

    Args:
        client: Sends one request at a time.
        label: Names the call in the log.
        deadline_secs: Bound on the ending, in seconds.
        memory: Keeps the audio that waits, within its bounds.
        spool: Keeps the call on disk; by default nothing does.
        jitter: Returns a random number between two bounds.
        clock: Returns the time in seconds.
        sleep: Waits for a number of seconds.
    """

    def __init__(  # noqa: PLR0913  # keyword-only, each with a default
        self,
        client: RoarkClient,
        *,
        label: str,
        deadline_secs: float = DEADLINE_SECS,
        memory: Share | None = None,
        spool: Spool | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.chunks = 0
        """Chunks captured so far."""
        self._client = client
        self._label = label
        self._deadline_secs = deadline_secs
        self._memory = Share() if memory is None else memory
        self._spool = NoSpool() if spool is None else spool
        self._requests = Requests(client, self._spool)
        self._clock = clock
        self._tasks = Tasks(clock, sleep)
        self._retrier = Retrier(jitter, sleep)
        self._ledger = Ledger()
        self._trouble = Trouble(label, clock)
        self._sender = Sender(self._ledger, self._trouble)
        self._phase = _Phase.RUNNING
        self._resumed = False
        self._queue: deque[Owed] = deque()
        self._uploads: set[asyncio.Task[None]] = set()

    @property
    def receipt(self) -> Receipt:
        """What has arrived so far, and what is lost."""
        return self._ledger.receipt()

    def begin(self, event: bytes) -> None:
        """Send `call-started` in the background."""
        self.send_event(STARTED, event)

    def send_event(self, name: str, event: bytes) -> None:
        """Send an event in the background, beside the chunks.

        Args:
            name: Its name on the receipt and in the spool.
            event: Its bytes.
        """
        self._start(self._capture_event(name, event))

    def resume(self, events: Mapping[str, bytes], chunks: Mapping[int, int]) -> None:
        """Send in the background what is left of a call in the spool.

        Args:
            events: Events that have not arrived, by name; without `call-ended`.
            chunks: The size of each chunk that has not arrived, by index.
        """
        self._resumed = True
        for name, event in events.items():
            self._ledger.captured(name)
            self._start(self._requests.event(name, event))
        for index, size in sorted(chunks.items()):
            self._ledger.captured(CHUNK, size)
            self._queue.append(self._requests.chunk(index, size))
        self._upload_waiting()

    def add_audio(self, pcm: bytes, *, lost: Cause | None = None) -> None:
        """Queue the next part of the recording; `lost` is why it is only silence, if it is."""
        parts = [pcm[at : at + CHUNK_BYTES] for at in range(0, len(pcm), CHUNK_BYTES)]
        for part, kept in zip(parts, self._memory.keep(parts), strict=True):
            self._ledger.captured(CHUNK, len(part))
            if self._phase is not _Phase.OVER:
                self._spool.keep_chunk(self.chunks, part)
            self._queue.append(self._requests.chunk(self.chunks, len(part), kept, lost=lost))
            self.chunks += 1
        self._upload_waiting()

    def note_loss(self, what: str, cause: Cause) -> None:
        """Count something that was not captured as it was, such as a turn."""
        self._ledger.lost(what, cause)

    async def finish(self, event: bytes, *, spent_secs: float = 0.0) -> None:
        """Deliver what is left, then `call-ended`, within what is left of the deadline."""
        began = self._clock() - spent_secs
        last = self._capture_event(ENDED, event)
        self._enter(_Phase.ENDING)
        self._retrier.limit_waits(self._deadline_secs * _WAIT_SHARE)
        self._retrier.cut_waits()
        # Where the time does not suffice for all of it, silence gives way to speech.
        self._queue = deque(sorted(self._queue, key=attrgetter("is_silence")))
        try:
            await self._tasks.wait_until(began + self._deadline_secs * _AUDIO_SHARE)
            self._enter(_Phase.CLOSING)
            self._give_up_waiting()
            await self._tasks.cancel()
            if not (self._spool.healthy and self._ledger.owed.keys() - {ENDED}):
                self._start(last)
                await self._tasks.wait_until(began + self._deadline_secs)
        finally:
            self._enter(_Phase.OVER)
            self._give_up_waiting()
            await self._tasks.cancel()
            self._memory.close()
            if await self._spool.flushed():
                for _ in range(self._spool.unkept):
                    self._ledger.lost(CHUNK, _NO_ROOM)
            self._ledger.close(self._clock() - began, spooled=self._spool.healthy)
            came = "was in the spool" if self._resumed else "has ended"
            _log_receipt(f"Call {self._label}", came, self.receipt)
            await self._client.aclose()
            await self._spool.close(done=not self.receipt.spooled)

    def _give_up_waiting(self) -> None:
        """Send no more chunks. If memory had no room for one, that is why it is lost."""
        for owed in self._queue:
            if owed.is_gone and self._spool.silenced is None:
                self._ledger.lost(owed.what, owed.missing)
        self._queue.clear()

    def _capture_event(self, name: str, event: bytes) -> Owed:
        self._ledger.captured(name)
        self._spool.keep_event(name, event)
        return self._requests.event(name, event)

    def _enter(self, phase: _Phase) -> None:
        if self._phase is not _Phase.REFUSED or phase is _Phase.OVER:
            self._phase = phase

    def _start(self, owed: Owed) -> None:
        self._tasks.start(self._deliver(owed))

    def _upload_waiting(self) -> None:
        if self._phase in {_Phase.RUNNING, _Phase.ENDING, _Phase.REFUSED}:
            for _ in range(min(len(self._queue), IN_FLIGHT - len(self._uploads))):
                task = self._tasks.start(self._upload())
                self._uploads.add(task)
                task.add_done_callback(self._uploads.discard)

    async def _upload(self) -> None:
        while self._queue:
            await self._deliver(owed := self._queue.popleft())
            owed.free()

    async def _deliver(self, owed: Owed) -> None:
        """Send something until it arrives, or never can."""
        await self._spool.flushed()
        body = owed.body if isinstance(owed.body, bytes) else await owed.body()
        try:
            await self._persist(owed, bytes(owed.audio_bytes) if body is None else body)
        except DeliveryError as error:
            self._trouble.given_up(owed.key)
            if error.refused:
                self._refuse(error)
            if self._spool.healthy and not self._is_final(error):
                return
            self._ledger.lost(owed.what, error.cause)
        else:
            if body is None or owed.lost is not None:
                self._ledger.lost(owed.what, owed.lost or self._spool.silenced or owed.missing)
            else:
                self._ledger.delivered(owed.what, owed.audio_bytes)
        self._spool.drop(owed.key)

    async def _persist(self, owed: Owed, body: bytes) -> None:
        """Repeat a request until it succeeds.

        Raises:
            DeliveryError: If it never can.
        """
        async for attempt in self._retrier.attempts():
            with attempt:
                if self._phase is _Phase.REFUSED:
                    raise DeliveryError("the API key was refused", retryable=False, refused=True)
                again = attempt.retry_state.attempt_number > 1
                await self._sender.send(owed, body, again=again)

    def _is_final(self, error: DeliveryError) -> bool:
        """Return whether no later delivery can help either."""
        return error.cause.reason == "rejected" and (self._resumed or not error.retryable)

    def _refuse(self, error: DeliveryError) -> None:
        if self._phase is not _Phase.REFUSED:
            self._enter(_Phase.REFUSED)
            self._retrier.cut_waits()
            logger.warning(
                f"{error}: the API key is wrong, or bound to another integration. "
                f"Nothing more of call {self._label} is sent."
            )


def _log_receipt(call: str, came: str, receipt: Receipt) -> None:
    """Log what arrived, and what did not."""
    logger.info(
        f"{call} {came}: {receipt.chunks.delivered} of "
        f"{receipt.chunks.captured} audio chunks are at Roark, {receipt.delivered_bytes} bytes."
    )
    missing = " ".join(
        f"{kind}: {', '.join(map(str, losses))}."
        for kind, losses in (("Lost", receipt.lost), ("In the spool", receipt.spooled))
        if losses
    )
    if missing:
        logger.warning(f"{call} is not whole at Roark. {missing}")
