"""Roark's three requests, as a local Roark answers them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from pipecat_roark.findings import is_odd_key
from pipecat_roark.local.contract import (
    CHUNK_TYPE,
    EVENT,
    EVENTS,
    UPLOAD_REQUEST,
    Refusal,
    read_message,
    refuse_chunk,
)
from pipecat_roark.local.requestlog import LoggedRequest, describe
from pipecat_roark.local.store import folder_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

    from pipecat_roark.local.register import Register
    from pipecat_roark.local.store import StoredCall

UPLOAD_URL_LIFE_S = 60
MOST_UPLOADS = 10_000
"""Upload URLs that may be open at a time; the oldest gives way."""
_LONGEST_PATH_SHOWN = 100
_OK = 200


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


class Endpoints:
    """Answers the three requests, and gives each that is well-formed to the register.

    Args:
        register: Keeps the calls.
        api_key: The only key to accept; None accepts any.
        on_event: Called as `(kind, call)` when an event has come for the first time.
    """

    def __init__(
        self,
        register: Register,
        api_key: str | None,
        on_event: Callable[[str, StoredCall], None] | None,
    ) -> None:
        self._register = register
        self._api_key = api_key
        self._on_event = on_event
        self._uploads: dict[str, _Upload] = {}

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the three endpoints to a router."""
        router.add_post("/v1/integrations/pipecat", self._receive_event)
        router.add_post("/v1/integrations/pipecat/chunk-upload-url", self._issue_upload_url)
        router.add_put("/upload/{token}", self._receive_chunk)

    async def _receive_event(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body, refusal = read_message(request.headers, raw, EVENT, self._api_key)
        kind = str(body.get("event"))
        log = describe("POST", request.path, refusal.status if refusal else _OK, raw)
        if refusal is not None:
            what = kind if kind in EVENTS else "event"
            return await self._refuse(refusal, what, body.get("pipecatCallId"), log)
        is_odd = is_odd_key(request.headers["x-roark-api-key"])
        call = await self._register.add_event(body, raw, log, has_odd_key=is_odd)
        if call is not None and self._on_event is not None:
            self._on_event(kind, call)
        return web.json_response({})

    async def _issue_upload_url(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body, refusal = read_message(request.headers, raw, UPLOAD_REQUEST, self._api_key)
        log = describe("POST", request.path, refusal.status if refusal else _OK, raw)
        if refusal is not None:
            return await self._refuse(refusal, "chunk-upload-url", body.get("pipecatCallId"), log)
        call_id, index = body["pipecatCallId"], body["chunkIndex"]
        await self._register.add_url_request(call_id, index, log)
        ticket = {
            "uploadUrl": str(request.url.with_path(f"/upload/{self._open(call_id, index)}")),
            "s3Key": f"{folder_name(call_id)}/{index}",
            "chunkIndex": index,
            "expiresInSeconds": UPLOAD_URL_LIFE_S,
            "method": "PUT",
            "contentType": CHUNK_TYPE,
        }
        return web.json_response({"data": ticket})

    def _open(self, call_id: str, index: int) -> str:
        """Open an upload for a chunk, and return its token."""
        token = secrets.token_urlsafe()
        expires_at = asyncio.get_running_loop().time() + UPLOAD_URL_LIFE_S
        self._uploads[token] = _Upload(call_id, index, expires_at)
        if len(self._uploads) > MOST_UPLOADS:
            del self._uploads[next(iter(self._uploads))]
        return token

    async def _receive_chunk(self, request: web.Request) -> web.Response:
        upload = self._uploads.get(request.match_info["token"])
        if upload is None:
            return await self._refuse(Refusal(404, ("no such upload URL",)), "upload")
        used_up = upload.use(asyncio.get_running_loop().time())
        data = await request.read()
        refusal = used_up or refuse_chunk(request.headers, data)
        status = refusal.status if refusal else _OK
        log = LoggedRequest(method="PUT", path="/upload", status=status, size=len(data))
        if refusal is not None:
            return await self._refuse(refusal, f"chunk {upload.index}", upload.call_id, log)
        await self._register.add_chunk(upload.call_id, upload.index, data, log)
        return web.Response()

    async def _refuse(
        self,
        refusal: Refusal,
        what: str,
        call_id: object = None,
        log: LoggedRequest | None = None,
    ) -> web.Response:
        problems = [f"{what}: {problem}" for problem in refusal.problems]
        await self._register.add_problems(problems, call_id, log)
        return web.json_response({"error": "; ".join(problems)}, status=refusal.status)

    @web.middleware
    async def refuse_in_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what web pages send, and report what aiohttp itself refuses."""
        what = f"{request.method} {request.rel_url.raw_path[:_LONGEST_PATH_SHOWN]}"
        try:
            if request.method != "GET" and "origin" in request.headers:
                # A bot sends no origin; a site that somebody visits must not make up calls.
                return await self._refuse(Refusal(403, ("a web page sent it",)), what)
            return await handler(request)
        except web.HTTPException as error:
            return await self._refuse(Refusal(error.status, (error.reason,)), what)
        except ConnectionError:
            # The sender closed the connection within its request, so nobody reads this answer.
            return web.Response(status=400)
