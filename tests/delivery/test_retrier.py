"""The retrier: growing waits that can be cut short."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pipecat_roark.delivery.retrier import Retrier
from pipecat_roark.delivery.retry import WAIT_INITIAL, WAIT_MAX, DeliveryError

BUSY = DeliveryError("Roark answered 503")
ASKED = DeliveryError("Roark answered 429", retry_after=timedelta(seconds=20))
FINAL = DeliveryError("Roark answered 404", retryable=False)


class Sleeps:
    """Records how long it should sleep, and sleeps until `wake` is set."""

    def __init__(self) -> None:
        self.secs: list[float] = []
        self.wake = asyncio.Event()

    async def __call__(self, secs: float) -> None:
        self.secs.append(secs)
        await self.wake.wait()


async def send(retrier: Retrier, *errors: DeliveryError) -> int:
    """Send a request whose first tries fail. Return the number of tries."""
    tries = 0
    async for attempt in retrier.attempts():
        with attempt:
            tries += 1
            if tries <= len(errors):
                raise errors[tries - 1]
    return tries


async def test_waits_grow_and_a_final_error_ends_them() -> None:
    """Each wait has twice the bound of the one before; what is final is raised as it is."""
    sleeps = Sleeps()
    sleeps.wake.set()
    with pytest.raises(DeliveryError) as raised:
        await send(Retrier(max, sleeps), *[BUSY] * 6, ASKED, FINAL)
    assert raised.value is FINAL
    assert sleeps.secs == [*(WAIT_INITIAL * 2**n for n in range(6)), 20]


async def test_a_wait_that_is_cut_short_does_not_start_the_backoff_anew() -> None:
    """The next wait is longer than the one that was cut, and nothing else is disturbed."""
    sleeps = Sleeps()
    retrier = Retrier(max, sleeps)
    sending = asyncio.create_task(send(retrier, *[BUSY] * 4))
    for _ in range(4):
        await asyncio.sleep(0.01)
        assert not sending.done()
        retrier.cut_waits()
    assert await sending == 5
    assert sleeps.secs == [WAIT_INITIAL * 2**n for n in range(4)]
    retrier.cut_waits()


async def test_later_waits_can_be_limited() -> None:
    """A wait that a server asks for is not shortened."""
    sleeps = Sleeps()
    sleeps.wake.set()
    retrier = Retrier(max, sleeps)
    retrier.limit_waits(0.3)
    await send(retrier, BUSY, BUSY, ASKED, BUSY)
    assert sleeps.secs == [WAIT_INITIAL, 0.3, 20, 0.3]
    retrier.limit_waits(WAIT_MAX)


async def test_a_cancelled_request_leaves_no_wait_behind() -> None:
    """Neither while it waits nor while it is sent."""
    retrier = Retrier(max, Sleeps())
    sending = asyncio.create_task(send(retrier, BUSY))
    await asyncio.sleep(0.01)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A retry writes no log line."""
    caplog.set_level(0)
    sleeps = Sleeps()
    sleeps.wake.set()
    await send(Retrier(min, sleeps), *[BUSY] * 60)
    assert [record for record in caplog.records if record.name != "asyncio"] == []
