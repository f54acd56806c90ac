"""The command `pipecat-roark`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipecat_roark.local import StoredCall


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit status: 0, or 1 if the address can't be listened on.
    """
    parser = argparse.ArgumentParser(
        prog="pipecat-roark", description="Every Pipecat voice call, whole, at Roark."
    )
    commands = parser.add_subparsers(title="commands", required=True)
    local = commands.add_parser(
        "local",
        help="serve a local Roark to develop against",
        description="Take calls as Roark does, check them and keep each as plain files.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    local.add_argument("--host", default="127.0.0.1", help="address to listen on")
    local.add_argument("--port", default=8765, type=int, help="port to listen on; 0 for any")
    local.add_argument("--folder", default="calls", type=Path, help="where calls are stored")
    options = parser.parse_args(argv)
    try:
        asyncio.run(_serve(options.host, options.port, options.folder))
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"Can't listen on {options.host}:{options.port}: {error}\n")
        return 1
    return 0


async def _serve(host: str, port: int, folder: Path) -> None:
    # Only this command needs the server: the package and other commands load without it.
    from pipecat_roark.local import LocalRoark  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with LocalRoark(folder, host=host, port=port, on_event=_tell) as roark:
        _say(f"ROARK_BASE_URL={roark.url} ROARK_API_KEY=anything")
        _say(f"Calls are stored in {folder}. Ctrl-C stops.")
        await stop.wait()


def _tell(event: str, call: StoredCall) -> None:
    count = len(call.problems)
    problems = f"{count or 'no'} problem{'' if count == 1 else 's'}"
    _say(f"{event} {call.call_id!r}: {call.folder}, {problems}")
    if call.ended is not None:
        for problem in call.problems:
            _say(f"  {problem}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
