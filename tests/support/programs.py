"""Programs in processes of their own, that serve calls until they are told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from aiortc import RTCSessionDescription

from offline.caller import Caller, loopback

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[2]
START_SECS = 60.0
"""How long the slowest machine takes until a program serves."""


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@asynccontextmanager
async def serving(*command: str, port: int, url: str, **env: str) -> AsyncIterator[Process]:
    """Run a program of Python until it listens on a port; kill it in the end, if it still runs.

    Args:
        command: The arguments of the interpreter.
        port: Port that it will listen on.
        url: Where its observers deliver to.
        env: More of its environment.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ
        | {"PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT / 'examples'}"}
        | {"ROARK_BASE_URL": url, "ROARK_API_KEY": "key", "ROARK_SPOOL_DIR": ""}
        | env,
        start_new_session=True,  # so that the workers of a server can be killed with it
    )
    try:
        await asyncio.wait_for(_listens(process, port), START_SECS)
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _listens(process: Process, port: int) -> None:
    while process.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # noqa: PERF203  # each try must be caught by itself
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise RuntimeError(f"the program ended with {process.returncode}")


async def dial(caller: Caller, port: int) -> None:
    """Call the bot of a development runner by WebRTC."""
    with loopback():
        offer = await caller.offer()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        sent = {"sdp": offer.sdp, "type": offer.type}
        answer = (await http.post("/api/offer", json=sent)).raise_for_status().json()
    await caller.accept(RTCSessionDescription(answer["sdp"], answer["type"]))
