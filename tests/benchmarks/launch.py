"""Environments in which contenders run, and processes that measure there."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NEWEST = version("pipecat-ai")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
VERSIONS = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
PATIENCE_SECS = 900.0
"""How long a measurement may take."""


class MeasuringError(Exception):
    """A process could not measure what it was asked for."""


@dataclass(frozen=True)
class Environment:
    """Where a contender runs.

    Attributes:
        name: Its name in tables.
        contender: The name of the contender there.
        pipecat: The version of Pipecat there.
        python: The command that runs Python there.
    """

    name: str
    contender: str
    pipecat: str
    python: tuple[str, ...]

    async def measure(self, noun: str, env: dict[str, str], **options: Any) -> Any:
        """Run `measure(**options)` of a module there, and return what it returns.

        Raises:
            MeasuringError: If it failed; the message ends with the last line that it printed.
        """
        command = (*self.python, str(HERE / "worker.py"), noun, json.dumps(options))
        status, out, err = await run(*command, env={"PYTHONHASHSEED": "0", **env})
        if status:
            last = (err.strip().splitlines() or [""])[-1]
            raise MeasuringError(f"{noun} with {self.name}: {last}")
        return json.loads(out.strip().splitlines()[-1])


OURS = Environment("ours", "roark", NEWEST, (sys.executable,))


@dataclass(frozen=True)
class Peer:
    """A package to measure beside ours; it is only run.

    Attributes:
        name: Its name in tables.
        contender: The name of the contender.
        requirement: What to install.
        pipecat: The Pipecat it must run on; without one it runs on ours, or else on the newest that
            it can.
    """

    name: str
    contender: str
    requirement: str
    pipecat: str = ""

    async def prepare(self) -> Environment | None:
        """Return its environment; None if the package can't be had here."""
        if shutil.which("uv") is None:
            return None
        for pin in [f"=={self.pipecat}"] if self.pipecat else [f"=={NEWEST}", ""]:
            command = ("uv", "run", "--quiet", "--isolated", "--no-project", "--python", PYTHON)
            packages = ("--with", f"pipecat-ai{pin}", "--with", self.requirement)
            python = (*command, *packages, "python")
            status, out, _ = await run(*python, "-c", VERSIONS, "pipecat-ai")
            if status == 0:
                return Environment(self.name, self.contender, out.split()[-1], python)
        return None


PEERS = (
    Peer("original 0.1.1", "roark", "pipecat-roark==0.1.1"),
    Peer("original 0.2.5", "roark", "pipecat-roark==0.2.5"),
    Peer("superbryn 0.11.0", "superbryn", "superbryn-pipecat-observer==0.11.0"),
    Peer("tuner 0.2.9", "tuner", "tuner-pipecat-sdk==0.2.9"),
)
ALONE = Peer("ours", "roark", str(ROOT), pipecat=NEWEST)
"""This library without what its development installs, as its peers are."""
OLD = Peer("ours on Pipecat 0.0.108", "roark", str(ROOT), pipecat="0.0.108")


async def run(*command: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command, and return its exit status and what it printed; one that hangs is killed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | (env or {}),
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_SECS)
    except asyncio.TimeoutError:  # another one than the built-in before Python 3.11
        process.kill()
        await process.wait()
        return 1, "", f"no answer within {PATIENCE_SECS:.0f} s"
    return process.returncode or 0, out.decode(), err.decode()
