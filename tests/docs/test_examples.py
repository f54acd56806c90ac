"""The examples work, without a network."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
from fastapi import WebSocket  # noqa: TC002  # read by FastAPI
from pipecat.processors.filters.identity_filter import IdentityFilter

from basic_observer import build_task
from pipecat_roark.settings import DEADLINE_SECS
from support.transport import ScriptedTransport

if TYPE_CHECKING:
    from types import ModuleType

    from pipecat.pipeline.task import PipelineTask
    from pipecat.runner.types import RunnerArguments

    from pipecat_roark.local import LocalRoark, StoredCall
    from support.calls import Call
    from support.telephone import Caller

ROOT = Path(__file__).parents[2]
BOT = ROOT / "examples" / "bot.py"
DOCKERFILE = ROOT / "examples" / "Dockerfile"
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


async def _hold(caller: Caller, url: str) -> None:
    """Hold a call in which a question is answered."""
    await caller.call(url)
    assert len(caller.hears) == 1


def _check(call: StoredCall, reason: str = "client-disconnected") -> None:
    """Check that a call with a question and an answer arrived whole."""
    assert call.complete, call.problems
    assert call.ended is not None
    assert call.recording is not None
    assert call.ended["callEndedReason"] == reason
    turns = [(turn["role"], turn["content"]) for turn in call.ended["transcript"]]
    assert turns == [("user", "Question 1."), ("assistant", "Answer 1.")]


@pytest.fixture
def answering_bot(bot: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Replace the providers of bot.py: a question gets its words and an answer."""
    from support.telephone import Answers  # noqa: PLC0415  # needs the newest Pipecat

    for service in ("DeepgramSTTService", "OpenAILLMService", "CartesiaTTSService"):
        monkeypatch.setattr(bot, service, OfflineService)
    # It stands right before the output, so nothing takes its words from the pipeline.
    monkeypatch.setattr(bot, "CartesiaTTSService", lambda **_: Answers(thinks=0.2))
    bot.CartesiaTTSService.Settings = SimpleNamespace
    return bot


@pytest.mark.live
@needs_pipecat_1
@pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning")  # Pipecat's models
async def test_server_bot_holds_calls_at_once(
    answering_bot: ModuleType,  # noqa: ARG001  # imported by the server
    local: LocalRoark,
) -> None:
    """Two programs talk to the server over its websocket, and both their calls arrive."""
    import server_bot  # noqa: PLC0415  # needs the newest Pipecat
    from support.lines import Plain  # noqa: PLC0415
    from support.telephone import Caller, recorded, served  # noqa: PLC0415

    callers = [Caller([(0.5, recorded("weather"))], stays=5, line=Plain()) for _ in range(2)]
    async with served(server_bot.app) as url:
        await asyncio.gather(*(_hold(caller, f"{url}ws") for caller in callers))
    assert len(local.calls) == 2
    for call in local.calls.values():
        _check(call)
    assert not server_bot.calls


@pytest.mark.live
@needs_pipecat_1
@pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning")  # Pipecat's models
async def test_twilio_bot_holds_a_call(
    answering_bot: ModuleType,  # noqa: ARG001  # imported by the example
    local: LocalRoark,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call over Twilio's media streams arrives, at the sample rate of the telephone."""
    from pipecat.runner.types import WebSocketRunnerArguments  # noqa: PLC0415
    from pipecat.serializers.twilio import TwilioFrameSerializer  # noqa: PLC0415

    import twilio_bot  # noqa: PLC0415  # needs the newest Pipecat
    from support.lines import Twilio  # noqa: PLC0415
    from support.telephone import Caller, listening, recorded  # noqa: PLC0415

    for name in ("ACCOUNT_SID", "AUTH_TOKEN"):
        monkeypatch.setenv(f"TWILIO_{name}", "invented")

    async def answer(websocket: WebSocket) -> None:
        await websocket.accept()
        await twilio_bot.bot(WebSocketRunnerArguments(websocket=websocket, session_id="session-7"))

    caller = Caller([(0.5, recorded("weather"))], stays=5, line=Twilio())
    with patch.object(TwilioFrameSerializer, "_hang_up_call"):  # it would ask Twilio's API
        async with listening(answer) as url:
            await _hold(caller, url)
    call = local.calls["session-7"]
    _check(call)
    assert call.ended is not None
    assert call.ended["recordingSampleRate"] == 8000


@pytest.mark.process
@needs_pipecat_1
def test_the_container_starts_the_server(tmp_path: Path) -> None:
    """What the Dockerfile copies is there, and its command finds the server in nothing else."""
    lines = re.sub(r"\\\n", " ", DOCKERFILE.read_text()).splitlines()
    steps = [line.partition(" ")[::2] for line in lines if re.match(r"[A-Z]+ ", line)]
    ((*sources, _),) = (text.split() for step, text in steps if step == "COPY")
    for source in sources:
        shutil.copy(ROOT / source, tmp_path)
    (command,) = (json.loads(text) for step, text in steps if step == "CMD")
    module, name = command[1].split(":")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    code = f"import {module}; print([route.path for route in {module}.{name}.routes])"
    shown = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        check=False,
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "'/ws'" in shown.stdout, shown.stderr


@needs_pipecat_1
def test_the_container_has_what_the_bots_need() -> None:
    """The Dockerfile installs what the extra `bot` names; the spool is a volume of its own."""
    import tomllib  # noqa: PLC0415  # not in Python 3.10

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = DOCKERFILE.read_text()
    assert all(f'"{needed}"' in text for needed in project["optional-dependencies"]["bot"])
    (spool,) = re.findall(r"^ENV ROARK_SPOOL_DIR=(.+)$", text, re.MULTILINE)
    assert f"VOLUME {spool}" in text
    (grace,) = re.findall(r"--stop-timeout (\d+)", text)
    assert int(grace) > DEADLINE_SECS


@needs_pipecat_1
def test_the_deployment_names_what_pipecat_cloud_reads() -> None:
    """pcc-deploy.toml is valid TOML, with the fields of a deployment alone."""
    import tomllib  # noqa: PLC0415  # not in Python 3.10

    deployment = tomllib.loads((ROOT / "examples" / "pcc-deploy.toml").read_text())
    assert deployment.keys() == {"agent_name", "image", "secret_set", "scaling"}
    assert deployment["scaling"].keys() == {"min_agents", "max_agents"}
    assert f'agent_id="{deployment["agent_name"]}"' in BOT.read_text()


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
