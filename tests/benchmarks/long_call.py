"""A stored call of two hours: how fast the page opens it, and what its server needs.

uv run tests/benchmarks/long_call.py [hours]
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from local.conftest import FLAGS
from support import pages

CALL = "long-call"
TURN_SECS = 12.0


def send(http: httpx.Client, hours: float) -> int:
    """Send a call of so many hours, and return how many turns it has."""
    length = hours * 3600
    talk = [
        ("user" if number % 2 else "assistant", begin, begin + 9, f"This is turn {number}.")
        for number, begin in enumerate(np.arange(0, length - TURN_SECS, TURN_SECS).tolist())
    ]
    pages.send_event(http, pages.started(CALL))
    sample = pages.recording()
    index, rest, left = 0, b"", int(length * pages.RATE) * 4
    while left:
        rest += sample[:left]
        left -= min(left, len(sample))
        while len(rest) >= pages.CHUNK_BYTES or (rest and not left):
            pages.send_chunk(http, CALL, index, rest[: pages.CHUNK_BYTES])
            rest = rest[pages.CHUNK_BYTES :]
            index += 1
    pages.send_event(http, pages.ended(CALL, talk, length=length))
    return len(talk)


def memory_mib(process: int) -> float:
    """Return the most memory that a process has taken so far, in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def serve(folder: str) -> tuple[subprocess.Popen[str], str]:
    """Start the command, and return its process and its address."""
    command = [str(Path(sys.executable).with_name("pipecat-roark")), "local", "--port", "0"]
    server = subprocess.Popen(  # noqa: S603 - the command of this package
        [*command, "--folder", folder], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    return server, server.stdout.readline().split()[0].partition("=")[2]


def open_page(url: str) -> tuple[float, float]:
    """Open the call; return the seconds until its words are there, and its waveforms."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        page = playwright.chromium.launch(executable_path=path, args=FLAGS).new_page()
        page.goto(url)
        page.wait_for_selector("a.row")
        begun = time.perf_counter()
        page.goto(f"{url}/#/call/{CALL}")
        page.wait_for_selector(".line")
        shown = time.perf_counter() - begun
        page.wait_for_selector(".canvas [part~=region]")
        drawn = time.perf_counter() - begun
        page.locator(".line").nth(500 if page.locator(".line").count() > 500 else 1).click()
        page.wait_for_selector(".turn.lit")
        return shown, drawn


def main() -> None:
    """Send the call to one server, and open it at another."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with TemporaryDirectory() as folder:
        server, url = serve(folder)
        with httpx.Client(base_url=url, timeout=60) as http:
            turns = send(http, hours)
        print(
            f"{hours} h, {turns} turns; the server that took them: {memory_mib(server.pid):.0f} MiB"
        )
        server.terminate()
        server.wait()
        server, url = serve(folder)
        shown, drawn = open_page(url)
        print(f"transcript after {shown:.2f} s, waveforms after {drawn:.2f} s")
        print(f"the server that shows it: {memory_mib(server.pid):.0f} MiB")
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
