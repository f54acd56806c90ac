"""Roark's three requests on a local port."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from loguru import logger
from yarl import URL

from pipecat_roark.local.contract import (
    CALL_ENDED,
    CALL_STARTED,
    CHUNK_TYPE,
    EVENT,
    UPLOAD_REQUEST,
    Refusal,
    read_message,
    refuse_chunk,
)
from pipecat_roark.local.sequence import Arrivals
from pipecat_roark.local.store import (
    StoredCall,
    folder_name,
    join_recording,
    save_call,
    save_chunk,
)
from pipecat_roark.local.verdict import judge

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any

    from aiohttp.typedefs import Handler, Middleware
    from typing_extensions import Self

UPLOAD_URL_LIFE_S = 60
_LARGEST_BODY = 64 * 1024 * 1024
_STOP_S = 1.0
_LONGEST_PATH_SHOWN = 100


@dataclass(slots=True)
class _Intake:
    """A call on its way in; whoever changes it holds the lock."""

    call: StoredCall
    arrivals: Arrivals = field(default_factory=Arrivals)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class _Upload:
    """What an upload URL was given out for."""

    call_id: str
    index: int
    expires_at: float
    is_used: bool = False


class LocalRoark:
    """A Roark to develop and test against: `ROARK_BASE_URL=<url>`.

    Takes the three requests of Roark's Pipecat integration, refuses what breaks the wire contract
    (4xx), accepts what merely comes in the wrong order as Roark does, and reports both in the
    call's `problems`, in its `call.json` and as one logged warning each. Stopped and started
    again, it keeps its port and its calls. A folder of an earlier run is not read back.

    Example:
        async with LocalRoark("calls") as roark:
            os.environ["ROARK_BASE_URL"] = roark.url
            ...
            call = await roark.wait_for_end(call_id)
            assert call.complete, call.problems
    """

    def __init__(  # noqa: PLR0913 - keyword-only, each with a default
        self,
        folder: str | os.PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        middlewares: Iterable[Middleware] = (),
        on_event: Callable[[str, StoredCall], None] | None = None,
    ) -> None:
        """Describe the server; `start` opens its port.

        Args:
            folder: Where each call gets a folder of its own; made when the first call comes.
            host: Address to listen on.
            port: Port to listen on; 0 lets the system choose one.
            api_key: The only key to accept; None accepts any.
            middlewares: aiohttp middlewares in front of the handlers, outermost first, as a place
                for scripted faults.
            on_event: Called with `"call-started"` or `"call-ended"` and the call, after the event
                came for the first time and the call was stored.
        """
        self._folder = Path(folder)
        self._host = host
        self._port = port
        self._api_key = api_key
        self._middlewares = (*middlewares, self._answer_in_json)
        self._on_event = on_event
        self._runner: web.AppRunner | None = None
        self._problems: tuple[str, ...] = ()
        self._intakes: dict[str, _Intake] = {}
        self._uploads: dict[str, _Upload] = {}
        self._finalized: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    @property
    def url(self) -> str:
        """Base URL of the server, once it was started."""
        return str(URL.build(scheme="http", host=self._host, port=self._port))

    @property
    def calls(self) -> Mapping[str, StoredCall]:
        """Each call by its `pipecatCallId`: a snapshot of the set, of live views."""
        return {call_id: intake.call for call_id, intake in self._intakes.items()}

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with requests that belong to no call."""
        return self._problems

    async def start(self) -> None:
        """Open the port.

        Raises:
            OSError: The address can't be listened on.
        """
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=self._middlewares)
        app.router.add_post("/v1/integrations/pipecat", self._take_event)
        app.router.add_post("/v1/integrations/pipecat/chunk-upload-url", self._give_upload_url)
        app.router.add_put("/upload/{token}", self._take_chunk)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self.stop()
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port; requests under way get a second to finish."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        """Open the port."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the port."""
        await self.stop()

    async def wait_for_end(
        self,
        call_id: str,
        timeout: float = 10,
    ) -> StoredCall:
        """Wait until a call's call-ended came and the call is finalized.

        Args:
            call_id: The call's `pipecatCallId`; it need not have started yet.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: The call has not ended in time; says what was wrong with it so far.
        """
        try:
            await asyncio.wait_for(self._finalized[call_id].wait(), timeout)
        except asyncio.TimeoutError:
            intake = self._intakes.get(call_id)
            problems = (intake.call.problems if intake else ()) + self._problems
            raise TimeoutError(
                f"call {call_id!r} has not ended within {timeout} s; "
                f"problems: {'; '.join(problems) or 'none'}"
            ) from None
        return self._intakes[call_id].call

    async def _take_event(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body, refusal = read_message(request.headers, raw, EVENT, self._api_key)
        name = str(body.get("event"))
        if refusal is not None:
            what = name if name in (CALL_STARTED, CALL_ENDED) else "event"
            return await self._refuse(refusal, what, body.get("pipecatCallId"))
        async with self._open(body["pipecatCallId"]) as intake:
            is_first, problems = intake.arrivals.event(name, raw)
            self._report(problems, intake.call)
            if is_first:
                await self._settle(intake, name, body)
        if is_first and self._on_event is not None:
            self._on_event(name, intake.call)
        return web.json_response({})

    async def _settle(self, intake: _Intake, name: str, body: dict[str, Any]) -> None:
        call = intake.call
        if name != CALL_ENDED:
            call.started = body
            return
        findings = list(judge(body, intake.arrivals))
        self._report([sentence for is_right, sentence in findings if not is_right], call)
        call.verified = tuple(sentence for is_right, sentence in findings if is_right)
        if call.chunks and "recordingSampleRate" in body:
            rate, channels = body["recordingSampleRate"], body["recordingNumChannels"]
            call.recording = await asyncio.to_thread(join_recording, call, rate, channels)
        # Last, for whoever watches the live view instead of waiting for the end.
        call.ended = body

    async def _give_upload_url(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body, refusal = read_message(request.headers, raw, UPLOAD_REQUEST, self._api_key)
        if refusal is not None:
            return await self._refuse(refusal, "chunk-upload-url", body.get("pipecatCallId"))
        call_id, index = body["pipecatCallId"], body["chunkIndex"]
        async with self._open(call_id) as intake:
            self._report(intake.arrivals.url_asked(index), intake.call)
        token = secrets.token_urlsafe()
        expires_at = asyncio.get_running_loop().time() + UPLOAD_URL_LIFE_S
        self._uploads[token] = _Upload(call_id, index, expires_at)
        ticket = {
            "uploadUrl": str(request.url.with_path(f"/upload/{token}")),
            "s3Key": f"{folder_name(call_id)}/{index}",
            "chunkIndex": index,
            "expiresInSeconds": UPLOAD_URL_LIFE_S,
            "method": "PUT",
            "contentType": CHUNK_TYPE,
        }
        return web.json_response({"data": ticket})

    async def _take_chunk(self, request: web.Request) -> web.Response:
        upload = self._uploads.get(request.match_info["token"])
        if upload is None:
            return await self._refuse(Refusal(404, ("no such upload URL",)), "upload")
        spent = self._spend(upload)
        data = await request.read()
        refusal = spent or refuse_chunk(request.headers, data)
        if refusal is not None:
            return await self._refuse(refusal, f"chunk {upload.index}", upload.call_id)
        async with self._open(upload.call_id) as intake:
            await self._keep(intake, upload.index, data)
        return web.Response()

    async def _keep(self, intake: _Intake, index: int, data: bytes) -> None:
        is_first, problems = intake.arrivals.chunk(index, data)
        self._report(problems, intake.call)
        if is_first:
            path = await asyncio.to_thread(save_chunk, intake.call, index, data)
            intake.call.chunks[index] = path

    def _spend(self, upload: _Upload) -> Refusal | None:
        """Use up an upload URL, whatever becomes of the try."""
        if upload.is_used:
            return Refusal(403, ("an upload URL was used again",))
        upload.is_used = True
        if asyncio.get_running_loop().time() >= upload.expires_at:
            return Refusal(403, ("its upload URL had expired",))
        return None

    @asynccontextmanager
    async def _open(self, call_id: str) -> AsyncIterator[_Intake]:
        """Have a call to oneself, and its call.json written afterwards."""
        intake = self._intakes.get(call_id)
        if intake is None:
            intake = _Intake(StoredCall(call_id, self._folder / folder_name(call_id)))
            self._intakes[call_id] = intake
        async with intake.lock:
            yield intake
            await asyncio.to_thread(save_call, intake.call)
            if intake.call.ended is not None:
                self._finalized[call_id].set()

    async def _refuse(self, refusal: Refusal, what: str, call_id: object = None) -> web.Response:
        problems = [f"{what}: {problem}" for problem in refusal.problems]
        if isinstance(call_id, str) and call_id.strip():
            async with self._open(call_id) as intake:
                self._report(problems, intake.call)
        else:
            self._report(problems)
        return web.json_response({"error": "; ".join(problems)}, status=refusal.status)

    def _report(self, problems: Iterable[str], call: StoredCall | None = None) -> None:
        for problem in problems:
            if call is None:
                self._problems += (problem,)
                logger.warning("Local Roark: {}", problem)
            else:
                call.problems += (problem,)
                logger.warning("Local Roark, call {!r}: {}", call.call_id, problem)

    @web.middleware
    async def _answer_in_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Report what aiohttp refuses by itself: an unknown endpoint, a body that is too large."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            what = f"{request.method} {request.rel_url.raw_path[:_LONGEST_PATH_SHOWN]}"
            return await self._refuse(Refusal(error.status, (error.reason,)), what)
        except ConnectionError:
            # The sender hung up within its request, so nobody reads this answer.
            return web.Response(status=400)
