"""Goal 9: what survives: calls through every fault on the way to Roark, and sounds in a recording.

Each fault meets a whole call in a pipeline of this library and of the original. A call has survived
if its start, its words, its end, and all of its audio are at Roark 5 s after the last call, when
the process ends. Faults that let nothing through are left out. The recording is that of
`recording.py`.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from benchmarks.launch import OURS, MeasuringError
from benchmarks.recording import LIMIT_MS, Truth
from benchmarks.table import Row, plain
from pipecat_roark.local import LocalRoark
from scenarios.faults import CASES, authority, kind_of

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from benchmarks.bench import Bench
    from benchmarks.delivered import Delivery
    from benchmarks.launch import Environment

BYTES_A_SECOND = 4 * 24_000
LEAST_SECS, EDGE_SECS = 6.0, 0.3
"""How long a call is at least, so that it has chunks, and how much of it may hold no audio."""
FEW = ("no fault", "503 once", "reset before the body")
AT_ONCE = 6
LINGER_SECS = 5.0


class Heard:
    """What came through to Roark, whichever release of the wire contract it follows."""

    def __init__(self) -> None:
        self.events: dict[str, str] = {}
        self.audio: dict[str, int] = {}
        """Bytes of each upload, by its path."""

    @web.middleware
    async def take(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note a request that no fault has met; an event is taken even if Roark would refuse it."""
        kind, body = await kind_of(request), await request.read()
        reply = await handler(request)
        if kind == "upload" and reply.status < HTTPStatus.BAD_REQUEST:
            self.audio[request.path] = len(body)
        elif kind.startswith("call-"):
            self.events[kind] = body.decode()
            return web.json_response({})
        return reply

    def missing(self, secs: float) -> str:
        """Name what of a call that is so long did not come."""
        parts = {
            "start": "call-started" in self.events,
            "audio": sum(self.audio.values()) / BYTES_A_SECOND >= secs - EDGE_SECS,
            "words": "Hello." in self.events.get("call-ended", ""),
            "end": "call-ended" in self.events,
        }
        return ", ".join(name for name, came in parts.items() if not came) or "-"


async def faults(environment: Environment, cases: list[str], least_secs: float) -> dict[str, str]:
    """Hold a call through each fault there; return what of each is missing, by fault."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        trust = stack.enter_context(authority().cert_pem.tempfile())
        heard = {name: Heard() for name in cases}
        calls: list[Delivery] = []
        for number, name in enumerate(cases):
            case = CASES[name]
            between = [*case.middlewares(1), heard[name].take]
            roark = LocalRoark(Path(folder) / str(number), middlewares=between)
            await stack.enter_async_context(roark)
            url = await stack.enter_async_context(case.address(roark))
            calls.append({"url": url, "secs": max(case.secs, least_secs)})
        await environment.measure(
            "delivered",
            {"SSL_CERT_FILE": trust},
            contenders=[environment.contender],
            calls=calls,
            at_once=AT_ONCE,
            linger_secs=min(least_secs, LINGER_SECS),
        )
        return {
            name: heard[name].missing(call["secs"]) for name, call in zip(cases, calls, strict=True)
        }


async def each(environment: Environment, cases: list[str], least_secs: float) -> dict[str, str]:
    """Do the same; nothing if it can't be measured with a peer."""
    try:
        return await faults(environment, cases, least_secs)
    except MeasuringError as error:
        if environment is OURS:
            raise
        print(f"left out: {error}")
        return {}


async def truths(bench: Bench, periods: int) -> dict[str, Truth]:
    """Return how true the recordings are: of ours, Pipecat's own recorder, and the originals."""

    async def one(peer: Environment) -> dict[str, Any]:
        found = await bench.each([peer], "recording", contenders=["peer"], periods=periods)
        return {name: figures["roark"] for name, figures in found.items()}

    ours, *others = await asyncio.gather(
        bench.ours("recording", contenders=["roark", "stock"], periods=periods),
        *map(one, bench.peer("roark")),
    )
    found = {"ours": ours["roark"], "stock recorder": ours["stock"]}
    for other in others:
        found |= other
    return {name: Truth(*figures) for name, figures in found.items()}


async def row(bench: Bench) -> Row:
    """Measure, print both tables, and judge."""
    whole = [name for name, case in CASES.items() if not case.lost]
    cases, least_secs = bench.pick([*FEW], whole), bench.pick(1.0, LEAST_SECS)
    places = [OURS, *bench.peer("roark")]
    found = dict(
        zip(
            [place.name for place in places],
            await asyncio.gather(*(each(place, cases, least_secs) for place in places)),
            strict=True,
        )
    )
    lines = [(case, *(missed.get(case, "?") for missed in found.values())) for case in cases]
    print(plain(("what is missing after", *found), lines))
    true = await truths(bench, bench.pick(1, 3))
    header = ("recording", f"sounds within {LIMIT_MS:.0f} ms", "too long by, ms")
    sounds = {name: f"{it.right} of {it.sounds}" for name, it in true.items()}
    print(
        plain(header, [(name, sounds[name], f"{it.length_ms:+.0f}") for name, it in true.items()])
    )
    survived = {name: sum(it == "-" for it in missed.values()) for name, missed in found.items()}
    figures = {
        name: "; ".join(
            [
                *([f"{survived[name]} of {len(cases)} calls"] if name in survived else []),
                *([f"{sounds[name]} sounds"] if name in sounds else []),
            ]
        )
        for name in {**survived, **true}
    }
    ours = figures.pop("ours")
    return Row(
        9,
        "What survives: calls through faults, and sounds at their place in a recording",
        ours,
        ". ".join(f"{name}: {figure}" for name, figure in figures.items()),
        survived["ours"] == len(cases) and true["ours"].right == true["ours"].sounds,
    )
