"""Goal 9: what survives: calls through every fault on the way to Roark, and sounds in a recording.

Each fault meets a whole call in a pipeline of this library and of the original. A call has survived
if its start, its words, its end, and all of its audio are at Roark. Faults that let nothing through
are left out. The recording is that of `recording.py`.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.launch import OURS, MeasuringError
from benchmarks.recording import LIMIT_MS, Truth
from benchmarks.table import Row, plain
from pipecat_roark.local import LocalRoark
from scenarios.faults import CASES, authority

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.launch import Environment
    from pipecat_roark.local import StoredCall

BYTES_A_SECOND = 4 * 24_000
LEAST_SECS, EDGE_SECS = 6.0, 0.3
"""How long a call is at least, so that it has chunks; and how much of it may be before its audio."""
FEW = ("no fault", "503 once", "reset before the body")
AT_ONCE = 6


def missing(call: StoredCall | None, secs: float) -> str:
    """Name what of a call is not at Roark."""
    if call is None:
        return "all"
    audio = sum(path.stat().st_size for path in call.chunks.values()) / BYTES_A_SECOND
    parts = {
        "start": call.started is not None,
        "audio": audio >= secs - EDGE_SECS and [*sorted(call.chunks)] == [*range(len(call.chunks))],
        "words": "Hello." in json.dumps(call.ended),
        "end": call.ended is not None,
    }
    return ", ".join(name for name, there in parts.items() if not there) or "-"


async def faults(environment: Environment, cases: list[str], least_secs: float) -> dict[str, str]:
    """Hold a call through each fault there; return what of each is missing, by fault."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        trust = stack.enter_context(authority().cert_pem.tempfile())
        roarks, calls = {}, []
        for number, name in enumerate(cases):
            case = CASES[name]
            roark = LocalRoark(Path(folder) / str(number), middlewares=case.middlewares(1))
            roarks[name] = await stack.enter_async_context(roark)
            url = await stack.enter_async_context(case.address(roark))
            calls.append({"url": url, "secs": max(case.secs, least_secs)})
        options = {"contenders": [environment.contender], "calls": calls, "at_once": AT_ONCE}
        await environment.measure("delivered", {"SSL_CERT_FILE": trust}, **options)
        return {
            name: missing(next(iter(roarks[name].calls.values()), None), call["secs"])
            for name, call in zip(cases, calls, strict=True)
        }


async def each(environment: Environment, cases: list[str], least_secs: float) -> dict[str, str]:
    """Do the same; nothing if it can't be measured there."""
    try:
        return await faults(environment, cases, least_secs)
    except MeasuringError as error:
        print(f"left out: {error}")
        return {}


async def truths(bench: Bench, periods: int) -> dict[str, Truth]:
    """Return how true the recordings are: of ours, Pipecat's own recorder, and the originals."""

    async def one(environment: Environment, *more: str) -> dict[str, Any]:
        contenders = [environment.contender, *more]
        found: dict[str, Any] = await bench.each(
            [environment], "recording", contenders=contenders, periods=periods
        )
        return found

    peers = bench.peer("roark")
    ours, *others = await asyncio.gather(one(OURS, "stock"), *map(one, peers))
    found = {"ours": ours["ours"]["roark"], "stock recorder": ours["ours"]["stock"]}
    found |= {name: both["roark"] for other in others for name, both in other.items()}
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
    lines = [
        (name, f"{it.right} of {it.sounds}", f"{it.length_ms:+.0f}") for name, it in true.items()
    ]
    print(plain(("recording", f"sounds within {LIMIT_MS:.0f} ms", "too long by, ms"), lines))
    survived = {name: sum(it == "-" for it in missed.values()) for name, missed in found.items()}
    figures = {
        name: "; ".join(
            [
                *([f"{survived[name]} of {len(cases)} calls"] if name in survived else []),
                *([f"{true[name].right} of {true[name].sounds} sounds"] if name in true else []),
            ]
        )
        for name in {**survived, **true}
    }
    ours = figures.pop("ours")
    sounds = true["ours"]
    return Row(
        9,
        "What survives: calls through faults, and sounds at their place in a recording",
        ours,
        ". ".join(f"{name}: {figure}" for name, figure in figures.items()),
        survived["ours"] == len(cases) and sounds.right == sounds.sounds,
    )
