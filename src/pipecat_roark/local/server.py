"""A local server that takes Roark's three requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web
from loguru import logger
from yarl import URL

from pipecat_roark.local.endpoints import Endpoints
from pipecat_roark.local.feed import Feed
from pipecat_roark.local.page import Page
from pipecat_roark.local.register import Register
from pipecat_roark.local.shelf import Shelf
from pipecat_roark.local.store import folder_name

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from aiohttp.typedefs import Middleware
    from typing_extensions import Self

    from pipecat_roark.local.store import StoredCall

_LARGEST_BODY = 64 * 1024 * 1024
_STOP_S = 1.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class LocalRoark:
    """A Roark to develop and test against.

    It takes the three requests of Roark's Pipecat integration. It refuses a request that breaks the
    wire contract (4xx). It accepts one that only comes in the wrong order, as Roark does. Both
    kinds of problem are added to the call's `problems`, written to its `call.json` and logged as
    one warning each. A server that is stopped and started again keeps its port and its calls.

    A browser that opens the server's address sees the calls, those of earlier runs in the same
    folder, too.

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
        self._feed = Feed()
        self._register = Register(Path(folder), self._feed.publish)
        self._endpoints = Endpoints(self._register, api_key, on_event)
        shelf = Shelf(Path(folder), self._register.calls)
        self._page = Page(shelf, self._register.waveforms, self._feed, host)
        self._middlewares = (*middlewares, self._endpoints.refuse_in_json)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Base URL of the server. With `port=0` it is known after the start."""
        return str(URL.build(scheme="http", host=self._host, port=self._port))

    def page_of(self, call_id: str) -> str:
        """Return the address of a call's page, also before the call has begun."""
        return f"{self.url}/#/call/{quote(folder_name(call_id), safe='')}"

    @property
    def calls(self) -> Mapping[str, StoredCall]:
        """Each call of this run by its `pipecatCallId`.

        New calls need a new look, known ones stay current.
        """
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
        self._endpoints.add_to(app.router)
        self._page.add_to(app.router)
        app.on_response_prepare.append(self._page.secure)
        app.on_shutdown.append(self._close_feed)
        self._feed.open()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self.stop()
            raise
        self._port = self._runner.addresses[0][1]
        if self._host not in _LOOPBACK:
            logger.warning(
                "Local Roark: everybody who can reach {} can read the calls and send others.",
                self.url,
            )

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

    async def _close_feed(self, _app: web.Application) -> None:
        self._feed.close()
