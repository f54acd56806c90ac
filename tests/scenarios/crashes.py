"""Calls whose process is killed, and what of them is at Roark after their spool was delivered.

Run as a script it holds a call with a spool and says what is finished, as it happens. Used as a
module it kills that script at some moment and delivers what is left.
"""

from __future__ import annotations

import asyncio
import re
import sys
import wave
from typing import TYPE_CHECKING

from pipecat.frames.frames import FunctionCallInProgressFrame, FunctionCallResultFrame

from pipecat_roark import RoarkObserver
from pipecat_roark.delivery.recovery import Recovery
from scenarios import exits
from support.audio import LEFT, RIGHT, audible_ms
from support.calls import Call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipecat_roark.local import LocalRoark, StoredCall

SLOW_SECS = 0.05
SEEN_SECS = 0.1
"""How long it takes until a frame that was pushed has passed the pipeline and is on disk."""
LOST_MS = 1000
"""Audio that may be missing."""
CALL_SECS = 8.0
TONE_MS, JITTER_MS = 300, 25
"""How long a tone is, and how far off it may be heard."""


def roark(folder: Path) -> LocalRoark:
    """Return the Roark that the calls go to, slow enough to be caught in the middle."""
    return exits.roark(folder, SLOW_SECS)


def say(*words: object) -> None:
    """Print a line for the parent process."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def hold(call_id: str) -> None:
    """Hold a call until the process is killed."""
    observer = RoarkObserver(agent_id="front-desk", pipecat_call_id=call_id)
    call = Call(observers=[observer], after_output=[observer.audio_processor])

    async def measure() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            say("audio", round(1000 * (loop.time() - began)))
            await asyncio.sleep(0.02)

    async def script(call: Call) -> None:
        measuring = asyncio.create_task(measure())
        say("began")
        for number in range(10):
            tool = ("look", f"tool-{number}", dict[str, str]())
            await call.push(FunctionCallInProgressFrame(*tool))
            await call.bot_says(f"Answer {number}.", secs=TONE_MS / 1000)
            await call.quiet()
            await asyncio.sleep(SEEN_SECS)
            say("turn", f"Answer {number}.")
            await call.push(FunctionCallResultFrame(*tool, {"number": number}))
            await asyncio.sleep(SEEN_SECS)
            say("tool", f"tool-{number}")
            await asyncio.sleep(0.3)
            await call.user_says(f"Question {number}.", secs=TONE_MS / 1000)
            await asyncio.sleep(SEEN_SECS)
            say("turn", f"Question {number}.")
            await asyncio.sleep(0.3)
        measuring.cancel()

    await call.hold(script)


async def missing(local: LocalRoark, spool_dir: Path, call_id: str, secs: float) -> list[str]:
    """Kill a call some seconds after its beginning and deliver its spool.

    Returns:
        What is wrong with the call at Roark.
    """
    said = await exits.killed(secs, local, spool_dir, "scenarios.crashes", call_id)
    async for _ in Recovery(spool_dir, local.url, "key").deliver():
        pass
    facts = [line.split(" ", 1) for line in said if line.endswith((".", "0", *"123456789"))]
    return list(_faults(local.calls.get(call_id), facts, spool_dir))


def _faults(call: StoredCall | None, facts: list[list[str]], spool_dir: Path) -> Iterator[str]:
    if call is None or call.ended is None:
        yield "the call has no end"
        return
    yield from call.problems
    if call.started is None:
        yield "the call has no start"
    if call.ended["callEndedReason"] != "process-died":
        yield f"the call ended with {call.ended['callEndedReason']}"
    if list(spool_dir.iterdir()):
        yield "the spool is not empty"
    for role in ("Answer", "Question"):
        words = " ".join(turn["content"] for turn in call.ended.get("transcript", []))
        sentences = re.findall(rf"{role} \d\.", words)
        expected = [what for kind, what in facts if kind == "turn" and what.startswith(role)]
        if sentences[: len(expected)] != expected or len(set(sentences)) != len(sentences):
            yield f"{sentences} instead of {expected}"
    results = [
        record["toolCallId"]
        for record in call.ended.get("toolCalls", [])
        if record["kind"] == "tool_result"
    ]
    returned = [what for kind, what in facts if kind == "tool"]
    if results[: len(returned)] != returned or len(set(results)) != len(results):
        yield f"{results} instead of {returned}"
    yield from _faults_of_audio(call, facts)


def _faults_of_audio(call: StoredCall, facts: list[list[str]]) -> Iterator[str]:
    captured = max((int(what) for kind, what in facts if kind == "audio"), default=0)
    recorded = _length_ms(call)
    if not captured - LOST_MS <= recorded <= captured + LOST_MS:
        yield f"{recorded} ms of audio instead of {captured}"
    for role, side in (("Answer", RIGHT), ("Question", LEFT)):
        tones = audible_ms(call.recording, side) if call.recording is not None else []
        finished = sum(kind == "turn" and what.startswith(role) for kind, what in facts)
        if not finished - 1 <= len(tones) <= finished + 1:
            yield f"{len(tones)} tones of {finished} turns ({role})"
        if wrong := [tone for tone in tones[:-1] if abs(tone[1] - tone[0] - TONE_MS) > JITTER_MS]:
            yield f"tones of a wrong length: {wrong} ({role})"


def _length_ms(call: StoredCall) -> int:
    if call.recording is None:
        return 0
    with wave.open(str(call.recording)) as file:
        return int(1000 * file.getnframes() / file.getframerate())


if __name__ == "__main__":
    asyncio.run(hold(*sys.argv[1:]))
