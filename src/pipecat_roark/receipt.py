"""What became of a call's delivery: counted while it runs, and given to the user as a receipt.

Pure: no I/O, and time comes in as a value.

What was captured is owed until it has arrived or is known to be lost. What is still owed when the
delivery is over is lost, too, and the latest failure of its kind is the reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

Item = Literal["call-started", "audio chunk", "call-ended"]

CHUNK: Item = "audio chunk"
NO_TIME = "no time was left"


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
        what: An event's name, or `audio chunk`.
        count: How many.
        why: The reason, without anything private in it.
    """

    what: Item
    count: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What of a call has arrived at Roark.

    Attributes:
        events: The call's start and end.
        chunks: The recording's parts.
        captured_bytes: Length of the recording.
        delivered_bytes: How much of it arrived.
        lost: What is missing and why. While the call runs, only what is known to be lost.
        spooled: What is missing for now, and is in the spool to be delivered later.
        ending_secs: Seconds from the call's end until everything had arrived or was given up;
            None before.
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
    """Keeps count of one call's delivery."""

    def __init__(self) -> None:
        self._captured: Counter[Item] = Counter()
        self._delivered: Counter[Item] = Counter()
        self._retried: Counter[Item] = Counter()
        self._lost: Counter[tuple[Item, str]] = Counter()
        self._failures: dict[Item, str] = {}
        self._captured_bytes = 0
        self._delivered_bytes = 0
        self._ending_secs: float | None = None
        self._spooled = False

    def captured(self, what: Item, size: int = 0) -> None:
        """Note that something is to be delivered."""
        self._captured[what] += 1
        self._captured_bytes += size

    def delivered(self, what: Item, size: int = 0) -> None:
        """Note that something arrived."""
        self._delivered[what] += 1
        self._delivered_bytes += size

    def tried(self, what: Item, failure: str = "") -> None:
        """Note how a try went."""
        self._failures[what] = failure

    def retried(self, what: Item) -> None:
        """Note that something is sent again."""
        self._retried[what] += 1

    def lost(self, what: Item, why: str) -> None:
        """Note that something never arrives."""
        self._lost[what, why] += 1

    def close(self, ending_secs: float, *, spooled: bool = False) -> None:
        """Note that the delivery is over.

        Args:
            ending_secs: How long after the call's end.
            spooled: Whether what is owed is in the spool rather than lost.
        """
        self._ending_secs, self._spooled = ending_secs, spooled

    @property
    def owed(self) -> int:
        """How much has neither arrived nor is lost."""
        return sum(self._owed().values())

    def receipt(self) -> Receipt:
        """Return how things stand."""
        lost, spooled = self._lost.copy(), Counter[tuple[Item, str]]()
        if self._ending_secs is not None:
            rest = spooled if self._spooled else lost
            for what, count in self._owed().items():
                rest[what, self._failures.get(what) or NO_TIME] += count
        return Receipt(
            events=self._tally("call-started", "call-ended"),
            chunks=self._tally(CHUNK),
            captured_bytes=self._captured_bytes,
            delivered_bytes=self._delivered_bytes,
            lost=_losses(lost),
            spooled=_losses(spooled),
            ending_secs=self._ending_secs,
        )

    def _owed(self) -> Counter[Item]:
        gone = Counter(what for what, _ in self._lost.elements())
        return self._captured - self._delivered - gone

    def _tally(self, *items: Item) -> Tally:
        captured, delivered, retried = (
            sum(counter[item] for item in items)
            for counter in (self._captured, self._delivered, self._retried)
        )
        return Tally(captured=captured, delivered=delivered, retried=retried)


def _losses(counts: Counter[tuple[Item, str]]) -> tuple[Loss, ...]:
    return tuple(
        Loss(what=what, count=count, why=why) for (what, why), count in sorted(counts.items())
    )
