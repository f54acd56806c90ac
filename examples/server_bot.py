"""A web server that holds many calls at once, each with an observer of its own.

Programs connect to `/ws` and send and receive audio as Pipecat's own frames (its JavaScript client
does); Deepgram, OpenAI and Cartesia do the rest, with the keys of `.env.example`:

    uv run --extra bot uvicorn --app-dir examples --workers 2 server_bot:app

At SIGTERM, each worker of uvicorn closes its sockets and waits until the calls are delivered. The
`Dockerfile` beside this file runs it in a container, with a spool for calls that could not be.

Written for Pipecat 1.14, so it needs Python 3.11 or newer.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from fastapi import FastAPI, WebSocket  # what a route takes is read while the server runs
from pipecat.runner.types import WebSocketRunnerArguments
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from bot import build_worker

if TYPE_CHECKING:
    from pipecat_roark import RoarkObserver

app = FastAPI()
calls: dict[str, RoarkObserver] = {}
"""The calls that run in this worker, by their identity at Roark."""


@app.get("/health")
async def health() -> dict[str, int]:
    """Tell whoever asks that the server is there, and how many calls this worker holds."""
    return {"calls": len(calls)}


@app.websocket("/ws")
async def hold(websocket: WebSocket) -> None:
    """Hold one call, from the connection to the delivery."""
    await websocket.accept()
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=ProtobufFrameSerializer()
        ),
    )
    # The session's id becomes the call's identity, by which you find the call at Roark.
    session = WebSocketRunnerArguments(websocket=websocket, session_id=str(uuid.uuid4()))
    # It answers the client's leaving, also when the server closes the socket: see `hang_up` there.
    worker, roark = build_worker(transport, session)
    runner = WorkerRunner(handle_sigint=False)  # Signals are uvicorn's.
    await runner.add_workers(worker)
    calls[roark.pipecat_call_id] = roark
    try:
        await runner.run()
    finally:
        del calls[roark.pipecat_call_id]
