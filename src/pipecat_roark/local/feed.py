"""Tells open pages which calls have changed, by server-sent events."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path

MOST_PAGES = 100
BEAT_S = 15.0
"""After so long without news, a comment shows that the connection is alive."""
_PAUSE_S = 0.2
"""News that come close together are sent together."""


class _Page:
    """What an open page has not been told yet."""

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.has_news = asyncio.Event()


class Feed:
    """Keeps the connections of all open pages. A slow page costs one set of names."""

    def __init__(self) -> None:
        self._pages: set[_Page] = set()
        self._is_open = True

    def open(self) -> None:
        """Take connections, as at the begin; `close` may have come before."""
        self._is_open = True

    def close(self) -> None:
        """End all connections."""
        self._is_open = False
        for page in self._pages:
            page.has_news.set()

    def publish(self, folder: Path) -> None:
        """Tell every page that the call in a folder has changed."""
        for page in self._pages:
            page.changed.add(folder.name)
            page.has_news.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send news to a page until it closes the connection."""
        if len(self._pages) >= MOST_PAGES:
            return web.Response(status=503)
        page = _Page()
        self._pages.add(page)
        stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
        try:
            await stream.prepare(request)
            await stream.write(b": connected\n\n")
            while self._is_open:
                await self._send(page, stream)
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._pages.discard(page)
        return stream

    @staticmethod
    async def _send(page: _Page, stream: web.StreamResponse) -> None:
        try:
            await asyncio.wait_for(page.has_news.wait(), BEAT_S)
        except asyncio.TimeoutError:
            await stream.write(b": still here\n\n")
            return
        names = sorted(page.changed)
        page.changed.clear()
        page.has_news.clear()
        await stream.write(f"data: {json.dumps(names)}\n\n".encode())
        await asyncio.sleep(_PAUSE_S)
