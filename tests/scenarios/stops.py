"""A call whose process is stopped while it runs, by SIGTERM or by whoever called its bot.

Run as a script it holds the call, prints `ready` when both sides have spoken, and goes on until it
is stopped. Used as a module it stops that script as a container's host does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from pipecat_roark import RoarkObserver
from scenarios.exits import TESTS
from support.calls import Call

if TYPE_CHECKING:
    from pathlib import Path

WORDS = [("assistant", "Hello."), ("user", "Goodbye.")]


def say(word: str) -> None:
    """Print a line for the parent process."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def bot(call_id: str, deadline_secs: float, *, handle_sigterm: bool) -> None:
    """Hold a call that nobody ends."""
    roark = RoarkObserver(
        agent_id="front-desk", pipecat_call_id=call_id, deadline_secs=deadline_secs
    )
    call = Call(observers=[roark], after_output=[roark.audio_processor])

    async def script(call: Call) -> None:
        await call.bot_says("Hello.", secs=0.2)
        await call.quiet()
        await call.user_says("Goodbye.", secs=0.4)
        await asyncio.sleep(0.5)  # until the spool has it
        say("ready")

    await call.hold(script, handle_sigint=False, handle_sigterm=handle_sigterm)


async def host(call_id: str) -> None:
    """Hold a session to its limit, as Pipecat Cloud does; the process stays for later sessions."""
    session = asyncio.create_task(bot(call_id, 5, handle_sigterm=False))
    with suppress(asyncio.TimeoutError, asyncio.CancelledError):
        await asyncio.wait_for(session, 3)
    say("over")
    await asyncio.Event().wait()


async def main(kind: str, call_id: str, deadline_secs: str) -> None:
    """Hold the call in one of three ways."""
    if kind == "host":
        await host(call_id)
    else:
        await bot(call_id, float(deadline_secs), handle_sigterm=kind == "runner")


async def stop(  # noqa: PLR0913  # what a host may do
    url: str,
    kind: str,
    call_id: str,
    *,
    spool: Path | None = None,
    deadline_secs: float = 5,
    grace_secs: float = 10,
) -> bool:
    """Stop the call's process by SIGTERM, and kill it after the grace.

    Args:
        url: Where its observer delivers to.
        kind: `runner` with Pipecat's handler of SIGTERM, `bare` without one, or `host`, which is
            killed without a grace when the session is over.
        call_id: The call's identity.
        spool: The observer's spool.
        deadline_secs: How long the delivery may go on.
        grace_secs: How long the process may live on.

    Returns:
        Whether the process was gone before the grace had passed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scenarios.stops", kind, call_id, str(deadline_secs)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ
        | {"PYTHONPATH": TESTS, "ROARK_BASE_URL": url, "ROARK_API_KEY": "key"}
        | {"ROARK_SPOOL_DIR": str(spool or "")},
    )
    assert process.stdout is not None
    await process.stdout.readline()
    if kind == "host":
        await process.stdout.readline()
        process.kill()
    else:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), grace_secs)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
        return False
    return True


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
