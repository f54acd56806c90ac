"""The examples work, without a network."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
from pipecat.processors.filters.identity_filter import IdentityFilter

from basic_observer import build_task
from support.transport import ScriptedTransport

if TYPE_CHECKING:
    from types import ModuleType

    from pipecat.pipeline.task import PipelineTask
    from pipecat.runner.types import RunnerArguments

    from pipecat_roark.local import LocalRoark
    from support.calls import Call

ROOT = Path(__file__).parents[2]
BOT = ROOT / "examples" / "bot.py"
LOUD = 5000

needs_pipecat_1 = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="bot.py is written for Pipecat 1.14: Python 3.11 or newer"
)


async def _converse(transport: ScriptedTransport, task: PipelineTask, local: LocalRoark) -> None:
    """Hold a call that the caller ends, and check that it arrived whole."""

    async def talk(call: Call) -> None:
        await call.bot_says("Welcome.")
        await call.quiet()
        await call.user_says("Hello.")
        await transport.hang_up()

    await transport.call(task).hold(talk)
    (stored,) = local.calls.values()
    assert stored.complete, stored.problems
    assert stored.ended is not None
    assert stored.ended["callEndedReason"] == "client-disconnected"
    turns = [(turn["role"], turn["content"]) for turn in stored.ended["transcript"]]
    assert turns == [("assistant", "Welcome."), ("user", "Hello.")]
    chunks = b"".join(path.read_bytes() for _, path in sorted(stored.chunks.items()))
    assert (np.abs(np.frombuffer(chunks, np.int16)).reshape(-1, 2).max(axis=0) > LOUD).all()


@pytest.mark.live
async def test_basic_observer_delivers_a_call(local: LocalRoark) -> None:
    """The wiring of basic_observer.py delivers turns, recording and the reason for the end."""
    transport = ScriptedTransport()
    task, _ = build_task(transport, [IdentityFilter()])
    await _converse(transport, task, local)


@pytest.fixture
def bot(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import bot.py, with invented keys."""
    for service in ("DEEPGRAM", "OPENAI", "CARTESIA", "ROARK"):
        monkeypatch.setenv(f"{service}_API_KEY", f"{service}-key")
    with warnings.catch_warnings():
        # The base of Pipecat's speech services derives from a class that Pipecat has deprecated.
        warnings.filterwarnings("ignore", "`AudioContextTTSService`", DeprecationWarning)
        import bot  # noqa: PLC0415
    return bot


def _session(transport: str) -> tuple[RunnerArguments, str]:
    """Return a session as Pipecat's runner describes it, and the identity of its call."""
    from pipecat.runner.types import (  # noqa: PLC0415
        DailyRunnerArguments,
        SmallWebRTCRunnerArguments,
    )
    from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection  # noqa: PLC0415

    if transport == "webrtc":
        connection = SmallWebRTCConnection()
        return SmallWebRTCRunnerArguments(webrtc_connection=connection), connection.pc_id
    room = "https://example.daily.co/room"
    return DailyRunnerArguments(room_url=room, session_id="session-7"), "session-7"


@needs_pipecat_1
@pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning")  # Pipecat's models
@pytest.mark.parametrize("name", ["webrtc", "daily"])
async def test_bot_is_wired_to_roark(bot: ModuleType, name: str) -> None:
    """The bot's pipeline has the recorder right after the output, and the observer attached."""
    runner_args, call_id = _session(name)
    transport = await bot.create_transport(runner_args, bot.TRANSPORTS)
    with patch.object(bot, "PipelineWorker", wraps=bot.PipelineWorker) as made:
        _, roark = bot.build_worker(transport, runner_args)
    assert roark.audio_processor.previous is transport.output()
    assert roark in made.call_args.kwargs["observers"]
    assert roark.pipecat_call_id == call_id


class OfflineService(IdentityFilter):
    """Stands in for a service that needs its provider."""

    Settings = SimpleNamespace

    def __init__(self, **_: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]


@pytest.mark.live
@needs_pipecat_1
@pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning")  # Pipecat's models
async def test_bot_delivers_a_call(
    bot: ModuleType, local: LocalRoark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot's pipeline, without its three providers, delivers a call that the caller ends."""
    for service in ("DeepgramSTTService", "OpenAILLMService", "CartesiaTTSService"):
        monkeypatch.setattr(bot, service, OfflineService)
    runner_args, _ = _session("webrtc")
    transport = ScriptedTransport()
    worker, _ = bot.build_worker(transport, runner_args)
    await _converse(transport, worker, local)


@pytest.mark.process
@needs_pipecat_1
def test_bot_explains_itself() -> None:
    """The bot's command line starts, and offers both transports."""
    command = [sys.executable, str(BOT), "--help"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout  # noqa: S603
    assert {"webrtc", "daily"} <= set(re.findall(r"\w+", shown))


def test_keys_that_the_examples_need_are_in_the_sample() -> None:
    """.env.example has every variable that bot.py reads, and Roark's, each with a comment."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    keys = {line.partition("=")[0] for line in lines if re.match(r"\w+=", line)}
    read = set(re.findall(r'os\.environ\["(\w+)"\]', BOT.read_text()))
    assert keys == {"ROARK_API_KEY", *read}
    assert all(
        lines[number - 1].startswith("# ") for number, line in enumerate(lines) if "=" in line
    )
