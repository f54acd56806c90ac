"""What the command `pipecat-roark` does with a local Roark and the calls that it stored."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from pipecat_roark.local.checkup import check_up
from pipecat_roark.local.drawing import draw_call
from pipecat_roark.local.export import export
from pipecat_roark.local.server import LocalRoark
from pipecat_roark.local.store import folder_name, read_call
from pipecat_roark.local.waveform import Waveforms

if TYPE_CHECKING:
    from pipecat_roark.local.store import StoredCall


async def serve(host: str, port: int, folder: Path, *, opens: bool) -> None:
    """Serve a local Roark until a signal stops the command.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        folder: Where calls are stored.
        opens: Whether to open the page in a browser.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with LocalRoark(folder, host=host, port=port, on_event=_print_event) as roark:
        _print(f"ROARK_BASE_URL={roark.url} ROARK_API_KEY=anything")
        _print(f"Calls are stored in {folder}, and shown at {roark.url}/. Ctrl-C stops.")
        if opens:
            await asyncio.to_thread(webbrowser.open, f"{roark.url}/")
        await stop.wait()


def show(wanted: str, folder: Path, html: Path | None) -> int:
    """Print a stored call, or write it as one HTML file.

    Args:
        wanted: The call's id, or the path of its folder.
        folder: Where calls are stored.
        html: The file to write; None prints the call.

    Returns:
        The exit status: 0, or 1 if there is no such call or the file can't be written.
    """
    call = find(wanted, folder)
    if call is None:
        return 1
    if html is None:
        _print(draw_call(call, shutil.get_terminal_size((100, 24)).columns))
        return 0
    try:
        export(call, html)
    except OSError as error:
        sys.stderr.write(f"Can't write {html}: {error.strerror}\n")
        return 1
    _print(f"{html}: {html.stat().st_size / 1e6:.1f} MB")
    return 0


def doctor(wanted: str, folder: Path) -> int:
    """Print what a stored call tells of the wiring of its bot.

    Args:
        wanted: The call's id, or the path of its folder.
        folder: Where calls are stored.

    Returns:
        The exit status: 0 if nothing was found, else 1.
    """
    call = find(wanted, folder)
    if call is None:
        return 1
    if call.ended is None:
        _print("The call has not ended. Its wiring can be judged then.")
        return 1
    found = [*check_up(call, Waveforms().read(call))]
    for finding in found:
        _print(f"{finding.name}: {finding}")
    if not found:
        _print("Nothing is wrong with the wiring, as far as this call shows.")
    return 1 if found else 0


def find(wanted: str, folder: Path) -> StoredCall | None:
    """Return a stored call by its id or the path of its folder; say so if there is none."""
    places = (folder / folder_name(wanted), Path(wanted))
    call = next((call for call in map(read_call, places) if call is not None), None)
    if call is None:
        sys.stderr.write(f"There is no call {wanted} in {folder}, and no folder of a call there.\n")
    return call


def _print_event(kind: str, call: StoredCall) -> None:
    """Print one line for an event, and at the call's end one more for each of its problems."""
    count = len(call.problems)
    problems = f"{count or 'no'} problem{'' if count == 1 else 's'}"
    _print(f"{kind} {call.call_id!r}: {call.folder}, {problems}")
    if call.ended is not None:
        for problem in call.problems:
            _print(f"  {problem}")


def _print(line: str) -> None:
    """Print a line at once, also into a pipe, and to a terminal that lacks some letters."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{line.encode(encoding, 'replace').decode(encoding)}\n")
    sys.stdout.flush()
