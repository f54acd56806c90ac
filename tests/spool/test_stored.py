"""Calls that release 0.3.0 left in a spool, each in another state, are still delivered.

It did not note for which key they were captured, so somebody must say that any key will do.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipecat_roark.delivery.recovery import Recovery
from pipecat_roark.local import LocalRoark
from scenarios.faults import KEY

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

STORED = Path(__file__).parent / "stored"


async def test_calls_of_the_previous_release_arrive_byte_for_byte(tmp_path: Path) -> None:
    """Finished, killed in the middle, or partly arrived: 0.3.0 would have sent the same bytes."""
    events: dict[str, dict[str, str]] = {}

    @web.middleware
    async def spy(request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.read()
        if b'"event"' in body and request.method == "POST":
            event = json.loads(body)
            events.setdefault(event["pipecatCallId"], {})[event["event"]] = body.decode()
        return await handler(request)

    spool_dir = tmp_path / "spool"
    shutil.copytree(STORED / "spool", spool_dir)
    async with LocalRoark(tmp_path / "calls", middlewares=[spy]) as roark:
        own = Recovery(spool_dir, roark.url, KEY)
        assert [call async for call in own.deliver()] == []
        assert own.others == 3
        recovery = Recovery(spool_dir, roark.url, KEY, any_key=True)
        recovered = [call async for call in recovery.deliver()]
        arrived: dict[str, Any] = {
            call_id: {"events": events[call_id], "chunks": _digests(call.chunks)}
            for call_id, call in roark.calls.items()
        }
    assert arrived == json.loads((STORED / "expected.json").read_text(encoding="utf-8"))
    assert [call.receipt and call.receipt.whole for call in recovered] == [True] * 3
    assert list(spool_dir.iterdir()) == []


def _digests(chunks: dict[int, Path]) -> dict[str, str]:
    return {
        str(index): hashlib.sha256(path.read_bytes()).hexdigest() for index, path in chunks.items()
    }
