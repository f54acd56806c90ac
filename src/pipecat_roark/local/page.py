"""The page of a local Roark: its files, its calls as JSON, their audio, and news of them.

It is read with a browser, so it is on guard: against other sites that point a name of theirs at
this machine (the host of each request is checked), and against what callers and models say (the
page may run only its own scripts, and load only from its own server).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from yarl import URL

from pipecat_roark.local import livewav
from pipecat_roark.local.store import REQUESTS_FILE
from pipecat_roark.local.view import as_text, detail

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat_roark.local.feed import Feed
    from pipecat_roark.local.shelf import Shelf
    from pipecat_roark.local.waveform import Waveform, Waveforms

WEB = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page's own files, and one style that the waveforms bring with the nonce."""
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Page:
    """Answers the browser.

    Args:
        shelf: Finds the calls.
        waveforms: Reads their waveforms.
        feed: Tells open pages what has changed.
        host: The name or address that the server listens on.
    """

    def __init__(self, shelf: Shelf, waveforms: Waveforms, feed: Feed, host: str) -> None:
        self._shelf = shelf
        self._waveforms = waveforms
        self._feed = feed
        self._host = host
        self._files = {
            path.relative_to(WEB).as_posix(): path for path in WEB.rglob("*") if path.is_file()
        }

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the page's endpoints to a router."""
        router.add_get("/", self._guarded(self._index))
        router.add_get("/web/{file:.+}", self._guarded(self._file))
        router.add_get("/api/calls", self._guarded(self._list))
        router.add_get("/api/calls/{name}", self._guarded(self._call))
        router.add_get("/api/calls/{name}/audio", self._guarded(self._audio))
        router.add_get("/api/calls/{name}/requests", self._guarded(self._requests))
        router.add_get("/api/news", self._guarded(self._feed.serve))

    @staticmethod
    async def secure(_request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that keep a browser from doing more than the page needs."""
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)

    def _guarded(
        self, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self._is_own_name(request.host):
                return web.Response(status=403, text="This page has another address.")
            return await answer(request)

        return guarded

    def _is_own_name(self, host: str) -> bool:
        """Return whether a request came by an address, or by a name that is this machine's.

        A site can point a name of its own at this machine, but it has no say in an address.
        """
        try:
            name = URL(f"http://{host}").host or ""
        except ValueError:
            return False
        return name in {"localhost", self._host.lower()} or _is_address(name)

    async def _index(self, _request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe()
        html = (WEB / "index.html").read_text(encoding="utf-8").replace("{nonce}", nonce)
        policy = {"content-security-policy": POLICY.format(nonce=nonce)}
        return web.Response(text=html, content_type="text/html", headers=policy)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = self._files.get(request.match_info["file"])
        if path is None:
            return _missing()
        content_type = TYPES.get(path.suffix, "application/octet-stream")
        return web.FileResponse(path, headers={"content-type": f"{content_type}; charset=utf-8"})

    async def _list(self, _request: web.Request) -> web.Response:
        return _json(await asyncio.to_thread(self._shelf.summaries))

    async def _call(self, request: web.Request) -> web.Response:
        def describe() -> dict[str, Any] | None:
            found = self._shelf.find(request.match_info["name"])
            if found is None:
                return None
            call, is_live = found
            return detail(call, self._waveforms.read(call), is_live=is_live)

        described = await asyncio.to_thread(describe)
        return _missing() if described is None else _json(described)

    async def _audio(self, request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(self._shelf.find, request.match_info["name"])
        if found is None:
            return _missing()
        call, _ = found
        if call.recording is not None:
            # It knows HTTP Range, so a browser can jump to any place.
            return web.FileResponse(call.recording, headers={"content-type": "audio/wav"})
        waveform = await asyncio.to_thread(self._waveforms.read, call)
        return _missing() if waveform is None else await _stream(request, waveform)

    async def _requests(self, request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(self._shelf.find, request.match_info["name"])
        log = None if found is None else found[0].folder / REQUESTS_FILE
        if log is None or not log.is_file():
            return _missing()
        return web.FileResponse(log, headers={"content-type": "text/plain; charset=utf-8"})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _stream(request: web.Request, waveform: Waveform) -> web.StreamResponse:
    """Send the part of a running call's audio that is asked for.

    The page names how many chunks it knows, so that the file keeps its length while it is read.
    """
    wanted = request.query.get("chunks", "")
    chunks = waveform.chunks[: int(wanted)] if wanted.isdecimal() else waveform.chunks
    size = sum(path.stat().st_size for path in chunks)
    head = livewav.header(waveform.rate, waveform.channels, size)
    try:
        start, stop, _ = request.http_range.indices(len(head) + size)
    except ValueError:
        start, stop = 0, 0
    if start >= stop:
        return web.Response(status=416, headers={"content-range": f"bytes */{len(head) + size}"})
    is_part = "range" in request.headers
    stream = web.StreamResponse(status=206 if is_part else 200)
    stream.headers.update({"content-type": "audio/wav", "accept-ranges": "bytes"})
    stream.content_length = stop - start
    if is_part:
        stream.headers["content-range"] = f"bytes {start}-{stop - 1}/{len(head) + size}"
    await stream.prepare(request)
    for piece in livewav.read(head, chunks, start, stop):
        await stream.write(piece)
    return stream


def _json(value: object) -> web.Response:
    return web.json_response(value, dumps=lambda value: json.dumps(value, default=as_text))


def _missing() -> web.Response:
    return web.Response(status=404, text="There is no such thing here.")
