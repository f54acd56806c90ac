"""What can go wrong between a call and Roark, over real HTTP and real TLS.

Each case delivers one call through a fault and tells what of it is at Roark afterwards. All times
are those of the real thing, multiplied by a scale.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import trustme
from aiohttp import web

from pipecat_roark import wire
from pipecat_roark.delivery.client import ANSWER_SECS, UPLOAD_SECS, RoarkClient
from pipecat_roark.delivery.connections import tls_context
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.local import LocalRoark
from pipecat_roark.report import CallReport
from pipecat_roark.settings import DEADLINE_SECS
from support.servers import break_off

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from aiohttp.typedefs import Handler, Middleware

    from pipecat_roark.local import StoredCall
    from pipecat_roark.receipt import Receipt

    Fault = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]

AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
KEY = "rk-private"
CHUNKS = 8
EVERYTHING: frozenset[str] = frozenset({"call-started", "audio chunk", "call-ended"})


# What a server may do to a request.


def answer(status: int = 200, body: str = "", **headers: str | Callable[[], str]) -> Fault:
    """Answer in place of Roark, and of the object store."""

    async def fault(request: web.Request, _: Handler) -> web.StreamResponse:
        await request.read()
        named = {
            name.replace("_", "-"): value if isinstance(value, str) else value()
            for name, value in headers.items()
        }
        return web.Response(status=status, text=body, headers=named)

    return fault


async def reset(request: web.Request, _: Handler) -> web.StreamResponse:
    """Cut the connection before the body is read."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def reset_in_the_middle(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Cut the connection when a part of the body has come."""
    await request.content.readany()
    return await reset(request, handler)


async def take_and_reset(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do the work, and cut the connection before the answer."""
    await handler(request)
    return await reset(request, handler)


async def truncate(request: web.Request, _: Handler) -> web.StreamResponse:
    """Announce more than is sent."""
    return await break_off(request)


async def take_and_truncate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do the work, and break off the body of the answer."""
    await handler(request)
    return await break_off(request)


async def hang(request: web.Request, _: Handler) -> web.StreamResponse:
    """Do not answer before the client hangs up."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return web.Response()


def dawdle(secs: float) -> Fault:
    """Answer late."""

    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(secs)
        return await handler(request)

    return fault


def elsewhere(url: str) -> Fault:
    """Hand out upload URLs that lead nowhere."""

    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        await handler(request)
        return web.json_response({"uploadUrl": url})

    return fault


async def kind_of(request: web.Request) -> str:
    """Name a request: an event, `url` or `upload`."""
    if request.method == "PUT":
        return "upload"
    return str((await request.json()).get("event", "url"))


# Which requests it is done to.


def first(times: float, fault: Fault, *only: str) -> Middleware:
    """Let the first requests of each kind, or of some kinds alone, meet a fault."""
    met: Counter[str] = Counter()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        kind = await kind_of(request)
        met[kind] += 1
        meets = met[kind] <= times and (kind in only or not only)
        return await (fault(request, handler) if meets else handler(request))

    return middleware


def between(start: float, end: float, fault: Fault) -> Middleware:
    """Let requests meet a fault for a while, in seconds after the first one."""
    began: list[float] = []

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        now = asyncio.get_running_loop().time()
        began.append(now)
        meets = start <= now - began[0] < end
        return await (fault(request, handler) if meets else handler(request))

    return middleware


def sometimes(share: float, *faults: Fault, seed: int = 1) -> Middleware:
    """Let a share of all requests meet one of several faults."""
    chance = random.Random(seed)  # noqa: S311  # nothing secret

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = chance.choice(faults) if chance.random() < share else None
        return await (fault(request, handler) if fault else handler(request))

    return middleware


# How Roark is reached.


@asynccontextmanager
async def direct(roark: LocalRoark) -> AsyncIterator[str]:
    """Give the server's own address."""
    yield roark.url


@asynccontextmanager
async def unknown_host(_: LocalRoark) -> AsyncIterator[str]:
    """Give an address whose name can't be resolved (RFC 6761)."""
    yield "https://roark.invalid"


@cache
def authority() -> trustme.CA:
    """Return the authority that the tests trust."""
    return trustme.CA()


@contextmanager
def trusted() -> Iterator[None]:
    """Let clients of this process trust the authority of the tests."""
    with authority().cert_pem.tempfile() as path, patch.dict(os.environ, SSL_CERT_FILE=path):
        tls_context.cache_clear()
        yield
    tls_context.cache_clear()


def _context(cert: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return context


def certificate(kind: str) -> trustme.LeafCert:
    """Return a server's certificate: good, or wrong in one of the usual ways."""
    if kind == "untrusted":
        return trustme.CA().issue_cert("localhost")
    if kind == "of another host":
        return authority().issue_cert("roark.test")
    if kind == "expired":
        return authority().issue_cert("localhost", not_after=AT - timedelta(days=1))
    return authority().issue_cert("localhost")


@asynccontextmanager
async def over_tls(roark: LocalRoark, *, bad: str = "", times: float = 0) -> AsyncIterator[str]:
    """Put TLS in front of a server; the first handshakes meet a bad certificate."""
    good, wrong = _context(certificate("")), _context(certificate(bad))
    handshakes = 0

    def choose(connection: ssl.SSLObject, *_: Any) -> None:
        nonlocal handshakes
        handshakes += 1
        connection.context = wrong if handshakes <= times else good

    context = _context(certificate(""))
    context.sni_callback = choose
    pipes: set[asyncio.Task[Any]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipes.add(asyncio.current_task())  # type: ignore[arg-type]  # it runs in a task
        port = int(roark.url.rpartition(":")[2])
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    yield f"https://localhost:{server.sockets[0].getsockname()[1]}"
    server.close()
    await asyncio.wait(pipes, timeout=1) if pipes else None


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # Either side hung up.
    finally:
        writer.close()


@web.middleware
async def keep_to_tls(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Hand out upload URLs of the front with TLS, which the server knows nothing of."""
    reply = await handler(request)
    body = reply.body if isinstance(reply, web.Response) else None
    if isinstance(body, bytes) and b"uploadUrl" in body:
        ticket = json.loads(body)["data"]
        ticket["uploadUrl"] = ticket["uploadUrl"].replace("http://localhost:", "https://localhost:")
        return web.json_response(ticket)
    return reply


# The calls.


@dataclass(frozen=True)
class Case:
    """A fault, and what it costs.

    Attributes:
        middlewares: Builds what stands between the call and Roark, from the scale.
        lost: What cannot arrive.
        secs: Length of the call.
        address: How Roark is reached.
    """

    middlewares: Callable[[float], list[Middleware]] = lambda _: []
    lost: frozenset[str] = frozenset()
    secs: float = 2
    address: Callable[[LocalRoark], AbstractAsyncContextManager[str]] = direct


@dataclass(frozen=True)
class Outcome:
    """What of a call is at Roark, and what the call's receipt says."""

    receipt: Receipt
    started: bool
    exact: int
    ended: bool
    problems: tuple[str, ...]

    def as_it_should(self, case: Case) -> bool:
        """Return whether all arrived that can, and the receipt says the same."""
        arrived = {
            "call-started": self.started,
            "audio chunk": self.exact == CHUNKS,
            "call-ended": self.ended,
        }
        said = {loss.what for loss in self.receipt.lost}
        return (
            arrived == {what: what not in case.lost for what in EVERYTHING}
            and said == case.lost
            and self.receipt.chunks.delivered == self.exact
            and not (self.problems and not case.lost)
        )


def audio(call_id: str, size: int) -> list[bytes]:
    """Return the chunks of a call; no other call's are the same."""
    noise = random.Random(call_id)  # noqa: S311  # nothing secret
    return [noise.randbytes(size) for _ in range(CHUNKS)]


async def deliver(  # noqa: PLR0913
    url: str, call_id: str, chunks: list[bytes], *, secs: float, scale: float, deadline_secs: float
) -> Receipt:
    """Deliver a call of a length, in real seconds, with faults in between."""
    client = RoarkClient(
        url, KEY, call_id, answer_secs=ANSWER_SECS * scale, upload_secs=UPLOAD_SECS * scale
    )
    delivery = Delivery(
        client,
        label=call_id,
        deadline_secs=deadline_secs,
        jitter=lambda low, high: scale * random.uniform(low, high),  # noqa: S311
    )
    delivery.begin(wire.call_started(call_id, AT, "front-desk", agent_prompt="private"))
    for pcm in chunks:
        delivery.add_audio(pcm)
        await asyncio.sleep(secs / len(chunks))
    report = CallReport(
        pipecat_call_id=call_id, started_at=AT, ended_at=AT, sample_rate=24000, num_channels=2
    )
    await delivery.finish(wire.call_ended(report, AT))
    return delivery.receipt


async def run(name: str, case: Case, folder: Path, scale: float = 1) -> Outcome:
    """Deliver one call through a fault."""
    size = 256 * 1024 if scale == 1 else 8000
    # What must arrive may take its time on a busy machine; what can't must not.
    deadline_secs = DEADLINE_SECS * (scale if case.lost else 1)
    chunks = audio(name, size)
    roark = LocalRoark(folder / name.replace("/", "-"), middlewares=case.middlewares(scale))
    async with roark, case.address(roark) as url:
        receipt = await deliver(
            url, name, chunks, secs=case.secs * scale, scale=scale, deadline_secs=deadline_secs
        )
        return outcome(receipt, roark.calls.get(name), chunks)


def outcome(receipt: Receipt, call: StoredCall | None, chunks: list[bytes]) -> Outcome:
    """Compare what was captured with what is at Roark."""
    stored = {} if call is None else {n: path.read_bytes() for n, path in call.chunks.items()}
    return Outcome(
        receipt=receipt,
        started=call is not None and call.started is not None,
        exact=sum(stored.get(index) == pcm for index, pcm in enumerate(chunks)),
        ended=call is not None and call.ended is not None,
        problems=() if call is None else call.problems,
    )


def _met(times: float, fault: Fault, *only: str) -> Case:
    return Case(lambda _: [first(times, fault, *only)])


def _scaled(make: Callable[[float], Middleware], **case: Any) -> Case:
    return Case(lambda scale: [make(scale)], **case)


def _date(scale: float) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=2 * scale))


def _tls(bad: str, times: float = 3, **case: Any) -> Case:
    address = partial(over_tls, bad=bad, times=times)
    return Case(lambda _: [keep_to_tls], address=address, **case)


FOR_GOOD = float("inf")
CASES: dict[str, Case] = {
    "no fault": Case(),
    "503 once": _met(1, answer(503)),
    "503 five times": _met(5, answer(503)),
    "500": _met(2, answer(500)),
    "502 of a gateway": _met(2, answer(502, "<html>Bad Gateway</html>")),
    "429, Retry-After in seconds": _scaled(
        lambda scale: first(2, answer(429, retry_after=str(scale)))
    ),
    "429, Retry-After as a date": _scaled(
        lambda scale: first(2, answer(429, retry_after=lambda: _date(scale)))
    ),
    "429, retry-after-ms": _scaled(
        lambda scale: first(2, answer(429, retry_after_ms=str(500 * scale)))
    ),
    "400 with x-should-retry": _met(2, answer(400, x_should_retry="true")),
    "reset before the body": _met(2, reset),
    "reset during the body": _met(2, reset_in_the_middle),
    "reset after the body": _met(2, take_and_reset),
    "200, truncated": _met(2, take_and_truncate),
    "200, truncated before the work": _met(2, truncate, "url"),
    "400 of the object store": _met(4, answer(400, "<Code>RequestTimeout</Code>"), "upload"),
    "200, no JSON": _met(2, answer(200, "<html>"), "url"),
    '200, {"data": null}': _met(2, answer(200, '{"data": null}'), "url"),
    "307 to another host": _met(2, answer(307, location="http://roark.invalid/")),
    "upload URL expired (403)": _met(4, answer(403), "upload"),
    "object store busy (503)": _met(4, answer(503), "upload"),
    "object store hangs 60 s": _scaled(
        lambda scale: first(2, dawdle(60 * scale), "upload"), secs=20
    ),
    "object store not resolved": _met(3, elsewhere("https://store.invalid/0"), "url"),
    "API not resolved, for good": Case(lost=EVERYTHING, address=unknown_host),
    "TLS": _tls("", 0),
    "TLS, certificate untrusted": _tls("untrusted"),
    "TLS, certificate expired": _tls("expired"),
    "TLS, certificate of another host": _tls("of another host"),
    "TLS, certificate untrusted, for good": _tls("untrusted", FOR_GOOD, lost=EVERYTHING),
    "call-started slow by 5 s": _scaled(lambda scale: first(1, dawdle(5 * scale), "call-started")),
    "call-started fails for good": Case(
        lambda _: [first(FOR_GOOD, answer(503), "call-started")],
        lost=frozenset({"call-started"}),
    ),
    "API black-holed for 60 s": _scaled(
        lambda scale: between(1 * scale, 61 * scale, hang), secs=64
    ),
    "API black-holed for good": Case(lambda _: [first(FOR_GOOD, hang)], lost=EVERYTHING),
}
