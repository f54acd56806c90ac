"""Getting what was captured to Roark: beside the call while it runs, and whole when it ends.

The rules:

1. `call-started` goes first, beside everything else; a chunk never waits for it.
2. Chunks go in order, a few at a time, and each is tried until it arrives or the ending gives up.
3. `call-ended` goes last, after every chunk has arrived or was given up.
4. The ending has one deadline. A part of it is kept for `call-ended`.
5. A refused key closes the gate: nothing else of this call is sent.
6. Audio that waits for the API is bounded. What goes over the bound is sent as silence of the same
   length, so that nothing after it shifts, and counted as lost.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import stamina
from loguru import logger

from pipecat_roark.retry import WAIT_INITIAL, WAIT_MAX, DeliveryError, wait_before_retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from pipecat_roark.client import RoarkClient

DEADLINE_SECS = 10.0
"""For everything that is left when the call ends."""
CHUNK_BYTES = 256 * 1024
"""Size of a chunk, all channels together."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Audio that may wait for the API: eleven minutes of stereo at 24 kHz."""
IN_FLIGHT = 3
"""Uploads at the same time."""
_AUDIO_SHARE = 0.75
"""Part of the deadline in which chunks may use up the time."""


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
        max_waiting_bytes: Bound on the audio that waits in memory.
    """

    def __init__(
        self,
        client: RoarkClient,
        *,
        label: str,
        deadline_secs: float = DEADLINE_SECS,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self.chunks = 0
        """Chunks captured so far."""
        self._client = client
        self._label = label
        self._deadline_secs = deadline_secs
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_bytes = 0
        self._queue: deque[_Chunk] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._uploads: set[asyncio.Task[Any]] = set()
        self._delivered_bytes = 0
        self._missing: Counter[str] = Counter()
        self._failure = ""
        self._refused = False

    def begin(self, event: bytes) -> None:
        """Send `call-started` in the background."""
        self._spawn(self._deliver("call-started", lambda: self._client.send_event(event)))

    def add_audio(self, pcm: bytes) -> None:
        """Take the next stretch of the recording; it becomes one chunk, or more if it is long."""
        for start in range(0, len(pcm), CHUNK_BYTES):
            part = pcm[start : start + CHUNK_BYTES]
            fits = self._waiting_bytes + len(part) <= self._max_waiting_bytes
            self._queue.append(_Chunk(self.chunks, len(part), part if fits else None))
            self.chunks += 1
            if fits:
                self._waiting_bytes += len(part)
            else:
                self._missing["audio chunk sent as silence"] += 1
        if self._queue and len(self._uploads) < IN_FLIGHT:
            task = self._spawn(self._upload())
            self._uploads.add(task)
            task.add_done_callback(self._uploads.discard)

    async def finish(self, event: bytes) -> None:
        """Deliver what is left, then `call-ended`; over within the deadline, whatever happens."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._deadline_secs
        try:
            await self._wait(self._deadline_secs * _AUDIO_SHARE)
            if self._queue:
                self._missing["audio chunk"] += len(self._queue)
                self._queue.clear()
            self._spawn(self._deliver("call-ended", lambda: self._client.send_event(event)))
            await self._wait(ends - loop.time())
            self._tell()
        finally:
            await self._client.aclose()

    async def _wait(self, seconds: float) -> None:
        """Wait for what is under way, and stop what takes longer."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        late = [*self._tasks]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _upload(self) -> None:
        while self._queue:
            chunk = self._queue.popleft()
            pcm = chunk.pcm if chunk.pcm is not None else bytes(chunk.size)
            if await self._deliver_chunk(chunk.index, pcm):
                self._delivered_bytes += chunk.size
            if chunk.pcm is not None:
                self._waiting_bytes -= chunk.size

    async def _deliver_chunk(self, index: int, pcm: bytes) -> bool:
        return await self._deliver("audio chunk", lambda: self._client.upload_chunk(index, pcm))

    async def _deliver(self, what: str, send: Callable[[], Awaitable[None]]) -> bool:
        """Send until it arrives. Return whether it did; if not, it is counted as missing."""
        delivered = False
        try:
            if not self._refused:
                async for attempt in stamina.retry_context(
                    on=wait_before_retry,
                    attempts=None,
                    timeout=None,
                    wait_initial=WAIT_INITIAL,
                    wait_max=WAIT_MAX,
                ):
                    with attempt:
                        await self._try(send)
                        delivered = True
        except DeliveryError as error:
            self._refuse(error)
        finally:
            if not delivered:
                self._missing[what] += 1
        return delivered

    async def _try(self, send: Callable[[], Awaitable[None]]) -> None:
        try:
            await send()
        except DeliveryError as error:
            self._failure = str(error)
            raise
        except Exception as error:
            self._failure = type(error).__name__
            raise DeliveryError(self._failure, retryable=False) from error

    def _refuse(self, error: DeliveryError) -> None:
        if error.refused and not self._refused:
            self._refused = True
            logger.warning(
                f"{error}: the API key is wrong, or bound to another integration. "
                f"Nothing more of call {self._label} is sent."
            )

    def _tell(self) -> None:
        """Say once, at the end, what arrived and what didn't."""
        if not self._missing:
            logger.info(
                f"Call {self._label} is at Roark: {self.chunks} audio chunks, "
                f"{self._delivered_bytes} bytes."
            )
            return
        missing = ", ".join(f"{count} x {what}" for what, count in sorted(self._missing.items()))
        reason = f" The last failure: {self._failure}." if self._failure else ""
        logger.warning(f"Call {self._label} is not whole at Roark. Missing: {missing}.{reason}")

    def _spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
