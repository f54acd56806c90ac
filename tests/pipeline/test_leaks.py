"""Calls in a row leave nothing behind in their process, and a long one keeps little."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import EndFrame, InputAudioRawFrame, TranscriptionFrame
from pipecat.observers.base_observer import FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection

from pipecat_roark import RoarkObserver
from pipecat_roark.sighting import REMEMBERED
from support.calls import IN_RATE, OUT_RATE, run, spoken
from support.stage import Clock, Sink, start

if TYPE_CHECKING:
    from pipecat_roark.local import LocalRoark

CALLS = 200
A_FEW = 10
"""What the event loop's pool of threads and the local Roark's connections may come to."""


def descriptors_and_threads() -> tuple[int, int]:
    """Return the number of descriptors and of threads of this process."""
    return len(list(Path("/dev/fd").iterdir())), threading.active_count()


async def short_call(spool_dir: Path) -> weakref.ref[RoarkObserver]:
    """Hold a call that ends at once, and return a weak reference to its observer."""
    roark = RoarkObserver(agent_id="front-desk", spool_dir=spool_dir)
    task = PipelineTask(
        Pipeline([roark.audio_processor]),
        params=PipelineParams(audio_in_sample_rate=IN_RATE, audio_out_sample_rate=OUT_RATE),
        observers=[roark],
        idle_timeout_secs=None,
    )
    sound = [InputAudioRawFrame(bytes(640), IN_RATE, 1) for _ in range(10)]
    words = TranscriptionFrame("Hello.", "caller", "2026-01-01T00:00:00Z")
    await task.queue_frames([*sound, words, EndFrame()])
    await run(task)
    assert roark.receipt.whole
    return weakref.ref(roark)


@pytest.mark.live
async def test_calls_in_a_row_leak_nothing(local: LocalRoark, tmp_path: Path) -> None:
    """No observer, no descriptor, no thread and no file (pipecat 1809, 3750)."""
    spool_dir = tmp_path / "spool"
    await short_call(spool_dir)  # what is made once in a process is there from now on
    before = descriptors_and_threads()
    # Python 3.10 keeps the last cancellation of a task, and with it the last call.
    *observers, _ = [await short_call(spool_dir) for _ in range(CALLS)]
    gc.collect()
    assert [observer for observer in observers if observer() is not None] == []
    assert all(
        now < then + A_FEW for now, then in zip(descriptors_and_threads(), before, strict=True)
    )
    assert list(spool_dir.iterdir()) == []
    assert sum(call.complete for call in local.calls.values()) == CALLS + 1


async def test_the_frames_of_a_long_call_are_forgotten(local: LocalRoark) -> None:
    """What is remembered of them is bounded."""
    roark = RoarkObserver(agent_id="front-desk")
    source, destination, clock = Sink(), Sink(), Clock()
    for processor in (source, destination):
        await start(processor, clock, OUT_RATE)
    ends = source, destination
    words = [spoken("Hi.") for _ in range(2 * REMEMBERED + 100)]
    for at, word in enumerate(words):
        await roark.on_push_frame(FramePushed(*ends, word, FrameDirection.DOWNSTREAM, at))
    assert [*roark._watcher.seen] == [word.id for word in words[REMEMBERED + 1 :]]  # noqa: SLF001
    await roark.aflush()
    assert local.calls[roark.pipecat_call_id].ended is not None
