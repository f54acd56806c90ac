"""Holds a whole voice call on this machine, and shows what Roark gets of it.

Nothing leaves the machine and no key is needed. A caller with recorded lines talks over WebRTC to a
Pipecat bot whose recognition, language model and speech run here, and a local Roark takes the call:

    uv run --extra demo examples/demo.py
"""

from __future__ import annotations

import signal
import sys

if sys.version_info < (3, 11):
    sys.exit(
        "The demo needs Python 3.11 or newer, as Pipecat 1.0 does. Try:\n"
        "    uv run --python 3.11 --extra demo examples/demo.py"
    )
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Until the call begins, Ctrl-C just ends it.
    print("Loading the bot: speech recognition, turn detection, speech ...", flush=True)

import argparse
import asyncio
import json
import os
import time
import webbrowser
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from loguru import logger

if __name__ == "__main__":
    logger.remove()  # Pipecat's log goes to a file, from its first line on.

from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.workers.runner import WorkerRunner
from rich.console import Console

from demo_bot import create_bot
from offline import llm, screen
from offline.caller import Caller, CallFailedError, Line
from pipecat_roark.local import LocalRoark, draw_call

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeAlias

    from pipecat_roark import CallReport, RoarkObserver
    from pipecat_roark.local import StoredCall

    Follow: TypeAlias = Callable[["LiveCall"], Coroutine[Any, Any, None]]
    Linger: TypeAlias = Callable[["HeldCall"], Coroutine[Any, Any, None]]

# Recorded once with flite's voice "slt".
SPEECH = Path(__file__).parent / "offline" / "speech"
WEATHER = Line("Hello, what is the weather in London?", SPEECH / "weather.wav")
HISTORY = Line("Great, tell me the history of the city.", SPEECH / "history.wav")
GOODBYE = Line("OK, that is enough. Thank you and goodbye.", SPEECH / "goodbye.wav")

INTERRUPT_AFTER_S = 5.0
"""The caller interrupts the long answer after this time, in its second sentence."""
END_WITHIN_S = 15.0
LOG_NAME = "pipecat.log"


@dataclass(frozen=True)
class LiveCall:
    """A running call, for the screen that follows it."""

    caller: Caller
    roark: RoarkObserver
    local: LocalRoark
    started: float
    """When the call started, by `time.monotonic`."""


@dataclass(frozen=True)
class HeldCall:
    """A call that is over: the library's report of it, and what the local Roark received."""

    report: CallReport
    stored: StoredCall
    page: str
    """Address of the call's page, while the local Roark is served."""


async def converse(caller: Caller, connection: SmallWebRTCConnection) -> None:
    """Hold the caller's side of the conversation."""
    await caller.dial(connection)
    await caller.listen()
    await caller.say(WEATHER)
    await caller.listen()
    await caller.say(HISTORY)
    await caller.listen_for(INTERRUPT_AFTER_S)
    await caller.say(GOODBYE)
    await caller.listen()
    await caller.hang_up()


async def hold_call(
    folder: Path, follow: Follow | None = None, linger: Linger | None = None
) -> HeldCall:
    """Hold the demo call, and deliver it to a local Roark.

    Args:
        folder: Where calls are stored; each gets a folder of its own in it.
        follow: Runs during the call, and is cancelled at its end.
        linger: Runs after the call, while the local Roark is still served.

    Raises:
        CallFailedError: The bot did not do its part of the conversation.
        TimeoutError: The call's end did not arrive at the local Roark.
    """
    log = folder / LOG_NAME
    sink = logger.add(log, mode="w", level="DEBUG")
    try:
        async with LocalRoark(folder) as local, llm.serve() as llm_base_url:
            with patch.dict(os.environ, ROARK_BASE_URL=local.url, ROARK_API_KEY="demo"):
                roark = await _connect(local, llm_base_url, follow)
            stored = await local.wait_for_end(roark.pipecat_call_id)
            held = HeldCall(roark.report(), stored, local.page_of(stored.call_id))
            keep_report(held)
            if linger is not None:
                await linger(held)
    finally:
        logger.remove(sink)
    log.replace(stored.folder / LOG_NAME)
    return held


def keep_report(held: HeldCall) -> None:
    """Put the report into the call's folder, so that the page shows what only it tells."""
    report = json.dumps(asdict(held.report), default=str)
    (held.stored.folder / "report.json").write_text(report, encoding="utf-8")


async def show(console: Console, held: HeldCall, *, opens: bool) -> None:
    """Show a call that is over, and serve its page to whoever sits there until Ctrl-C."""
    console.print(draw_call(held.stored, console.width), markup=False, soft_wrap=True)
    console.print(f"\n{_summary(held.report)}", markup=False, soft_wrap=True)
    if not opens and not sys.stdin.isatty():  # nobody is there to look at it now
        folder = held.stored.folder.parent
        console.print(
            f"\nTo see and hear it: uv run pipecat-roark local --open --folder {folder}",
            soft_wrap=True,
        )
        return
    console.print(f"\nSee and hear it: {held.page}  (Ctrl-C ends)", soft_wrap=True)
    if opens:
        webbrowser.open(held.page)
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


def _summary(report: CallReport) -> str:
    """Sum a call up in a sentence or two."""
    told = report.summary
    talk = f"The caller spoke {told.user_talk or 0:.0%} of the time, the bot "
    talk += f"{told.assistant_talk or 0:.0%}; interruptions: {told.interruptions}."
    if told.worst_response_ms is None or told.worst_stage is None:
        return talk
    stage = told.worst_stage
    worst = f"The slowest answer took {told.worst_response_ms / 1000:.2f} s, most of it "
    return f"{worst}{stage.key} ({stage.owner}, {stage.duration_ms / 1000:.2f} s). {talk}"


async def _connect(local: LocalRoark, llm_base_url: str, follow: Follow | None) -> RoarkObserver:
    """Connect caller and bot, and wait until both have left."""
    connection = SmallWebRTCConnection()
    worker, roark = create_bot(connection, llm_base_url=llm_base_url)
    caller = Caller()
    runner = WorkerRunner(handle_sigint=False)  # Ctrl-C ends the call as a caller would.
    await runner.add_workers(worker)
    bot = asyncio.create_task(runner.run())
    talk = asyncio.create_task(converse(caller, connection))
    tasks = [bot, talk]
    if follow is not None:
        live = LiveCall(caller, roark, local, started=time.monotonic())
        tasks.append(asyncio.create_task(follow(live)))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # Raises the error of a task that failed.
        if not talk.done():
            raise CallFailedError("the bot left before the caller did")
    finally:
        await caller.hang_up()
        await asyncio.wait({bot}, timeout=END_WITHIN_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return roark


def main() -> int:
    """Hold the call and show it. Return 0 if it arrived whole, and 1 or 130 otherwise."""
    parser = argparse.ArgumentParser(description="Hold a whole voice call on this machine.")
    parser.add_argument(
        "--folder", type=Path, default=Path("calls"), help="where calls are stored (default: calls)"
    )
    parser.add_argument("--open", action="store_true", help="open the call's page in a browser")
    options = parser.parse_args()
    folder: Path = options.folder
    console = Console(highlight=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    follow, linger = partial(screen.follow, console), partial(show, console, opens=options.open)
    try:
        held = asyncio.run(hold_call(folder, follow, linger))
    except (CallFailedError, TimeoutError) as error:
        console.print(f"The call failed: {error}. Pipecat's log: {folder / LOG_NAME}")
        return 1
    except KeyboardInterrupt:
        console.print(f"Stopped. What was captured until then is in {folder}.")
        return 130
    return 0 if held.stored.complete else 1


if __name__ == "__main__":
    sys.exit(main())
