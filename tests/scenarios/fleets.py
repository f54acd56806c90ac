"""Spools of a fleet: calls that wait on disk, and the command that delivers them as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from aiohttp import web

from pipecat_roark import wire
from pipecat_roark.report import CallReport
from pipecat_roark.spool import journal
from pipecat_roark.spool.folder import SpooledCall
from pipecat_roark.spool.owner import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp.typedefs import Handler

KEY = "key"
COMMAND = "import sys; from pipecat_roark.cli import main; sys.exit(main())"


def leave(spool_dir: Path, url: str, call_id: str, chunks: int) -> None:
    """Leave a call in a spool as a process does that came to its end while Roark was away."""
    now = datetime.now(timezone.utc)
    report = CallReport(
        pipecat_call_id=call_id, started_at=now, ended_at=now, sample_rate=8000, num_channels=2
    )
    call = SpooledCall.create(spool_dir, call_id, fingerprint(KEY, url))
    call.append(journal.line(now, started=wire.call_started(call_id, now, "desk").decode()))
    for index in range(chunks):
        call.write_chunk(index, bytes([index + 1, 0]) * 4000)
    call.append(journal.line(now, ended=wire.call_ended(report, now).decode()))
    call.release(done=False)


class Door:
    """The door of a Roark: closed, it answers 503; open, it counts what comes of each call.

    Args:
        secs: How long each request takes.
    """

    def __init__(self, secs: float = 0.0) -> None:
        self.is_open = True
        self.refused = asyncio.Event()
        self.came: Counter[str] = Counter()
        self.began = asyncio.Event()
        self._secs = secs

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request in, or not."""
        if not self.is_open:
            self.refused.set()
            return web.Response(status=503)
        await asyncio.sleep(self._secs)
        reply = await handler(request)
        if request.method == "POST":
            self.came[(await request.read()).decode()] += 1
        self.began.set()
        return reply


async def deliver(url: str, *argv: str) -> asyncio.subprocess.Process:
    """Start `pipecat-roark deliver` as a process."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND, "deliver", *argv),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"ROARK_BASE_URL": url, "ROARK_API_KEY": KEY},
    )
