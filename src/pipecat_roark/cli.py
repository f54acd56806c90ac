"""The command `pipecat-roark`."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipecat_roark.delivery.drain import Drain
from pipecat_roark.delivery.recovery import Recovery
from pipecat_roark.settings import Settings
from pipecat_roark.signals import stopped_by_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from pipecat_roark.delivery.recovery import Recovered

    _Add: TypeAlias = Callable[..., argparse.ArgumentParser]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds in each unit of a time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments. None takes those of the process.

    Returns:
        The exit status: 0, or 1 if the address can't be listened on, a call is not there, or calls
        are left that were captured for this key; 2 if a spool, a call in it or an option can't be
        used.
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
            "Deliver the calls that a deadline or a crash left in spools: once, for ever, or until "
            "they are empty. Calls that somebody holds are left alone. The API key is that of "
            "ROARK_API_KEY. Calls that were captured for another key or base URL stay there. Exits "
            "with 0 if nothing is left for this key, 1 if something is, and 2 if a call or an "
            "option can't be used. SIGTERM and Ctrl-C let it finish the calls at hand."
        ),
    )
    how = deliver.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="go on for ever")
    how.add_argument("--until-empty", action="store_true", help="go on until nothing is left")
    deliver.add_argument(
        "--every",
        metavar="TIME",
        type=_secs,
        default=30.0,
        help="how often --watch and --until-empty look for calls (default: 30s)",
    )
    deliver.add_argument(
        "--timeout", metavar="TIME", type=_secs, help="when --until-empty gives up (default: never)"
    )
    deliver.add_argument(
        "--max-age",
        metavar="TIME",
        type=_secs,
        help=(
            "remove calls that began longer ago and that Roark still doesn't take, such as 72h; a "
            "warning counts them (default: remove none)"
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
    deliver.add_argument("folders", metavar="DIR", type=Path, nargs="+", help="a spool")
    deliver.set_defaults(run=_run_deliver)


def _secs(text: str) -> float:
    """Read a time such as 90, 90s, 15m, 72h or 7d.

    Raises:
        ValueError: If it is none; argparse makes a sentence of it.
    """
    unit = _UNITS.get(text[-1:])
    secs = float(text if unit is None else text[:-1]) * (unit or 1)
    if not 0 < secs < math.inf:
        raise ValueError
    return secs


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
    if options.timeout is not None and not options.until_empty:
        sys.stderr.write("--timeout goes with --until-empty\n")
        return 2
    try:
        # Each folder is checked like that of an observer.
        checked = [
            Settings.check(agent_id="any", api_key=None, spool_dir=folder)
            for folder in options.folders
        ]
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    recoveries = []
    for settings in checked:
        folder = settings.spool_dir
        if folder is None or not (options.watch or folder.is_dir()):
            sys.stderr.write(f"There is no folder {folder}\n")
            return 2
        recoveries.append(
            Recovery(folder, settings.base_url, settings.api_key, any_key=options.any_key)
        )
    try:
        return asyncio.run(_deliver(recoveries, options))
    except KeyboardInterrupt:
        return 1
    except OSError as error:
        sys.stderr.write(f"A spool can't be read: {error}\n")
        return 2


async def _deliver(recoveries: list[Recovery], options: argparse.Namespace) -> int:
    """Deliver spools as the options say. Return the exit status."""
    drain = Drain(
        recoveries, say=_print_line, every_secs=options.every, max_age_secs=options.max_age
    )
    with stopped_by_signals(drain.stop):
        if options.watch:
            status = await drain.watch()
        elif options.until_empty:
            status = await drain.empty(options.timeout)
        else:
            status = await drain.once(lambda call: _print_line(_describe(call)))
    if others := sum(recovery.others for recovery in recoveries):
        _print_line(
            f"Waiting for another API key or base URL: {others} of the calls. "
            "--any-key delivers them with this one."
        )
    return status


def _describe(call: Recovered) -> str:
    """Describe what became of a call in a spool."""
    receipt = call.receipt
    if receipt is None:
        fate = call.problem or "another process delivers it"
    elif receipt.whole:
        fate = f"delivered, {receipt.delivered_bytes} bytes"
    else:
        fate = f"not whole: {', '.join(map(str, receipt.lost + receipt.spooled))}"
    return f"{call.number} of {call.of} {call.pipecat_call_id or call.folder}: {fate}"


def _print_line(line: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
