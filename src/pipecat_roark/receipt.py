"""The receipt: what of a call has arrived at Roark, and what is missing.

The module does no I/O and reads no clock: the delivery tells the ledger what happened.

Everything captured is owed until it arrives or is lost for good. When the delivery is over, what is
still owed is lost too, or waits in the spool; the last failure of its kind is given as the cause.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = "audio chunk"
"""The receipt's name for a part of the recording; an event has its own name."""

Reason: TypeAlias = Literal[
    "key-refused",
    "rejected",
    "unavailable",
    "no-time",
    "memory-full",
    "process-memory-full",
    "spool-full",
    "spool-unreadable",
    "redact-failed",
    "redact-timeout",
    "redact-unusable",
    "no-consent",
    "internal-error",
    "unknown",
]


class Cause(NamedTuple):
    """Why something did not arrive.

    Attributes:
        why: The cause in words, without anything private in it.
        reason: The kind of cause.
    """

    why: str
    reason: Reason


NO_TIME = Cause("no time was left", "no-time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many of one kind there were.

    Attributes:
        captured: To be delivered.
        delivered: Acknowledged by Roark, or by its object store, as they were captured.
        retried: How often one was sent again.
    """

    captured: int = 0
    delivered: int = 0
    retried: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What is missing at Roark, for good or for now.

    Attributes:
        what: An event's name, `audio chunk`, or what `redact` could not judge: `turn`, `tool call`.
        count: How many.
        why: The cause in words, without anything private in it. The words may change.
        reason: The kind of cause, for programs. It is one of these words:

            - `key-refused`: Roark refused the API key.
            - `rejected`: Roark or its object store will never accept this.
            - `unavailable`: every try failed, because there was no connection or no answer, or the
              server was in trouble.
            - `no-time`: the deadline came before a try had its answer.
            - `memory-full`: more audio waited than `max_waiting_bytes`; silence took its place.
            - `process-memory-full`: all calls of the process had more audio waiting than
              `max_process_waiting_bytes`; silence took its place.
            - `spool-full`: the disk had no room for the audio.
            - `spool-unreadable`: the disk did not give the audio back; silence took its place.
            - `redact-failed`: your `redact` function raised an exception; the item is masked.
            - `redact-timeout`: it took too long; the item is masked.
            - `redact-unusable`: it returned something unusable; the item is masked.
            - `no-consent`: consent was required, and refused or not given; nothing was sent.
            - `internal-error`: an error in this library.
            - `unknown`: nobody gave a reason. The library always gives one.
    """

    what: str
    count: int
    why: str
    reason: Reason = "unknown"

    def __str__(self) -> str:
        return f"{self.count} x {self.what} ({self.why})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What of a call has arrived at Roark.

    Attributes:
        events: The call's events: its start and its end.
        chunks: The recording's parts.
        captured_bytes: Length of the recording.
        delivered_bytes: How much of it arrived.
        lost: What is missing and why. While the call runs, it lists only what is lost for good.
        spooled: What is missing for now and waits in the spool.
        ending_secs: Seconds from the call's end until everything had arrived or was given up;
            None before that.
    """

    events: Tally
    chunks: Tally
    captured_bytes: int
    delivered_bytes: int
    lost: tuple[Loss, ...]
    spooled: tuple[Loss, ...] = ()
    ending_secs: float | None = None

    @property
    def whole(self) -> bool:
        """Whether the call has ended and nothing of it is missing at Roark."""
        return self.ending_secs is not None and not self.lost and not self.spooled


class Ledger:
    """Counts what becomes of everything that one call has to deliver."""

    def __init__(self) -> None:
        self._captured: Counter[str] = Counter()
        self._delivered: Counter[str] = Counter()
        self._retried: Counter[str] = Counter()
        self._lost: Counter[tuple[str, Cause]] = Counter()
        self._failures: dict[str, Cause] = {}
        self._captured_bytes = 0
        self._delivered_bytes = 0
        self._ending_secs: float | None = None
        self._spooled = False

    def captured(self, what: str, size: int = 0) -> None:
        """Count something that must be delivered."""
        self._captured[what] += 1
        self._captured_bytes += size

    def delivered(self, what: str, size: int = 0) -> None:
        """Count something that arrived."""
        self._delivered[what] += 1
        self._delivered_bytes += size

    def failed(self, what: str, cause: Cause) -> None:
        """Remember why the last try failed."""
        self._failures[what] = cause

    def succeeded(self, what: str) -> None:
        """Forget earlier failures: the last try succeeded."""
        self._failures.pop(what, None)

    def retried(self, what: str) -> None:
        """Count something that is sent again."""
        self._retried[what] += 1

    def lost(self, what: str, cause: Cause) -> None:
        """Count something that will never arrive."""
        self._lost[what, cause] += 1

    def close(self, ending_secs: float, *, spooled: bool = False) -> None:
        """Note that the delivery is over.

        Args:
            ending_secs: How long after the call's end.
            spooled: Whether everything that is still owed waits in the spool. Otherwise it is lost.
        """
        self._ending_secs, self._spooled = ending_secs, spooled

    @property
    def owed(self) -> Mapping[str, int]:
        """What has neither arrived nor is lost, and how many of each."""
        gone = Counter(what for what, _ in self._lost.elements())
        return self._captured - self._delivered - gone

    def receipt(self) -> Receipt:
        """Return the receipt as of now."""
        lost, spooled = self._lost.copy(), Counter[tuple[str, Cause]]()
        if self._ending_secs is not None:
            rest = spooled if self._spooled else lost
            for what, count in self.owed.items():
                rest[what, self._failures.get(what, NO_TIME)] += count
        return Receipt(
            events=self._tally(*(what for what in self._captured if what != CHUNK)),
            chunks=self._tally(CHUNK),
            captured_bytes=self._captured_bytes,
            delivered_bytes=self._delivered_bytes,
            lost=_losses(lost),
            spooled=_losses(spooled),
            ending_secs=self._ending_secs,
        )

    def _tally(self, *names: str) -> Tally:
        captured, delivered, retried = (
            sum(counter[name] for name in names)
            for counter in (self._captured, self._delivered, self._retried)
        )
        return Tally(captured=captured, delivered=delivered, retried=retried)


def _losses(counts: Counter[tuple[str, Cause]]) -> tuple[Loss, ...]:
    return tuple(
        Loss(what=what, count=count, why=cause.why, reason=cause.reason)
        for (what, cause), count in sorted(counts.items())
    )
