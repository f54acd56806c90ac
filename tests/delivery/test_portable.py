"""Everything but signals works on a system without the modules of POSIX."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import importlib, pkgutil, sys

BLOCKED = {"fcntl", "pwd", "grp", "termios", "resource", "tty", "pty", "syslog", "spwd", "crypt"}

class Blocker:
    def find_spec(name, path=None, target=None):
        if name in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in BLOCKED:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Blocker)

import asyncio
from pathlib import Path
from loguru import logger
import pipecat_roark
for module in pkgutil.walk_packages(pipecat_roark.__path__, "pipecat_roark."):
    importlib.import_module(module.name)
from pipecat_roark import RoarkObserver, cli
from pipecat_roark.local import LocalRoark
from support.calls import Call

folder = Path(sys.argv[1])
lines = []
logger.remove()
logger.add(lambda line: lines.append(str(line)), level="WARNING", filter="pipecat_roark")

async def talk(call):
    await call.bot_says("Hello.", secs=0.3)
    await call.quiet()
    await call.end()

async def main():
    import os
    os.environ["ROARK_API_KEY"] = "key"
    async with LocalRoark(folder / "calls") as roark:
        os.environ["ROARK_BASE_URL"] = roark.url
        for spool_dir in (None, folder / "spool", folder / "spool"):
            observer = RoarkObserver(agent_id="front-desk", spool_dir=spool_dir)
            await Call([observer], [observer.audio_processor]).hold(talk)
            assert roark.calls[observer.pipecat_call_id].complete
            assert observer.receipt.whole
        (folder / "spool").mkdir(exist_ok=True)
        assert await asyncio.to_thread(cli.main, ["deliver", str(folder / "spool")]) == 0
    assert list((folder / "spool").iterdir()) == []

asyncio.run(main())
assert len(lines) == 1, lines
assert "this system has no file locks" in lines[0]
assert not BLOCKED & sys.modules.keys()
print("whole")
"""


@pytest.mark.process
def test_a_call_is_delivered_without_the_modules_of_posix(tmp_path: Path) -> None:
    """A spool says once that it can't keep a call, and all calls arrive."""
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore", "-c", SCRIPT, tmp_path],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stdout.endswith("whole\n"), ran.stderr
