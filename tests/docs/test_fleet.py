"""What the README says about the spools of a fleet, checked as far as one machine can."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from pipecat_roark.cli import main
from pipecat_roark.delivery.drain import Drain
from pipecat_roark.local import LocalRoark
from pipecat_roark.spool.room import MAX_BYTES
from scenarios.fleets import KEY

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("### The spools of a fleet")[2].partition("\n## ")[0]
BOT = """
import datetime, os, signal, sys, time
from pathlib import Path
from scenarios.fleets import leave

def end(*_):
    leave(Path(os.environ["ROARK_SPOOL_DIR"]), os.environ["ROARK_BASE_URL"], "last-call", 1)
    sys.exit()

signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""


def blocks(language: str) -> list[str]:
    """Return the section's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def test_the_table_is_what_a_spool_holds() -> None:
    """16 bits, two channels, whole minutes."""
    head, *rows = re.findall(r"^\| (.*) \|$", SECTION.partition("How long")[2], re.MULTILINE)
    rates = [1000 * int(kilohertz) for kilohertz in re.findall(r"(\d+) kHz", head)]
    assert rates == [8000, 16000, 24000]
    shown = [[int(number) for number in re.findall(r"\d+", row)] for row in rows]
    assert shown == [
        [calls, *(int(MAX_BYTES / (rate * 2 * 2 * calls) / 60) for rate in rates)]
        for calls in (1, 10, 30)
    ]


def test_the_sidecar_runs_a_command_that_exists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its arguments are understood, and it watches a folder that is not there yet."""
    (yaml,) = blocks("yaml")
    found = re.search(r"command: (\[.*\])", yaml)
    assert found is not None
    name, *argv = json.loads(found[1])
    assert name == "pipecat-roark"
    watch = AsyncMock(return_value=0)
    monkeypatch.setattr(Drain, "watch", watch)
    monkeypatch.setenv("ROARK_API_KEY", "key")
    folder = str(tmp_path / "spool")
    assert main([folder if part.startswith("/") else part for part in argv]) == 0
    watch.assert_awaited_once()


@pytest.mark.process
@pytest.mark.live
@pytest.mark.skipif(sys.platform == "win32", reason="a recipe for a POSIX shell")
async def test_the_shutdown_empties_the_spool(tmp_path: Path) -> None:
    """The signal reaches the bot, and what it leaves when it ends is delivered."""
    (script,) = blocks("sh")
    bot = tmp_path / "bot.py"
    await asyncio.to_thread(bot.write_text, BOT)
    async with LocalRoark(tmp_path / "calls") as roark:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", script),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ
            | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "ROARK_API_KEY": KEY,
                "ROARK_BASE_URL": roark.url,
                "ROARK_SPOOL_DIR": str(tmp_path / "spool"),
            },
        )
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 120)
        process.send_signal(signal.SIGTERM)
        said = (await asyncio.wait_for(process.stdout.read(), 120)).decode()
        assert await process.wait() == 0
        assert said == "1 delivered, 0 waiting, 0 bytes\n"
        assert roark.calls["last-call"].complete
