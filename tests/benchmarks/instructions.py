"""Counts the instructions of a callback and of a recorder's frame, and compares them with a file.

    uv run --all-extras tests/benchmarks/instructions.py            # about a minute
    uv run --all-extras tests/benchmarks/instructions.py --write    # records them anew

Unlike times, instructions are the same on a busy machine. Valgrind's callgrind counts them. The
process loads everything and then forks for each measurement, one of N repetitions and one of 2 N:
their difference is that of N repetitions, without what comes before. Exits with 1 if a count is
more than 10 % above the file's or is not in it, and with 2 if there is no valgrind.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.table import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from pipecat.observers.base_observer import BaseObserver

    Piece = Callable[[int], Coroutine[Any, Any, None]]

STORED = Path(__file__).with_suffix(".json")
PLACE = f"Python {sys.version_info.major}.{sys.version_info.minor}, Pipecat {version('pipecat-ai')}"
LIMIT = 1.1
REPETITIONS = {
    "an empty callback": 1000,
    "an irrelevant frame": 1000,
    "a later sight of the assistant's audio": 1000,
    "a first sight of the assistant's audio": 500,
    "a frame of 20 ms in the recorder": 2000,
}
RECORD = "uv run --all-extras tests/benchmarks/instructions.py --write"


def complaints(recorded: Mapping[str, int] | None, counted: Mapping[str, int]) -> list[str]:
    """Return what is wrong with counts, beside those that were recorded at the same place."""
    if recorded is None:
        return [f"No counts are recorded for {PLACE}. Record them: {RECORD}"]
    found = []
    for piece, count in counted.items():
        before = recorded.get(piece)
        if before is None:
            found.append(f"No count is recorded for {piece}. Record it: {RECORD}")
        elif count > LIMIT * before:
            found.append(f"{piece} takes {count / before - 1:.0%} more instructions than recorded.")
    return found


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Run what never waits, without an event loop."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


async def prepare() -> dict[str, Piece]:
    """Return the pieces of work, each to be repeated a number of times."""
    # All of this is loaded in the process that is measured only.
    from loguru import logger  # noqa: PLC0415
    from pipecat.frames.frames import BotSpeakingFrame  # noqa: PLC0415
    from pipecat.observers.base_observer import FramePushed  # noqa: PLC0415

    from benchmarks.contenders import Empty, unsent  # noqa: PLC0415
    from benchmarks.hot_path import AUDIO, DOWN, KINDS  # noqa: PLC0415
    from benchmarks.recorder import FRAME_NS, call, recorder  # noqa: PLC0415
    from support.calls import OUT_RATE  # noqa: PLC0415
    from support.stage import Clock, Sink, start  # noqa: PLC0415

    logger.remove()
    clock, source, destination = Clock(), Sink(), Sink()
    for processor in (source, destination):
        await start(processor, clock, OUT_RATE)
    observer = (await unsent()).observer
    ignored, *audio = (
        FramePushed(source, destination, frame, DOWN, 0)
        for frame in (BotSpeakingFrame(), *(KINDS[AUDIO]() for _ in range(1001)))
    )
    for push in (ignored, audio[-1]):
        await observer.on_push_frame(push)
    ours = await recorder("ours")
    await start(ours, clock, OUT_RATE)
    frames = call(16000, OUT_RATE, 40)

    def shown(to: BaseObserver, push: FramePushed) -> Piece:
        async def show(times: int) -> None:
            for _ in range(times):
                await to.on_push_frame(push)

        return show

    async def first(times: int) -> None:
        for push in audio[:times]:
            await observer.on_push_frame(push)

    async def record(times: int) -> None:
        for number, frame in enumerate(frames[:times]):
            clock.now = (number // 2 + 1) * FRAME_NS
            await ours.process_frame(frame, DOWN)

    pieces = [shown(Empty(), ignored), shown(observer, ignored), shown(observer, audio[-1])]
    return dict(zip(REPETITIONS, [*pieces, first, record], strict=True))


def measured() -> None:
    """Do each piece of work in processes of its own, and print their ids."""
    pieces = asyncio.new_event_loop().run_until_complete(prepare())
    gc.collect()
    gc.disable()
    for piece, repeat in pieces.items():
        for times in (REPETITIONS[piece], 2 * REPETITIONS[piece]):
            pid = os.fork()
            if not pid:
                finish(repeat(times))
                os._exit(0)
            _, status = os.waitpid(pid, 0)
            print(json.dumps([piece, times, pid, status]), flush=True)
    os._exit(0)


def count(valgrind: str) -> dict[str, int]:
    """Return how many instructions each piece of work takes."""
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run(  # noqa: S603  # ourselves, under valgrind
            [
                *(valgrind, "--tool=callgrind", f"--callgrind-out-file={folder}/%p"),
                *(sys.executable, __file__, "--measured"),
            ],
            env=os.environ | {"PYTHONHASHSEED": "0", "ROARK_API_KEY": "key"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout
        totals: dict[str, list[int]] = {}
        for line in out.splitlines():
            piece, _, pid, status = json.loads(line)
            assert status == 0, piece
            totals.setdefault(piece, []).append(total(Path(folder) / str(pid)))
    return {
        piece: round((twice - once) / REPETITIONS[piece]) for piece, (once, twice) in totals.items()
    }


def total(profile: Path) -> int:
    """Return the instructions of a process, of the file that callgrind wrote of it."""
    lines = profile.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in reversed(lines) if line.startswith("totals:"))


def main(*, write: bool) -> int:
    """Count, print and compare, or record; return the exit status."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        sys.stderr.write("valgrind is not installed: it counts the instructions.\n")
        return 2
    stored: dict[str, dict[str, int]] = {}
    if STORED.exists():
        stored = json.loads(STORED.read_text(encoding="utf-8"))
    counted, recorded = count(valgrind), stored.get(PLACE)
    lines = [(piece, number, (recorded or {}).get(piece, "")) for piece, number in counted.items()]
    print(plain((f"instructions, {PLACE}", "counted", "recorded"), lines))
    if write:
        text = json.dumps(stored | {PLACE: counted}, indent=2, sort_keys=True)
        STORED.write_text(f"{text}\n", encoding="utf-8")
        return 0
    wrong = complaints(recorded, counted)
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count instructions, and compare them.")
    parser.add_argument("--write", action="store_true", help="record the counts")
    parser.add_argument("--measured", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measured:
        measured()
    sys.exit(main(write=options.write))
