"""The command `pipecat-roark`, run as a person would."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import httpx
import pytest

from pipecat_roark import wire
from pipecat_roark.cli import main
from pipecat_roark.delivery import recovery
from pipecat_roark.delivery.drain import Drain
from pipecat_roark.local import LocalRoark
from pipecat_roark.spool import journal
from pipecat_roark.spool.folder import SpooledCall, waiting
from pipecat_roark.spool.owner import fingerprint
from scenarios import fleets
from scenarios.faults import AT

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"x-roark-api-key": "anything", "authorization": "Bearer anything"}
CALL = {"pipecatCallId": "c#1", "eventTimestamp": "2026-03-01T12:00:00Z"}
STARTED = {**CALL, "event": "call-started", "agentId": "front-desk"}
ENDED = {
    **CALL,
    "event": "call-ended",
    "callStartedAt": None,
    "callEndedAt": None,
    "callEndedReason": "unknown",
}


class Output(io.StringIO):
    """Replaces stdout, and lets another thread wait for the server's URL."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.is_ready = threading.Event()

    def flush(self) -> None:
        """Note that a line is complete."""
        self.is_ready.set()


def run_local(
    folder: Path, *events: dict[str, Any], number: signal.Signals = signal.SIGINT
) -> tuple[int, list[str]]:
    """Run `pipecat-roark local`, send it events, end it with a signal.

    Returns:
        The exit status and the lines that were printed.
    """
    output = Output()

    def visit() -> None:
        try:
            assert output.is_ready.wait(10)
            url = output.getvalue().split()[0].partition("=")[2]
            with httpx.Client(base_url=url, headers=KEYS) as http:
                for event in events:
                    http.post("/v1/integrations/pipecat", json=event)
        finally:
            os.kill(os.getpid(), number)

    visitor = threading.Thread(target=visit)
    visitor.start()
    with contextlib.redirect_stdout(output):
        status = main(["local", "--port", "0", "--folder", str(folder)])
    visitor.join()
    return status, output.getvalue().splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    """A whole call is two lines, and a signal ends the command without an error."""
    folder = tmp_path / "calls"
    status, lines = run_local(folder, STARTED, ENDED, number=number)
    assert status == 0
    url = lines[0].split()[0].partition("=")[2]
    assert url.startswith("http://127.0.0.1:")
    assert lines[0].endswith(" ROARK_API_KEY=anything")
    assert lines[1:] == [
        f"Calls are stored in {folder}, and shown at {url}/. Ctrl-C stops.",
        f"call-started 'c#1': {folder / 'c%231'}, no problems",
        f"call-ended 'c#1': {folder / 'c%231'}, no problems",
    ]
    assert json.loads((folder / "c%231" / "call.json").read_text())["started"] == STARTED


def test_tells_each_problem_at_the_end(tmp_path: Path) -> None:
    """The problems of a call are counted, then listed."""
    bad = {**STARTED, "agentId": ""}
    where = tmp_path / "c%231"
    assert run_local(tmp_path, bad, STARTED, ENDED)[1][2:] == [
        f"call-started 'c#1': {where}, 1 problem",
        f"call-ended 'c#1': {where}, 1 problem",
        "  call-started: agentId: not a non-empty string",
    ]
    other = tmp_path / "other"
    assert run_local(other, bad, ENDED)[1][2:] == [
        f"call-ended 'c#1': {other / 'c%231'}, 2 problems",
        "  call-started: agentId: not a non-empty string",
        "  call-ended: no call-started came before it",
    ]


def test_a_port_that_cannot_be_had_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error that a person can mend is a sentence and not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["local", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Can't listen on 127.0.0.1:{port}: ")
    assert "in use" in said
    assert main(["local", "--port", "99999"]) == 1
    assert "Can't listen on 127.0.0.1:99999: " in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["serve"], ["local", "--port", "many"]])
def test_a_wrong_command_explains_itself(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    """A mistake on the command line ends with how it is used."""
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert "usage: pipecat-roark" in capsys.readouterr().err


@pytest.mark.process
def test_loads_without_the_server() -> None:
    """Importing the command brings none of what only `local` needs."""
    code = "import sys, pipecat_roark.cli; print('pipecat_roark.local' in sys.modules)"
    ran = subprocess.run(  # noqa: S603 - this interpreter, a fixed program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"


async def test_deliver_shows_each_call(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    unused_tcp_port: int,
) -> None:
    """A line for each call: delivered, left or unreadable. The status says whether all went."""
    spool_dir = tmp_path / "spool"
    port = unused_tcp_port
    owner = fingerprint("key", f"http://127.0.0.1:{port}")
    held = [SpooledCall.create(spool_dir, f"call#{n}", owner) for n in range(2)]
    held[0].append(journal.line(AT, started=wire.call_started("call#0", AT, "desk").decode()))
    held[0].release(done=False)
    monkeypatch.setenv("ROARK_API_KEY", "key")
    monkeypatch.setattr(recovery, "DEADLINE_SECS", 0.3)

    async def deliver() -> tuple[int, str]:
        status = await asyncio.to_thread(main, ["deliver", str(spool_dir)])
        return status, capsys.readouterr().out

    monkeypatch.setenv("ROARK_BASE_URL", f"http://127.0.0.1:{port}")
    status, shown = await deliver()
    assert status == 1
    assert "1 of 2 call#0: not whole: 1 x call-ended (" in shown
    folder = held[1].path.name
    assert f"2 of 2 {folder}: another process delivers it" in shown
    async with LocalRoark(tmp_path / "calls", port=port):
        status, shown = await deliver()
        assert (status, min(shown.splitlines())) == (1, "1 of 2 call#0: delivered, 0 bytes")
        held[1].release(done=True)
        broken = spool_dir / "broken" / "journal"
        await asyncio.to_thread(broken.parent.mkdir)
        await asyncio.to_thread(broken.touch)
        assert await deliver() == (2, "1 of 1 broken: its first line is damaged\n")
        await asyncio.to_thread(broken.unlink)
        assert await deliver() == (0, "No call of this API key waits.\n")


async def test_deliver_leaves_the_calls_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints how many there are, and which option delivers them."""
    spool_dir = tmp_path / "spool"
    for name in ("call#0", "call#1"):
        held = SpooledCall.create(spool_dir, name, "somebody else")
        held.append(journal.line(AT, started=wire.call_started(name, AT, "desk").decode()))
        held.release(done=False)
    async with LocalRoark(tmp_path / "calls") as roark:
        monkeypatch.setenv("ROARK_API_KEY", "key")
        monkeypatch.setenv("ROARK_BASE_URL", roark.url)
        assert await asyncio.to_thread(main, ["deliver", str(spool_dir)]) == 0
        assert capsys.readouterr().out == (
            "No call of this API key waits.\n"
            "Waiting for another API key or base URL: 2 of the calls. "
            "--any-key delivers them with this one.\n"
        )
        assert roark.calls == {}
        assert await asyncio.to_thread(main, ["deliver", str(spool_dir), "--any-key"]) == 0
        assert roark.calls.keys() == {"call#0", "call#1"}
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "1 of 2 call#0: delivered, 0 bytes",
        "2 of 2 call#1: delivered, 0 bytes",
    ]
    assert list(spool_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "folder", "message"),
    [("", ".", "api_key is missing"), ("key", "nowhere", "There is no folder ")],
)
def test_deliver_says_what_it_lacks(
    key: str,
    folder: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a key or a spool it prints what is missing and delivers nothing."""
    monkeypatch.setenv("ROARK_API_KEY", key)
    assert main(["deliver", folder]) == 2
    assert message in capsys.readouterr().err


def test_deliver_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends it; the calls that are left stay in the spool."""

    def stop(_: Path) -> list[Path]:
        raise KeyboardInterrupt

    monkeypatch.setenv("ROARK_API_KEY", "key")
    monkeypatch.setattr("pipecat_roark.delivery.recovery.waiting", stop)
    assert main(["deliver", str(tmp_path)]) == 1


@pytest.mark.parametrize(
    ("text", "secs"), [("90", 90), ("1.5s", 1.5), ("15m", 900), ("72h", 259200), ("7d", 604800)]
)
def test_times_have_units(
    text: str, secs: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number is in seconds."""
    empty = AsyncMock(return_value=0)
    monkeypatch.setenv("ROARK_API_KEY", "key")
    monkeypatch.setattr(Drain, "empty", empty)
    assert main(["deliver", str(tmp_path), "--until-empty", "--timeout", text]) == 0
    empty.assert_awaited_once_with(secs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--watch --until-empty", "--until-empty: not allowed with argument --watch"),
        ("--watch --timeout 5", "--timeout goes with --until-empty"),
        ("--until-empty --timeout soon", "argument --timeout: invalid"),
        ("--max-age 0", "argument --max-age: invalid"),
        ("--max-age=-1h", "argument --max-age: invalid"),
        ("--every inf", "argument --every: invalid"),
    ],
)
def test_deliver_refuses_what_makes_no_sense(
    options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is delivered or removed then."""
    try:
        status: object = main(["deliver", str(tmp_path), *options.split()])
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2
    assert message in capsys.readouterr().err


def test_deliver_says_if_a_folder_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has a status of its own."""

    def fail(_: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("ROARK_API_KEY", "key")
    monkeypatch.setattr("pipecat_roark.delivery.recovery.waiting", fail)
    assert main(["deliver", str(tmp_path), "--watch"]) == 2
    assert "A spool can't be read: [Errno 13] Permission denied" in capsys.readouterr().err


def test_deliver_gives_up_old_calls_if_told_to(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    warned: list[str],
    unused_tcp_port: int,
) -> None:
    """It tries them first; Roark is away here."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    monkeypatch.setenv("ROARK_API_KEY", fleets.KEY)
    monkeypatch.setenv("ROARK_BASE_URL", url)
    monkeypatch.setattr(recovery, "DEADLINE_SECS", 0.3)
    fleets.leave(tmp_path, url, "call-1", chunks=1)
    (folder,) = waiting(tmp_path)
    folder.rename(tmp_path / f"{time.time_ns() - 3 * 3600 * 10**9:020d}-{folder.name[-8:]}")
    assert main(["deliver", str(tmp_path), "--max-age", "4h"]) == 1
    assert len(waiting(tmp_path)) == 1
    assert main(["deliver", str(tmp_path), "--max-age", "2h"]) == 0
    assert waiting(tmp_path) == []
    assert "call-1: not whole" in capsys.readouterr().out
    assert "1 calls in the spool" in warned[-1]
