"""Bots in web servers, each a program that is stopped by SIGTERM while calls run.

Run as a script, it is a bot of Pipecat's development runner. With the one argument `workers` it is
a server of uvicorn with two workers that takes Twilio's calls.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import numpy as np
import uvicorn
from fastapi import FastAPI, WebSocket
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.runner.types import SmallWebRTCRunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from end_calls import run as run_until_sigterm
from offline.caller import loopback
from pipecat_roark import RoarkObserver
from support.calls import IN_RATE, tone
from support.telephone import Answers, Bot
from support.transport import ScriptedTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.runner.types import RunnerArguments

TRANSPORTS = {
    "webrtc": lambda: TransportParams(audio_in_enabled=True, audio_out_enabled=True),
}
ENDS_CALLS = "ENDS_CALLS"
"""Environment variable that makes SIGTERM end the calls of a development runner."""
app = FastAPI()


async def bot(runner_args: RunnerArguments) -> None:
    """Hold one call; without a connection, one that nobody ends."""
    if isinstance(runner_args, SmallWebRTCRunnerArguments):
        transport = await create_transport(runner_args, TRANSPORTS)
    else:
        transport = scripted = ScriptedTransport()
        scripted.input().speech = np.pad(tone(0.6, IN_RATE), (IN_RATE, 0))
    roark = RoarkObserver(agent_id="front-desk", runner_args=runner_args)
    pipeline = Pipeline(
        [
            transport.input(),
            VADProcessor(vad_analyzer=SileroVADAnalyzer()),
            Answers(thinks=0.2),
            transport.output(),
            roark.audio_processor,
        ]
    )
    worker = PipelineWorker(pipeline, observers=[roark])

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def hang_up(_transport: object, _client: object) -> None:
        await roark.aflush()
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=runner_args.handle_sigint)
    await runner.add_workers(worker)
    if ENDS_CALLS in os.environ:
        await run_until_sigterm(runner, worker)
    else:
        await runner.run()


@app.get("/")
async def name() -> int:
    """Return the process that answers."""
    return os.getpid()


@app.websocket("/")
async def answer(websocket: WebSocket) -> None:
    """Hold one call of a server of our own, whose identity names the process."""
    roark = RoarkObserver(
        agent_id="front-desk", pipecat_call_id=f"{os.getpid()}-{os.urandom(4).hex()}"
    )
    await Bot(roark, thinks=0.2).answer(websocket)


def main() -> None:
    """Serve at the port that the last argument names."""
    if sys.argv[1] == "workers":
        uvicorn.run("scenarios.bots:app", workers=2, port=int(sys.argv[2]))
        return
    from pipecat.runner.run import main as serve  # noqa: PLC0415  # it reads .env files

    run: Callable[[], None] = serve
    with loopback():
        run()


if __name__ == "__main__":
    main()
