"""A call in which something secret is said and done, and every way in which it could get out.

Words, tool arguments and tones are public or secret, and each of them is recognized wherever it
turns up. Used as a module it holds such a call and tells what each exit let out. Run as a script it
holds one with a spool until the process is killed, and redacts what is secret.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np

from pipecat_roark import CallReport, RoarkObserver, ToolCall, Turn
from pipecat_roark.delivery.recovery import Recovery
from pipecat_roark.spool import tail
from scenarios import exits
from support.calls import OUT_RATE, Call
from support.surroundings import collected
from support.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark.local import LocalRoark, StoredCall

    Around = Callable[[RoarkObserver, Call], Any]

SECRET = re.compile(r"secret[\w-]*")
MARKS = {
    **{f"public {what}": f"public-{what}".encode() for what in ("words", "tool")},
    **{f"secret {what}": f"secret-{what}".encode() for what in ("words", "tool")},
}
"""What is said and done, as it can be read in a file or a request."""
TONES = {"public tone": (440.0, 700.0), "secret tone": (1100.0, 1700.0)}
"""The tones of the user and of the bot, in Hz."""
WINDOW = 480
"""How many samples are searched for a tone at once: 20 ms."""
MARGIN_SECS = 0.1
"""Nobody speaks for so long before and after the secret: a frame is as old as it is long."""
AMPLITUDE = 500
"""A tone that is louder than this in any window is there."""
HERTZ = [hertz for tones in TONES.values() for hertz in tones]
PROBES = np.column_stack(
    [
        np.hanning(WINDOW) * np.exp(-2j * np.pi * hertz * np.arange(WINDOW) / OUT_RATE)
        for hertz in HERTZ
    ]
).astype(np.complex64)


def read(text: str | bytes) -> set[str]:
    """Return the marks that can be read in a text."""
    data = text if isinstance(text, bytes) else text.encode()
    return {name for name, mark in MARKS.items() if mark in data}


def hear(pcm: bytes) -> set[str]:
    """Return the tones that can be heard in interleaved audio, on either channel."""
    samples = np.frombuffer(pcm[: len(pcm) // (4 * WINDOW) * 4 * WINDOW], "<i2")
    windows = samples.reshape(-1, WINDOW, 2).swapaxes(1, 2).astype(np.float32)
    loudest = np.abs(windows @ PROBES).max(axis=(0, 1), initial=0) * 4 / WINDOW
    heard = {
        hertz for hertz, amplitude in zip(HERTZ, loudest, strict=True) if amplitude > AMPLITUDE
    }
    return {name for name, tones in TONES.items() if not heard.isdisjoint(tones)}


def found_in(folder: Path, known: dict[Path, tuple[int, int]] | None = None) -> set[str]:
    """Return what can be read or heard in all files of a folder.

    Args:
        folder: The folder.
        known: Files as they were when they were last looked at: these are left out.
    """
    found, known = set[str](), {} if known is None else known
    looked = dict[Path, tuple[int, int]]()
    for path in folder.rglob("*"):
        about = path.stat()
        state = about.st_mtime_ns, about.st_size
        if path.is_file() and known.get(path) != state:
            data = path.read_bytes()
            found |= read(data)
            if path.suffix == ".ends":  # also what a later record has replaced
                data = b"".join(pcm for _, _, pcm in tail.parsed(data))
                data = np.repeat(np.frombuffer(data, "<i2"), 2).tobytes()
            if path.suffix in {".pcm", ".ends", ".wav"}:
                found |= hear(data[44:] if path.suffix == ".wav" else data)
            looked[path] = state
    known.update(looked)  # only now: if a file went meanwhile, all are looked at again
    return found


def redacted(item: Turn | ToolCall) -> Turn | ToolCall:
    """Take out what is secret, with its audio."""
    if isinstance(item, ToolCall):
        results = tuple(replace(one, content=_clean(one.content)) for one in item.results)
        return replace(item, arguments=_clean(item.arguments), results=results)
    secret = bool(SECRET.search(f"{item.content} {item.unheard}"))
    return replace(
        item, content=_clean(item.content), unheard=_clean(item.unheard), silenced=secret
    )


def _clean(text: str) -> str:
    return SECRET.sub("[secret]", text)


@dataclass
class Exits:
    """What each exit let out."""

    wire: set[str] = field(default_factory=set)
    spool: set[str] = field(default_factory=set)
    log: set[str] = field(default_factory=set)
    audio_events: set[str] = field(default_factory=set)
    call_ended: set[str] = field(default_factory=set)
    report: set[str] = field(default_factory=set)


async def hold(
    folder: Path,
    around: Around | None = None,
    *,
    before_end: Callable[[RoarkObserver], None] | None = None,
    recorded: bool = True,
    **options: Any,
) -> tuple[Exits, RoarkObserver, StoredCall | None]:
    """Hold a call, with a spool and against a slow Roark.

    Args:
        folder: Where everything is written.
        around: Returns an async context in which the secret part happens.
        before_end: Is called when all is said.
        recorded: Whether the recorder is in the pipeline.
        options: The observer's.

    Returns:
        What each exit let out, the observer, and the call as Roark has it.
    """
    seen, spool_dir = Exits(), folder / "spool"
    with collected(0) as lines:
        async with exits.roark(folder / "calls") as local:
            with patch.dict(os.environ, {"ROARK_BASE_URL": local.url}):
                roark = RoarkObserver(
                    agent_id="front-desk", api_key="key", spool_dir=spool_dir, **options
                )
            _listen(roark, seen)
            watching = asyncio.create_task(_watch(spool_dir, seen))
            toolbox = Toolbox()

            async def script(call: Call) -> None:
                await _talk(call, toolbox, roark, around)
                if before_end is not None:
                    before_end(roark)
                seen.report |= read(repr(roark.report()))
                await call.end()

            recorders = [roark.audio_processor] if recorded else []
            await Call([roark], recorders, [toolbox]).hold(script)
            watching.cancel()
            seen.report |= read(repr(roark.report()))
            seen.log = read("".join(lines))
            seen.wire = found_in(folder / "calls")
            seen.spool |= found_in(spool_dir)
            return seen, roark, local.calls.get(roark.pipecat_call_id)


async def _talk(
    call: Call,
    toolbox: Toolbox,
    roark: RoarkObserver,
    around: Around | None,
) -> None:
    """Speak and use a tool in public, then in secret, then in public again."""
    for manner in ("public", "secret", "public"):
        user, bot = TONES[f"{manner} tone"]
        secret = around is not None and manner == "secret"
        async with around(roark, call) if around and secret else nullcontext():
            await asyncio.sleep(MARGIN_SECS)
            await call.user_says(f"I say {manner}-words.", secs=0.4, hertz=user)
            await toolbox.call(f"look-{manner}", {"for": f"{manner}-tool"})
            await toolbox.give(f"look-{manner}", f"{manner}-tool")
            await call.bot_says(f"You said {manner}-words.", secs=0.4, hertz=bot)
            await call.quiet()
            await asyncio.sleep(MARGIN_SECS)


def _listen(roark: RoarkObserver, seen: Exits) -> None:
    """Note what the application's own handlers get."""
    processor = roark.audio_processor

    async def on_audio(_: object, audio: bytes, *__: object) -> None:
        seen.audio_events |= hear(audio)

    async def on_tracks(_: object, user: bytes, bot: bytes, *__: object) -> None:
        sides = [np.frombuffer(side, "<i2") for side in (user, bot)]
        seen.audio_events |= hear(np.column_stack(sides).tobytes())

    async def on_ended(_: object, report: CallReport) -> None:
        seen.call_ended |= read(repr(report))

    processor.add_event_handler("on_audio_data", on_audio)
    processor.add_event_handler("on_track_audio_data", on_tracks)
    roark.add_event_handler("on_call_ended", on_ended)


async def _watch(spool_dir: Path, seen: Exits) -> None:
    """Look again and again at what is on disk."""
    known = dict[Path, tuple[int, int]]()
    while True:
        with suppress(OSError):  # files come and go
            seen.spool |= await asyncio.to_thread(found_in, spool_dir, known)
        await asyncio.sleep(0.05)


async def speak_until_killed(call_id: str) -> None:
    """Hold a call in which secrets and other things are said, and redact the secrets."""
    roark = RoarkObserver(agent_id="front-desk", pipecat_call_id=call_id, redact=redacted)

    async def script(call: Call) -> None:
        sys.stdout.write("began\n")
        sys.stdout.flush()
        toolbox = Toolbox()
        for _ in range(5):
            await _talk(call, toolbox, roark, None)

    await Call([roark], [roark.audio_processor]).hold(script)


async def hang(call_id: str) -> None:
    """Hold a call in which the function that redacts never returns."""
    roark = RoarkObserver(
        agent_id="front-desk",
        pipecat_call_id=call_id,
        redact=lambda _: time.sleep(3600),
        deadline_secs=2,
    )

    async def script(call: Call) -> None:
        await call.user_says("I say secret-words.", secs=0.4, hertz=TONES["secret tone"][0])
        await call.end()

    await Call([roark], [roark.audio_processor]).hold(script)


async def leaked(local: LocalRoark, folder: Path, call_id: str, secs: float) -> set[str]:
    """Kill a call some seconds after its beginning; return what is secret on the disk or at Roark.

    The spool is delivered before Roark is asked.
    """
    spool_dir = folder / "spool"
    script = ("scenarios.disclosure", "speak_until_killed", call_id)
    await exits.killed(secs, local, spool_dir, *script)
    found = found_in(spool_dir)
    async for _ in Recovery(spool_dir, local.url, "key").deliver():
        pass
    call = local.calls.get(call_id)
    if call is None:
        return {*found, "the call is not at Roark"}
    found |= found_in(call.folder)
    return {what for what in found if what.startswith("secret")}


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](sys.argv[2]))
