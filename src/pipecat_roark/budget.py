"""The budget: how much audio may wait in the memory of this process, for all of its calls together.

The rules:

1. Audio takes room while it waits to be sent, to be judged or for consent, and while it is sent.
   Silence takes none.
2. Each call has a bound of its own, and all calls of the process share another one. Calls may give
   different values for it: while audio of such calls waits, the smallest value holds. It never
   makes a call lose what waits already; no more is taken until there is room.
3. If the process has no room for new audio, the call with the most audio gives way to a call that
   has less: its newest audio that is not being sent. If the call that asks has the most itself, its
   new audio has no room. So calls that wait much end with equal shares, and a call that waits
   little keeps all of it.
4. Calls may run in several event loops, each in a thread. One lock guards the count. Nothing waits
   or does I/O while it is held.

The module does no I/O and reads no clock.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING
from weakref import WeakSet

from pipecat_roark.receipt import Cause
from pipecat_roark.settings import MAX_PROCESS_WAITING_BYTES, MAX_WAITING_BYTES
from pipecat_roark.silence import shared_if_silent, silence

if TYPE_CHECKING:
    from collections.abc import Iterable

CALL_FULL = Cause("sent as silence: too much audio was waiting", "memory-full")
_PROCESS_FULL = Cause(
    "sent as silence: all calls of the process had too much audio waiting", "process-memory-full"
)


class Kept:
    """A part of a call's audio that waits in memory, unless it found no room or gave way.

    Attributes:
        size: How much room it takes, in bytes.
        missing: Why it is not in memory, if it isn't.
    """

    __slots__ = ("_pcm", "_share", "missing", "size")

    def __init__(self, share: Share, pcm: bytes | None, size: int, missing: Cause) -> None:
        self.size = size
        self.missing = missing
        self._share = share
        self._pcm = pcm

    @property
    def is_silence(self) -> bool:
        """Whether nothing can be heard in it."""
        pcm = self._pcm  # another thread may take it away meanwhile
        return pcm is not None and pcm is silence(len(pcm))

    @property
    def is_gone(self) -> bool:
        """Whether it is not in memory."""
        return self._pcm is None

    def take(self) -> bytes | None:
        """Return the audio, which gives way no more; None if it is not in memory."""
        with self._share.budget.lock:
            self._share.loose.pop(self, None)
            return self._pcm

    def free(self) -> None:
        """Let go of the audio: it is not needed any more."""
        with self._share.budget.lock:
            self._share.loose.pop(self, None)
            self._share.used -= self.size
            self._pcm, self.size = None, 0

    def give_way(self) -> None:
        """Let go of the audio, for a call that has less."""
        self.free()
        self.missing = _PROCESS_FULL


class Share:
    """What one call has waiting in memory.

    Args:
        max_bytes: Bound on it. If nothing is waiting, a buffer of any size is accepted.
        max_process_bytes: Bound on what all calls of the process have waiting.
        budget: What those calls share; by default that of this process.
    """

    def __init__(
        self,
        max_bytes: int = MAX_WAITING_BYTES,
        max_process_bytes: int = MAX_PROCESS_WAITING_BYTES,
        budget: Budget | None = None,
    ) -> None:
        self.max_process_bytes = max_process_bytes
        self.budget = PROCESS if budget is None else budget
        self.used = 0
        """How many bytes wait or are sent. The budget's lock guards this and `loose`."""
        self.loose: dict[Kept, None] = {}
        """What may give way, the newest last."""
        self._max_bytes = max_bytes
        self._closed = False

    def keep(self, parts: Iterable[bytes]) -> list[Kept]:
        """Keep the parts of a buffer in memory, those that find room."""
        parts = [shared_if_silent(part) for part in parts]
        size = sum(map(len, parts))
        fits = not self.used or self.used + size <= self._max_bytes
        return [self._keep(part, fits=fits) for part in parts]

    def close(self) -> None:
        """Let go of everything: the call is over. What comes later finds no room."""
        with self.budget.lock:
            self._closed = True
            for kept in [*self.loose]:
                kept.free()
            self.used = 0

    def _keep(self, pcm: bytes, *, fits: bool) -> Kept:
        size = 0 if pcm is silence(len(pcm)) else len(pcm)
        if size and (not fits or self._closed):
            return Kept(self, None, 0, CALL_FULL)
        with self.budget.lock:
            if size and not self.budget.has_room(self, size):
                return Kept(self, None, 0, _PROCESS_FULL)
            kept = Kept(self, pcm, size, CALL_FULL)
            if size:
                self.used += size
                self.loose[kept] = None
            return kept


class Budget:
    """The memory that some calls share. It forgets a call that is gone, ended or not."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may close a call's coroutine while the lock is held.
        self.lock = RLock()
        self._shares = WeakSet[Share]()

    @property
    def used(self) -> int:
        """How many bytes wait or are sent, of all calls."""
        with self.lock:
            return sum(share.used for share in [*self._shares])

    def has_room(self, asking: Share, size: int) -> bool:
        """Return whether there is room for more audio, if need be because other audio gives way.

        Args:
            asking: The call that it belongs to. The lock is held.
            size: Its length.
        """
        self._shares.add(asking)
        sharing = [share for share in [*self._shares] if share.used or share is asking]
        limit = min(share.max_process_bytes for share in sharing)
        lacking = min(size, sum(share.used for share in sharing) + size - limit)
        if lacking <= 0:
            return True
        giving = _giving_way(sharing, lacking, asking.used + size)
        for kept in giving:
            kept.give_way()
        return bool(giving)


def _giving_way(sharing: list[Share], lacking: int, least: int) -> list[Kept]:
    """Return what gives way to a call; nothing if that is not enough.

    Args:
        sharing: The calls.
        lacking: How many bytes are needed.
        least: How much the call will have. Only those that have more give way.
    """
    used = {share: share.used for share in sharing}
    loose = {share: [*share.loose] for share in sharing}
    giving: list[Kept] = []
    while lacking > 0:
        greatest = max(
            (share for share in sharing if loose[share]), key=used.__getitem__, default=None
        )
        if greatest is None or used[greatest] <= least:
            return []
        giving.append(loose[greatest].pop())
        used[greatest] -= giving[-1].size
        lacking -= giving[-1].size
    return giving


PROCESS = Budget()
"""What all calls of this process share."""
