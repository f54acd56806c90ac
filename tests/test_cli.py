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
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pipecat_roark import wire
from pipecat_roark.cli import main
from pipecat_roark.delivery import recovery
from pipecat_roark.local import LocalRoark
from pipecat_roark.spool import journal
from pipecat_roark.spool.folder import SpooledCall
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
    """Stands in for stdout, and tells another thread when the server's URL is there."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.is_ready = threading.Event()

    def flush(self) -> None:
        """Tell that a line is whole."""
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
    """A whole call is told in two lines, and a signal ends the command in peace."""
    folder = tmp_path / "calls"
    status, lines = run_local(folder, STARTED, ENDED, number=number)
    assert status == 0
    assert lines[0].startswith("ROARK_BASE_URL=http://127.0.0.1:")
    assert lines[0].endswith(" ROARK_API_KEY=anything")
    assert lines[1:] == [
        f"Calls are stored in {folder}. Ctrl-C stops.",
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
    assert run_local(tmp_path, bad, ENDED)[1][2:] == [
        f"call-ended 'c#1': {where}, 2 problems",
        "  call-started: agentId: not a non-empty string",
        "  call-ended: no call-started came before it",
    ]


def test_a_port_that_cannot_be_had_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No traceback for what a person can mend."""
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is delivered, what is left and what can't be read; the status says whether all went."""
    spool_dir = tmp_path / "spool"
    held = [SpooledCall.create(spool_dir, f"call#{n}") for n in range(2)]
    held[0].append(journal.line(AT, started=wire.call_started("call#0", AT, "desk").decode()))
    held[0].release(done=False)
    monkeypatch.setenv("ROARK_API_KEY", "key")
    monkeypatch.setattr(recovery, "DEADLINE_SECS", 0.3)

    async def deliver() -> tuple[int, str]:
        status = await asyncio.to_thread(main, ["deliver", str(spool_dir)])
        return status, capsys.readouterr().out

    monkeypatch.setenv("ROARK_BASE_URL", "http://127.0.0.1:9")
    status, shown = await deliver()
    assert status == 1
    assert "1 of 2 call#0: not whole: 1 x call-ended (" in shown
    folder = held[1].path.name
    assert f"2 of 2 {folder}: another process delivers it" in shown
    async with LocalRoark(tmp_path / "calls") as roark:
        monkeypatch.setenv("ROARK_BASE_URL", roark.url)
        status, shown = await deliver()
        assert (status, shown.splitlines()[0]) == (1, "1 of 2 call#0: delivered, 0 bytes")
        held[1].release(done=True)
        broken = spool_dir / "broken" / "journal"
        await asyncio.to_thread(broken.parent.mkdir)
        await asyncio.to_thread(broken.touch)
        assert await deliver() == (1, "1 of 1 broken: its first line is damaged\n")
        await asyncio.to_thread(broken.unlink)
        assert await deliver() == (0, "")


@pytest.mark.parametrize(
    ("key", "folder", "message"),
    [("", ".", "api_key is missing"), ("key", "nowhere", "There is no folder nowhere")],
)
def test_deliver_says_what_it_lacks(
    key: str,
    folder: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a key or a spool it says so and delivers nothing."""
    monkeypatch.setenv("ROARK_API_KEY", key)
    assert main(["deliver", folder]) == 1
    assert message in capsys.readouterr().err


def test_deliver_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends it; what is left stays in the spool."""

    def stop(_: Path) -> list[Path]:
        raise KeyboardInterrupt

    monkeypatch.setenv("ROARK_API_KEY", "key")
    monkeypatch.setattr("pipecat_roark.delivery.recovery.waiting", stop)
    assert main(["deliver", str(tmp_path)]) == 1
