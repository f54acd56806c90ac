"""The gate with what holds something back, without a pipeline."""

from __future__ import annotations

import asyncio
import gc
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from pipecat_roark import CallReport, Loss, guard
from pipecat_roark import gate as module
from pipecat_roark.budget import PROCESS
from pipecat_roark.delivery.delivery import CHUNK_BYTES
from pipecat_roark.gate import Gate
from pipecat_roark.settings import Settings
from privacy.test_masks import at, report, turn
from support.tails import tail_of

if TYPE_CHECKING:
    from pipecat_roark import ToolCall, Turn
    from pipecat_roark.local import LocalRoark

PCM = b"\1" * 9600
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
FORMAT: dict[str, Any] = {"sample_rate": 24000, "num_channels": 2}


def made(**options: Any) -> tuple[Gate, list[bytes]]:
    """Return a gate, and what it hands to the application's handlers later."""
    published: list[bytes] = []

    async def publish(pcm: bytes) -> None:
        published.append(pcm)

    settings = Settings.check(agent_id="desk", api_key=None, **options)
    return Gate(settings, "call-1", publish), published


async def end(gate: Gate, **fields: Any) -> None:
    """End a call that was recorded."""
    known = CallReport(pipecat_call_id="call-1", ended_at=at(9), **FORMAT, **fields)
    await gate.end(gate.call_ended(gate.report(known)), spent_secs=0)


def passes(item: Turn | ToolCall) -> Turn | ToolCall:
    """Let everything pass."""
    return item


@pytest.mark.parametrize("before", [True, False])
async def test_consent_lets_everything_out(local: LocalRoark, before: bool) -> None:  # noqa: FBT001
    """Given before the call begins or later, once or twice; a refusal afterwards is too late."""
    gate, published = made(consent_required=True)
    if before:
        gate.consent_given()
    gate.start(NOW)
    assert gate.audio(PCM) == (PCM if before else b"")
    assert gate.withheld is not before
    for decide in (gate.consent_given, gate.consent_given, gate.consent_refused):
        decide()
    assert gate.audio(PCM) is PCM
    await end(gate)
    assert gate.receipt.whole
    assert published == ([] if before else [PCM])
    call = local.calls["call-1"]
    assert call.started is not None
    assert call.started["eventTimestamp"] == "2026-01-01T00:00:00.000Z"
    assert b"".join(path.read_bytes() for path in call.chunks.values()) == 2 * PCM


async def test_refused_consent_ends_every_wait(local: LocalRoark) -> None:
    """Nothing is held any more, and nobody goes on."""
    gate, published = made(consent_required=True)
    following = asyncio.create_task(
        gate.follow(lambda _: report(), lambda *_: tail_of(PCM).ends.user)
    )
    gate.start(NOW)
    gate.audio(PCM)
    await asyncio.sleep(0)
    gate.consent_refused()
    await following
    assert gate.audio(bytes(CHUNK_BYTES)) == b""
    gate.consent_given()
    assert gate.withheld
    assert gate.report(report(turn(1, 2))).turns == ()
    await end(gate)
    assert published == []
    assert local.calls == {}
    assert gate.receipt.ending_secs == 0
    assert gate.receipt.lost == tuple(
        Loss(what=what, count=count, why="consent was refused", reason="no-consent")
        for what, count in (("audio chunk", 2), ("call-ended", 1), ("call-started", 1))
    )


async def test_what_nobody_could_judge_is_silence(local: LocalRoark) -> None:
    """If the report of a call fails, its audio keeps its length, and is counted as lost."""
    gate, published = made(redact=passes)
    gate.start(NOW)
    assert gate.audio(PCM) == b""
    await end(gate)
    (chunk,) = local.calls["call-1"].chunks.values()
    assert chunk.read_bytes() == bytes(len(PCM))
    assert [(loss.what, loss.reason) for loss in gate.receipt.lost] == [
        ("audio chunk", "internal-error")
    ]
    assert published == []


async def test_above_the_bound_audio_is_lost_and_counted(local: LocalRoark) -> None:
    """So much may wait for consent."""
    gate, _ = made(consent_required=True, max_waiting_bytes=len(PCM))
    gate.start(NOW)
    for _ in range(2):
        gate.audio(PCM)
    gate.consent_given()
    await end(gate)
    chunks = local.calls["call-1"].chunks
    assert [chunks[index].read_bytes() for index in (0, 1)] == [PCM, bytes(len(PCM))]
    assert [(loss.count, loss.reason) for loss in gate.receipt.lost] == [(1, "memory-full")]


@pytest.mark.usefixtures("local")
async def test_what_is_held_counts_for_the_process() -> None:
    """A call that has less takes the room of one that waits for consent with more."""
    gc.collect()  # calls of other tests
    options = {"max_process_waiting_bytes": PROCESS.used + 2 * len(PCM)}
    (greedy, _), (modest, _) = made(consent_required=True, **options), made(**options)
    greedy.start(NOW)
    modest.start(NOW)
    for _ in range(2):
        greedy.audio(PCM)
    modest.audio(PCM)
    greedy.consent_given()
    await end(greedy)
    await end(modest)
    assert [(loss.count, loss.reason) for loss in greedy.receipt.lost] == [
        (1, "process-memory-full")
    ]
    assert not modest.receipt.lost


async def test_turns_are_judged_as_they_close(
    local: LocalRoark, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    """Audio goes out before the call ends, up to what is settled; an error costs one look."""
    monkeypatch.setattr(module, "JUDGE_SECS", 0.001)
    monkeypatch.setattr(guard, "RERAISE", False)
    gate, published = made(redact=lambda _: None)
    gate.start(NOW)
    for _ in range(4):
        gate.audio(PCM)
    looks = 0

    def known(recorded: bool) -> CallReport:  # noqa: FBT001
        nonlocal looks
        looks += 1
        if looks == 1:
            raise OSError
        said = turn(0, 0.1, start_ms=400, end_ms=600)
        return report(said, settled_ms=200 if recorded else None, **FORMAT)

    following = asyncio.create_task(gate.follow(known, lambda *_: tail_of(PCM).ends.user))
    while len(published) < 2:  # noqa: ASYNC110  # the gate tells nobody else
        await asyncio.sleep(0.001)
    following.cancel()
    half = b"\1" * (PAD_FREE_MS * 96) + bytes(len(PCM) - PAD_FREE_MS * 96)
    assert published == [PCM, half]
    assert len(warned) == 1
    await end(gate)
    assert local.calls["call-1"].complete


PAD_FREE_MS = 50
"""The turn begins at 400 ms and is silenced from 150 ms on; the second part begins at 100 ms."""


async def test_the_end_judges_what_is_left(local: LocalRoark) -> None:
    """And lets its audio out."""
    gate, published = made(redact=passes)
    gate.start(NOW)
    gate.audio(PCM)
    known = report(turn(1, 2), ended_at=at(9), **FORMAT)
    assert gate.report(known).turns[0].content == "[redacted]"
    await gate.settle(lambda _: known)
    assert gate.report(known).turns == known.turns
    await end(gate, turns=known.turns)
    assert published == [PCM]
    assert gate.receipt.whole
    assert local.calls["call-1"].complete


async def test_without_anything_to_judge_the_end_settles_nothing(local: LocalRoark) -> None:
    """Neither without a function, nor without consent."""
    for options in ({}, {"redact": passes, "consent_required": True}):
        gate, published = made(**options)
        gate.start(NOW)
        gate.audio(PCM)
        await gate.settle(lambda _: report(turn(1, 2), ended_at=at(9), **FORMAT))
        await end(gate)
        assert published == []
    assert list(local.calls) == ["call-1"]
