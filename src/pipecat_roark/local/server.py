"""A local server that takes Roark's three requests."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from yarl import URL

from pipecat_roark.local.contract import (
    CHUNK_TYPE,
    EVENT,
    EVENTS,
    UPLOAD_REQUEST,
    Refusal,
    read_message,
    refuse_chunk,
)
from pipecat_roark.local.register import Register
from pipecat_roark.local.store import folder_name

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from aiohttp.typedefs import Handler, Middleware
    from typing_extensions import Self

    from pipecat_roark.local.store import StoredCall

UPLOAD_URL_LIFE_S = 60
_LARGEST_BODY = 64 * 1024 * 1024
_STOP_S = 1.0
_LONGEST_PATH_SHOWN = 100


@dataclass(slots=True)
class _Upload:
    """The chunk that an upload URL is for."""

    call_id: str
    index: int
    expires_at: float
    is_used: bool = False

    def use(self, now: float) -> Refusal | None:
        """Use the URL up, whatever becomes of this upload; return why to refuse it, if so."""
        if self.is_used:
            return Refusal(403, ("an upload URL was used again",))
        self.is_used = True
        return Refusal(403, ("its upload URL had expired",)) if now >= self.expires_at else None


class LocalRoark:
    """A Roark to develop and test against.

    It takes the three requests of Roark's Pipecat integration. It refuses a request that breaks the
    wire contract (4xx). It accepts one that only comes in the wrong order, as Roark does. Both
    kinds of problem are added to the call's `problems`, written to its `call.json` and logged as
    one warning each. A server that is stopped and started again keeps its port and its calls. It
    doesn't read the folder of an earlier run.

    Example:
        A test of a bot, where `hold_a_call` is your own code that runs the bot and returns its
        observer:

            async def test_bot_greets(tmp_path, monkeypatch):
                async with LocalRoark(tmp_path) as roark:
                    monkeypatch.setenv("ROARK_BASE_URL", roark.url)
                    monkeypatch.setenv("ROARK_API_KEY", "any key")
                    observer = await hold_a_call()
                    call = await roark.wait_for_end(observer.pipecat_call_id)
                assert call.complete, call.problems
                assert call.ended["transcript"][0]["content"] == "Welcome."
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
            folder: Where each call gets a folder of its own. The first call creates it.
            host: Address to listen on.
            port: Port to listen on. 0 lets the system choose one.
            api_key: The only key to accept. None accepts any.
            middlewares: aiohttp middlewares in front of the handlers, the outermost first. Tests
                simulate faults with them.
            on_event: Called as `(kind, call)`, such as `("call-started", call)`, when an event has
                come for the first time and the call has been stored with it.
        """
        self._host = host
        self._port = port
        self._api_key = api_key
        self._middlewares = (*middlewares, self._refuse_in_json)
        self._on_event = on_event
        self._runner: web.AppRunner | None = None
        self._register = Register(Path(folder))
        self._uploads: dict[str, _Upload] = {}

    @property
    def url(self) -> str:
        """Base URL of the server. With `port=0` it is known after the start."""
        return str(URL.build(scheme="http", host=self._host, port=self._port))

    @property
    def calls(self) -> Mapping[str, StoredCall]:
        """Each call by its `pipecatCallId`. New calls need a new look, known ones stay current."""
        return self._register.calls()

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with requests that belong to no call."""
        return self._register.problems

    async def start(self) -> None:
        """Open the port.

        Raises:
            OSError: The server can't listen on the address.
        """
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=self._middlewares)
        app.router.add_post("/v1/integrations/pipecat", self._receive_event)
        app.router.add_post("/v1/integrations/pipecat/chunk-upload-url", self._issue_upload_url)
        app.router.add_put("/upload/{token}", self._receive_chunk)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self.stop()
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port. Requests that are being answered get one second to finish."""
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
        """Wait until a call has ended and its recording is joined.

        Args:
            call_id: The call's `pipecatCallId`. The call need not have started yet.
            timeout: Longest wait in seconds.

        Raises:
            TimeoutError: The call has not ended in time. The text lists the problems so far.
        """
        return await self._register.wait_for_end(call_id, timeout)

    async def _receive_event(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body, refusal = read_message(request.headers, raw, EVENT, self._api_key)
        kind = str(body.get("event"))
        if refusal is not None:
            what = kind if kind in EVENTS else "event"
            return await self._refuse(refusal, what, body.get("pipecatCallId"))
        call = await self._register.add_event(body, raw)
        if call is not None and self._on_event is not None:
            self._on_event(kind, call)
        return web.json_response({})

    async def _issue_upload_url(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body, refusal = read_message(request.headers, raw, UPLOAD_REQUEST, self._api_key)
        if refusal is not None:
            return await self._refuse(refusal, "chunk-upload-url", body.get("pipecatCallId"))
        call_id, index = body["pipecatCallId"], body["chunkIndex"]
        await self._register.add_url_request(call_id, index)
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

    async def _receive_chunk(self, request: web.Request) -> web.Response:
        upload = self._uploads.get(request.match_info["token"])
        if upload is None:
            return await self._refuse(Refusal(404, ("no such upload URL",)), "upload")
        used_up = upload.use(asyncio.get_running_loop().time())
        data = await request.read()
        refusal = used_up or refuse_chunk(request.headers, data)
        if refusal is not None:
            return await self._refuse(refusal, f"chunk {upload.index}", upload.call_id)
        await self._register.add_chunk(upload.call_id, upload.index, data)
        return web.Response()

    async def _refuse(self, refusal: Refusal, what: str, call_id: object = None) -> web.Response:
        problems = [f"{what}: {problem}" for problem in refusal.problems]
        await self._register.add_problems(problems, call_id)
        return web.json_response({"error": "; ".join(problems)}, status=refusal.status)

    @web.middleware
    async def _refuse_in_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Report what aiohttp itself refuses: an unknown endpoint, a body that is too large."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            what = f"{request.method} {request.rel_url.raw_path[:_LONGEST_PATH_SHOWN]}"
            return await self._refuse(Refusal(error.status, (error.reason,)), what)
        except ConnectionError:
            # The sender closed the connection within its request, so nobody reads this answer.
            return web.Response(status=400)
