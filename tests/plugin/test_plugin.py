"""The pytest plugin, as the tests of another project use it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

HELP = """
import asyncio, os, subprocess, sys
import httpx, pytest

EVENT = {"event": "call-started", "pipecatCallId": "call-1", "agentId": "front-desk",
         "eventTimestamp": "2026-03-01T12:00:00Z"}
ENDED = {"event": "call-ended", "pipecatCallId": "call-1", "callEndedReason": "agent-ended",
         "eventTimestamp": "2026-03-01T12:00:00Z", "callStartedAt": None, "callEndedAt": None}

def send(*events):
    key = os.environ["ROARK_API_KEY"]
    headers = {"x-roark-api-key": key, "authorization": f"Bearer {key}"}
    for event in events:
        url = os.environ["ROARK_BASE_URL"] + "/v1/integrations/pipecat"
        httpx.post(url, json=event, headers=headers)
"""
TESTS = f"""{HELP}
def test_nothing_is_loaded():
    assert not [name for name in sys.modules if name.split(".")[0] in ("pipecat_roark", "aiohttp")]

def test_sync(local_roark, tmp_path):
    assert "ROARK_SPOOL_DIR" not in os.environ
    send(EVENT, ENDED)
    assert local_roark.call().reason == "agent-ended"
    assert (tmp_path / "calls" / "call-1" / "call.json").is_file()

def test_environment_is_as_before():
    assert os.environ["ROARK_SPOOL_DIR"] == "spool"
    assert "ROARK_BASE_URL" not in os.environ

async def test_async(local_roark):
    await asyncio.to_thread(send, EVENT, ENDED)
    assert local_roark.call().stored.complete

def test_process(local_roark):
    code = "import test_bot; test_bot.send(test_bot.EVENT, test_bot.ENDED)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert local_roark.call().stored.complete

def test_problem(local_roark):
    send({{**EVENT, "mood": "good"}})

@pytest.mark.local_roark(allow_problems=True)
def test_allowed(local_roark):
    send({{**EVENT, "mood": "good"}})

@pytest.mark.local_roark(allow_everything=True)
def test_mistyped(local_roark):
    pass

@pytest.mark.local_roark(True)
def test_unnamed(local_roark):
    pass
"""


SETTINGS = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"


def run(folder: Path, tests: str, *options: str) -> str:
    """Run the tests of a project, and return what pytest prints."""
    (folder / "test_bot.py").write_text(tests)
    (folder / "pytest.ini").write_text(SETTINGS)
    command = [sys.executable, "-m", "pytest", "-rA", "--strict-markers", "-W", "error", *options]
    ran = subprocess.run(  # noqa: S603 - this interpreter
        command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )
    return ran.stdout + ran.stderr


def _environment() -> dict[str, str]:
    ours = {"ROARK_BASE_URL", "ROARK_API_KEY"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "ROARK_SPOOL_DIR": "spool"}


def test_fixture_serves_every_kind_of_test(tmp_path: Path) -> None:
    """Sync tests, async tests and processes use it; a problem fails the test unless allowed."""
    shown = run(tmp_path, TESTS)
    ends: defaultdict[str, set[str]] = defaultdict(set)
    for outcome, name in re.findall(r"^(\w+) test_bot\.py::(\w+)", shown, re.MULTILINE):
        ends[name].add(outcome)
    assert ends == {
        "test_nothing_is_loaded": {"PASSED"},
        "test_sync": {"PASSED"},
        "test_environment_is_as_before": {"PASSED"},
        "test_async": {"PASSED"},
        "test_process": {"PASSED"},
        "test_problem": {"PASSED", "ERROR"},
        "test_allowed": {"PASSED"},
        "test_mistyped": {"ERROR"},
        "test_unnamed": {"ERROR"},
    }, shown
    assert "The local Roark found problems:\ncall-started: 'mood': unknown field" in shown
    assert "takes allow_problems=True alone" in shown


def test_marker_explains_itself(tmp_path: Path) -> None:
    """The marker and the fixture are in pytest's own help."""
    shown = run(tmp_path, "", "--markers")
    assert "@pytest.mark.local_roark(allow_problems=False): with True, a test" in shown
    shown = run(tmp_path, "", "--fixtures")
    assert re.search(r"local_roark.*\n +Run a Roark on this machine", shown)
