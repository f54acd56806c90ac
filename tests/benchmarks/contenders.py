"""Who is measured: the floors, this library, and peers that run in environments of their own.

A module of the name `pipecat_roark` may be this library or a release of the original; whichever is
installed is measured. So nothing here imports it before it is asked for, and nothing that a peer's
environment runs imports this library.
"""

from __future__ import annotations

import atexit
import inspect
import os
import socket
import tempfile
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import urlsplit

from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.observers.turn_tracking_observer import TurnTrackingObserver
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat.pipeline.task import PipelineTask
    from pipecat.processors.frame_processor import FrameProcessor

CHUNK_BYTES = 256 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "::1")
base_url: ContextVar[str] = ContextVar("base_url")
"""Where a peer without an option for it sends its requests, if not to `ROARK_BASE_URL`."""


class Empty(BaseObserver):
    """An observer that does nothing."""

    async def on_push_frame(self, data: FramePushed) -> None:
        """Do nothing."""


@dataclass
class Wiring:
    """What a contender adds to a pipeline.

    Attributes:
        observers: Its observers.
        processors: Its processors, which stand right after the output.
        on_task: What it does with the task before that runs.
    """

    observers: list[BaseObserver] = field(default_factory=list)
    processors: list[FrameProcessor] = field(default_factory=list)
    on_task: Callable[[PipelineTask], object] = lambda _: None

    @property
    def observer(self) -> BaseObserver:
        """The observer that counts."""
        return self.observers[0]


async def nothing() -> Wiring:
    """Return a call that nobody observes."""
    return Wiring()


async def empty() -> Wiring:
    """Return an observer that does nothing."""
    return Wiring([Empty()])


async def turns() -> Wiring:
    """Return Pipecat's own observer of turns."""
    return Wiring([TurnTrackingObserver()])


async def stock() -> Wiring:
    """Return an observer that does nothing, and Pipecat's own recorder.

    Its chunks are as large as ours: its buffer counts one channel.
    """
    recorder = AudioBufferProcessor(num_channels=2, buffer_size=CHUNK_BYTES // 2)
    await recorder.start_recording()
    return Wiring([Empty()], [recorder])


async def roark(**options: Any) -> Wiring:
    """Return this library, or the original, as its README wires it."""
    from pipecat_roark import RoarkObserver  # noqa: PLC0415  # see above

    redirect()
    # Only the original requires the runner's arguments, from 0.2 on; 0.1 has none.
    if "runner_args" in inspect.signature(RoarkObserver).parameters:
        options["runner_args"] = SimpleNamespace(session_id=str(uuid.uuid4()))
    observer = RoarkObserver(agent_id="benchmark", api_key="benchmark", **options)
    return Wiring([observer], [observer.audio_processor])


async def spooled() -> Wiring:
    """Return this library with a spool."""
    return await roark(spool_dir=_spool_dir())


async def unsent(**options: Any) -> Wiring:
    """Return this library with a Roark that can't be reached: all of it but the sending."""
    with patch.dict(os.environ, ROARK_BASE_URL="http://127.0.0.1:9"):
        return await roark(deadline_secs=0.1, **options)


async def spooled_unsent() -> Wiring:
    """Return this library with a spool and a Roark that can't be reached."""
    return await unsent(spool_dir=_spool_dir())


async def superbryn() -> Wiring:
    """Return `superbryn-pipecat-observer` with its recorder, as its README wires it by hand."""
    import superbryn_pipecat_observer as sdk  # type: ignore[import-not-found]  # noqa: PLC0415

    recorder = sdk.SuperbrynAudioRecorder(num_channels=2)
    url = os.environ["ROARK_BASE_URL"]
    observer = sdk.SuperbrynObserver(
        agent_id="benchmark",
        api_key="benchmark",
        audio_recorder=recorder,
        api_base_url=url,
        webhook_url=url,
    )
    return Wiring([observer], [recorder.processor], observer.register_task_handlers)


async def tuner() -> Wiring:
    """Return `tuner-pipecat-sdk` as its README wires it. It has no recorder."""
    import tuner_pipecat_sdk as sdk  # type: ignore[import-not-found]  # noqa: PLC0415

    observer = sdk.Observer(
        api_key="benchmark",
        workspace_id=1,
        agent_id="benchmark",
        call_id=str(uuid.uuid4()),
        base_url=os.environ["ROARK_BASE_URL"],
        forward_traces=False,
    )
    turn_tracker = TurnTrackingObserver()
    observer.attach_turn_tracking_observer(turn_tracker)
    return Wiring([observer, observer.latency_observer, turn_tracker])


_MAKERS: dict[str, Callable[[], Awaitable[Wiring]]] = {
    "nothing": nothing,
    "empty": empty,
    "turns": turns,
    "stock": stock,
    "roark": roark,
    "spooled": spooled,
    "unsent": unsent,
    "spooled_unsent": spooled_unsent,
    "superbryn": superbryn,
    "tuner": tuner,
}


async def make(name: str) -> Wiring:
    """Return a new wiring of the contender with this name."""
    return await _MAKERS[name]()


@cache
def _spool_dir() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return folder.name


@cache
def keep_home() -> None:
    """Refuse to look up any host but this machine: no peer reaches its maker."""
    look_up = socket.getaddrinfo

    def refuse(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in (None, "", *LOOPBACK):
            raise socket.gaierror(socket.EAI_NONAME, "only this machine can be reached")
        return look_up(host, *args, **kwargs)

    socket.getaddrinfo = refuse


@cache
def redirect() -> None:
    """Send what httpx would send to another host to Roark's base URL instead.

    The original has no option for its address. Hosts that end in `.invalid` stay as they are.
    """
    import httpx  # noqa: PLC0415  # not every peer has it

    send = httpx.AsyncHTTPTransport.handle_async_request

    async def handle(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        if host not in LOOPBACK and not host.endswith(".invalid"):
            to = urlsplit(base_url.get("") or os.environ["ROARK_BASE_URL"])
            request.url = request.url.copy_with(scheme=to.scheme, host=to.hostname, port=to.port)
            request.headers["host"] = to.netloc
        return await send(self, request)

    httpx.AsyncHTTPTransport.handle_async_request = handle  # type: ignore[method-assign]
