"""The receipt of a delivery."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING

import pytest

from pipecat_roark import Loss, Receipt, RoarkObserver, Tally
from pipecat_roark.local import LocalRoark
from pipecat_roark.receipt import Cause, Ledger
from scenarios.faults import FOR_GOOD, first, hang
from support.calls import Call

if TYPE_CHECKING:
    from pathlib import Path


def test_a_call_that_has_not_begun_owes_nothing() -> None:
    """Nothing is captured, and so nothing is whole."""
    receipt = RoarkObserver(agent_id="front-desk", api_key="key").receipt
    assert receipt == Receipt(
        events=Tally(),
        chunks=Tally(),
        captured_bytes=0,
        delivered_bytes=0,
        lost=(),
        ending_secs=None,
    )
    assert not receipt.whole


def test_a_whole_call_is_whole_when_it_is_over() -> None:
    """Everything captured was delivered, whatever had to be sent twice."""
    ledger = Ledger()
    ledger.captured("call-started")
    ledger.captured("audio chunk", 400)
    ledger.failed("audio chunk", Cause("Roark answered 503", "unavailable"))
    ledger.retried("audio chunk")
    ledger.succeeded("audio chunk")
    ledger.delivered("audio chunk", 400)
    ledger.delivered("call-started")
    assert not ledger.receipt().whole
    ledger.close(0.25)
    receipt = ledger.receipt()
    assert receipt == Receipt(
        events=Tally(captured=1, delivered=1),
        chunks=Tally(captured=1, delivered=1, retried=1),
        captured_bytes=400,
        delivered_bytes=400,
        lost=(),
        ending_secs=0.25,
    )
    assert receipt.whole
    with pytest.raises(FrozenInstanceError):
        receipt.lost = ()  # type: ignore[misc]


def test_what_is_owed_is_lost_when_it_is_over() -> None:
    """While the call runs, only final losses count; at the end, all that is owed."""
    ledger = Ledger()
    for what in ("call-started", "audio chunk", "audio chunk", "audio chunk", "call-ended"):
        ledger.captured(what)
    ledger.lost("audio chunk", Cause("Roark answered 404", "rejected"))
    ledger.delivered("audio chunk", 1)
    ledger.failed("audio chunk", Cause("Roark answered 503", "unavailable"))
    known = Loss(what="audio chunk", count=1, why="Roark answered 404", reason="rejected")
    assert ledger.receipt().lost == (known,)
    ledger.close(10)
    receipt = ledger.receipt()
    assert receipt.lost == (
        known,
        Loss(what="audio chunk", count=1, why="Roark answered 503", reason="unavailable"),
        Loss(what="call-ended", count=1, why="no time was left", reason="no-time"),
        Loss(what="call-started", count=1, why="no time was left", reason="no-time"),
    )
    assert not receipt.whole
    assert receipt.events == Tally(captured=2)


async def greet(call: Call) -> None:
    """Hold the shortest of calls."""
    await call.bot_says("Hello.", secs=0.2)
    await call.quiet()
    await call.end()


@pytest.mark.live
async def test_a_real_call_has_its_receipt(local: LocalRoark, log: list[str]) -> None:
    """Its bytes are those of the stored chunks, and one line at INFO says that it arrived."""
    roark = RoarkObserver(agent_id="front-desk")
    await Call([roark], [roark.audio_processor]).hold(greet)
    stored = await local.wait_for_end(roark.pipecat_call_id)
    size = sum(path.stat().st_size for path in stored.chunks.values())
    receipt = roark.receipt
    assert receipt.whole
    assert receipt.events == Tally(captured=2, delivered=2)
    assert receipt.chunks == Tally(captured=1, delivered=1)
    assert receipt.captured_bytes == receipt.delivered_bytes == size > 0
    assert receipt.ending_secs is not None
    assert receipt.ending_secs < 1
    (line,) = [line for line in log if roark.pipecat_call_id in line]
    assert line.endswith(f"has ended: 1 of 1 audio chunks are at Roark, {size} bytes.")
    assert line.startswith("INFO ")


@pytest.mark.live
async def test_the_ending_takes_no_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    """The deadline is the caller's choice; what did not arrive by then is on the receipt."""
    async with LocalRoark(tmp_path, middlewares=[first(FOR_GOOD, hang)]) as roark_away:
        monkeypatch.setenv("ROARK_BASE_URL", roark_away.url)
        roark = RoarkObserver(agent_id="front-desk", api_key="key", deadline_secs=0.4)
        await Call([roark], [roark.audio_processor]).hold(greet)
    receipt = roark.receipt
    assert [(loss.what, loss.count) for loss in receipt.lost] == [
        ("audio chunk", 1),
        ("call-ended", 1),
        ("call-started", 1),
    ]
    assert receipt.delivered_bytes == receipt.events.delivered == 0
    assert receipt.ending_secs is not None
    assert 0.3 < receipt.ending_secs < 0.9
    assert len([line for line in log if line.startswith("WARNING Call")]) == 1
