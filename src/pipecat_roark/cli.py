"""The command `pipecat-roark`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipecat_roark.delivery.recovery import Recovery
from pipecat_roark.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from pipecat_roark.delivery.recovery import Recovered

    _Add: TypeAlias = Callable[..., argparse.ArgumentParser]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments. None takes those of the process.

    Returns:
        The exit status: 0, or 1 if the address can't be listened on, a call is not there, or a
        call was not delivered that was captured for this key.
    """
    parser = argparse.ArgumentParser(
        prog="pipecat-roark", description="Every Pipecat voice call, whole, at Roark."
    )
    commands = parser.add_subparsers(title="commands", required=True)
    _add_local(commands.add_parser)
    _add_show(commands.add_parser)
    _add_doctor(commands.add_parser)
    _add_deliver(commands.add_parser)
    options = parser.parse_args(argv)
    status: int = options.run(options)
    return status


def _add_local(add: _Add) -> None:
    local = add(
        "local",
        help="serve a local Roark to develop against",
        description="Take calls as Roark does, check them, store each as plain files, show them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    local.add_argument("--host", default="127.0.0.1", help="address to listen on")
    local.add_argument(
        "--port", default=8765, type=int, help="port to listen on; 0 lets the system choose one"
    )
    local.add_argument("--folder", default="calls", type=Path, help="where calls are stored")
    local.add_argument("--open", action="store_true", help="open the page in a browser")
    local.set_defaults(run=_run_local)


def _add_show(add: _Add) -> None:
    show = add(
        "show",
        help="print a stored call",
        description="Print the turns of a stored call, both sides over time, and what was found.",
    )
    _add_call(show)
    show.add_argument(
        "--html",
        metavar="FILE",
        type=Path,
        help="write the call with its audio as one HTML file instead, to be opened anywhere",
    )
    show.set_defaults(run=_run_show)


def _add_doctor(add: _Add) -> None:
    doctor = add(
        "doctor",
        help="find what is wrong with a bot's wiring",
        description="Print what a stored call tells of the wiring of its bot.",
    )
    _add_call(doctor)
    doctor.set_defaults(run=_run_doctor)


def _add_call(command: argparse.ArgumentParser) -> None:
    command.add_argument("call", metavar="CALL", help="id of the call, or path of its folder")
    command.add_argument(
        "--folder", default="calls", type=Path, help="where calls are stored (default: calls)"
    )


def _add_deliver(add: _Add) -> None:
    deliver = add(
        "deliver",
        help="deliver the calls that were left in a spool",
        description=(
            "Deliver the calls that a deadline or a crash left in a spool. "
            "The API key is that of ROARK_API_KEY. Calls that were captured for another key or "
            "base URL stay there."
        ),
    )
    deliver.add_argument(
        "--any-key",
        action="store_true",
        help=(
            "deliver all calls with this key: also those captured for another key or base URL, "
            "and those of release 0.3.0, which did not note the key"
        ),
    )
    deliver.add_argument("folder", metavar="DIR", type=Path, help="the spool")
    deliver.set_defaults(run=_run_deliver)


def _run_local(options: argparse.Namespace) -> int:
    # Imported here, because only the commands of the local Roark need the server.
    from pipecat_roark.local.commands import serve  # noqa: PLC0415

    try:
        asyncio.run(serve(options.host, options.port, options.folder, opens=options.open))
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"Can't listen on {options.host}:{options.port}: {error}\n")
        return 1
    return 0


def _run_show(options: argparse.Namespace) -> int:
    from pipecat_roark.local.commands import show  # noqa: PLC0415 - as above

    return show(options.call, options.folder, options.html)


def _run_doctor(options: argparse.Namespace) -> int:
    from pipecat_roark.local.commands import doctor  # noqa: PLC0415 - as above

    return doctor(options.call, options.folder)


def _run_deliver(options: argparse.Namespace) -> int:
    try:
        # Its folder is checked like that of an observer.
        settings = Settings.check(agent_id="any", api_key=None, spool_dir=options.folder)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    folder = settings.spool_dir
    if folder is None or not folder.is_dir():
        sys.stderr.write(f"There is no folder {options.folder}\n")
        return 1
    try:
        whole = asyncio.run(_deliver(folder, settings, any_key=options.any_key))
    except KeyboardInterrupt:
        return 1
    return 0 if whole else 1


async def _deliver(spool_dir: Path, settings: Settings, *, any_key: bool) -> bool:
    """Deliver a spool and print a line for each call. Return whether everything is at Roark."""
    whole = True
    recovery = Recovery(spool_dir, settings.base_url, settings.api_key, any_key=any_key)
    async for call in recovery.deliver():
        name, receipt = call.pipecat_call_id or call.folder, call.receipt
        _print_line(f"{call.number} of {call.of} {name}: {_describe(call)}")
        whole &= receipt is not None and receipt.whole
    if recovery.others:
        _print_line(
            f"{recovery.others} of the calls wait for another API key or base URL. "
            "--any-key delivers them with this one."
        )
    return whole


def _describe(call: Recovered) -> str:
    """Describe what became of a call in a spool."""
    receipt = call.receipt
    if receipt is None:
        return call.problem or "another process delivers it"
    if receipt.whole:
        return f"delivered, {receipt.delivered_bytes} bytes"
    return f"not whole: {', '.join(map(str, receipt.lost + receipt.spooled))}"


def _print_line(line: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
