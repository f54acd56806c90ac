"""What gets out of a call, for everything that can hold it back: a table, each cell observed."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pipecat.frames import frames as pipecat_frames
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

from scenarios import disclosure, exits
from scenarios.disclosure import redacted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipecat_roark import RoarkObserver, ToolCall, Turn
    from support.calls import Call

pytestmark = [pytest.mark.live, pytest.mark.at_once]

WORDS = {"public words", "secret words"}
TOOLS = {"public tool", "secret tool"}
AUDIO = {"public tone", "secret tone"}
PUBLIC = {"public words", "public tool", "public tone"}
EVERYTHING = WORDS | TOOLS | AUDIO
NOTHING: set[str] = set()
STOP = getattr(pipecat_frames, "AudioBufferStopRecordingFrame", None)


@asynccontextmanager
async def paused(roark: RoarkObserver, _: Call) -> AsyncIterator[None]:
    """Pause a call."""
    with roark.paused():
        yield


@asynccontextmanager
async def stopped(roark: RoarkObserver, _: Call) -> AsyncIterator[None]:
    """Stop the recorder of a call, and start it again."""
    await roark.audio_processor.stop_recording()
    yield
    await roark.audio_processor.start_recording()


@asynccontextmanager
async def stopped_by_frames(_: RoarkObserver, call: Call) -> AsyncIterator[None]:
    """Stop and start all recorders in the pipeline of a call."""
    await call.push(pipecat_frames.AudioBufferStopRecordingFrame())
    yield
    await call.push(pipecat_frames.AudioBufferStartRecordingFrame())


def fails(item: Turn | ToolCall) -> Turn | ToolCall:
    """Raise an error that contains what must not be seen."""
    raise ValueError(str(item))


async def returns_nonsense(item: Turn | ToolCall) -> Any:
    """Return something that is no item."""
    return str(item)


def consents(roark: RoarkObserver) -> None:
    """Give consent."""
    roark.consent_given()


def refuses(roark: RoarkObserver) -> None:
    """Refuse consent."""
    roark.consent_refused()


LATE = {"consent_required": True, "before_end": consents}
HOOKS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, EVERYTHING),
    "pause": ({"around": paused}, PUBLIC),
    "recorder stopped": ({"around": stopped}, PUBLIC),
    "recorder stopped by a frame": ({"around": stopped_by_frames}, PUBLIC),
    "redact": ({"redact": redacted}, PUBLIC),
    "redact lets nothing pass": ({"redact": lambda _: None}, NOTHING),
    "redact fails": ({"redact": fails}, NOTHING),
    "redact returns nonsense": ({"redact": returns_nonsense}, NOTHING),
    "consent given late": (LATE, EVERYTHING),
    "consent given late, paused": ({**LATE, "around": paused}, PUBLIC),
    "consent given late, redact": ({**LATE, "redact": redacted}, PUBLIC),
    "consent refused": ({"consent_required": True, "before_end": refuses}, NOTHING),
    "consent not given": ({"consent_required": True}, NOTHING),
    "no words": ({"capture": {"audio", "tools"}}, TOOLS | AUDIO),
    "no tools": ({"capture": {"audio", "words"}}, WORDS | AUDIO),
    "no audio": ({"capture": {"words", "tools"}}, WORDS | TOOLS),
    "no audio, redact": ({"capture": {"words", "tools"}, "redact": redacted}, PUBLIC - AUDIO),
}
"""What holds something back, and what may get out."""


@pytest.mark.parametrize("hook", HOOKS)
async def test_nothing_else_gets_out(hook: str, tmp_path: Path) -> None:
    """Each exit lets out what may leave, all of it, and nothing else."""
    if STOP is None and "frame" in hook:
        pytest.skip("this Pipecat has no frames for it")
    options, may_leave = HOOKS[hook]
    seen, roark, call = await disclosure.hold(tmp_path, **options)
    assert seen.wire == may_leave
    assert seen.call_ended == may_leave - AUDIO
    assert seen.report == may_leave - AUDIO
    assert seen.audio_events == may_leave & AUDIO
    assert seen.log == NOTHING
    # What is kept only after the call is there too early to be seen: it is delivered at once.
    kept_while_it_runs = may_leave if "redact" not in options and options is not LATE else NOTHING
    assert kept_while_it_runs - AUDIO <= seen.spool <= may_leave
    if "consent_required" in options and not may_leave:
        assert call is None
        assert not roark.receipt.whole
        assert {loss.reason for loss in roark.receipt.lost} == {"no-consent"}
        assert roark.receipt.events.delivered == roark.receipt.chunks.delivered == 0
    else:
        assert call is not None
        assert call.complete, call.problems
        lost = {(loss.what, loss.reason) for loss in roark.receipt.lost}
        reason = {"redact fails": "redact-failed", "redact returns nonsense": "redact-unusable"}
        assert lost == {(what, reason[hook]) for what in ("turn", "tool call") if hook in reason}


@pytest.mark.parametrize("hook", ["pause", "recorder stopped"])
async def test_a_recorder_of_the_caller_lets_nothing_out_either(hook: str, tmp_path: Path) -> None:
    """What Roark gets of it is silent; its own events are its own."""
    own = AudioBufferProcessor(num_channels=2, buffer_size=12_000)
    options, may_leave = HOOKS[hook]
    seen, _, call = await disclosure.hold(tmp_path, audio_buffer_processor=own, **options)
    assert seen.wire == may_leave
    assert call is not None
    assert call.complete, call.problems


async def test_the_copies_of_the_caller_wait_for_consent_too(tmp_path: Path) -> None:
    """As far as Roark and the disk are concerned."""
    own = AudioBufferProcessor(num_channels=2, buffer_size=12_000)
    seen, roark, call = await disclosure.hold(
        tmp_path, audio_buffer_processor=own, consent_required=True
    )
    assert call is None
    assert (seen.wire, seen.spool) == (NOTHING, NOTHING)
    assert seen.audio_events == AUDIO
    assert {loss.reason for loss in roark.receipt.lost} == {"no-consent"}


async def test_a_pause_needs_no_recorder(tmp_path: Path) -> None:
    """The words of that time are hidden, also where nothing is recorded."""
    seen, _, _ = await disclosure.hold(tmp_path, paused, recorded=False)
    assert seen.wire == PUBLIC - AUDIO
    assert seen.report == seen.call_ended == PUBLIC - AUDIO


@pytest.mark.process
async def test_a_function_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    """The call ends within its deadline, its process leaves, and what it said is masked."""
    async with exits.roark(tmp_path, 0.02) as local:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scenarios.disclosure", "hang", "call#1"),
            env=os.environ
            | {"PYTHONPATH": exits.TESTS, "ROARK_BASE_URL": local.url, "ROARK_API_KEY": "key"},
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(process.wait(), 60) == 0
        call = local.calls["call#1"]
    assert call.complete, call.problems
    assert call.ended is not None
    assert [turn["content"] for turn in call.ended["transcript"]] == ["[redacted]"]
    assert disclosure.found_in(tmp_path) == NOTHING


@pytest.mark.process
@pytest.mark.parametrize("secs", [1.5, 4.0, 8.0])
async def test_a_killed_process_leaves_nothing_that_was_not_judged(
    secs: float, tmp_path: Path
) -> None:
    """Neither words nor audio, whenever it is killed."""
    async with exits.roark(tmp_path / "calls", 0.02) as local:
        assert await disclosure.leaked(local, tmp_path, "call#1", secs) == set()
