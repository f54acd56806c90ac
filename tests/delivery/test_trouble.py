"""An outage is two lines in the log."""

from __future__ import annotations

from pipecat_roark.delivery.retry import DeliveryError
from pipecat_roark.delivery.trouble import REPORT_SECS, Trouble

BUSY = DeliveryError("Roark answered 503")
BEGINS = (
    "WARNING Call call-1 can't be delivered at the moment: Roark answered 503. "
    "Every request is tried again as long as there is time."
)


class Clock:
    """Shows the time that it was set to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_reported_when_it_begins_and_when_it_is_over(log: list[str]) -> None:
    """Each outage is two lines, however many requests fail in it."""
    clock = Clock()
    trouble = Trouble("call-1", clock)
    for _ in range(2):
        began = clock.now
        for _ in range(60):
            clock.now += 0.5
            for key in ("call-started", 0, 1):
                trouble.failed(key, BUSY)
        assert log == [BEGINS]
        trouble.arrived("call-started")
        trouble.arrived(0)
        assert log == [BEGINS]
        trouble.arrived(1)
        trouble.arrived(2)
        secs = clock.now - began - 0.5
        assert log == [BEGINS, f"INFO Call call-1 can be delivered again, after {secs:.0f} s."]
        log.clear()


def test_a_single_retry_is_no_outage(log: list[str]) -> None:
    """Short failures are not logged, however often they happen."""
    clock = Clock()
    trouble = Trouble("call-1", clock)
    for key in range(60):
        trouble.failed(key, BUSY)
        clock.now += 0.9 * REPORT_SECS
        trouble.failed(key, BUSY)
        trouble.arrived(key)
    assert log == []


def test_an_outage_lasts_until_something_arrives(log: list[str]) -> None:
    """A request that is given up does not end an outage."""
    clock = Clock()
    trouble = Trouble("call-1", clock)
    trouble.failed(0, BUSY)
    clock.now += REPORT_SECS
    trouble.failed(0, BUSY)
    trouble.given_up(0)
    assert log == [BEGINS]
    trouble.arrived(1)
    assert len(log) == 2
