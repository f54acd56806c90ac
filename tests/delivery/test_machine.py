"""A machine in trouble loses no call: the log names what to mend, and all is tried again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from pipecat_roark import wire
from pipecat_roark.delivery import client as client_module
from pipecat_roark.delivery import connections
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.connections import tls_context
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.local import LocalRoark
from pipecat_roark.report import CallReport
from pipecat_roark.spool.writer import SpoolWriter
from scenarios.faults import AT
from support.servers import EVENT, KEY, PCM, failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipecat_roark.receipt import Receipt

STARTED = wire.call_started("call#1", AT, "front-desk")
ENDED = wire.call_ended(CallReport(pipecat_call_id="call#1", sample_rate=8000, num_channels=2), AT)
AWAY = "https://roark.invalid"
SOCKS = "socks5://user:private@127.0.0.1:1080"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start without a proxy, and forget the certificates of other tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


async def hold(url: str, spool_dir: Path | None = None, deadline_secs: float = 5) -> Receipt:
    """Deliver a short call."""
    delivery = Delivery(
        RoarkClient(url, KEY, "call#1"),
        label="call#1",
        deadline_secs=deadline_secs,
        spool=SpoolWriter(spool_dir, "call#1", owner="somebody") if spool_dir else None,
    )
    delivery.begin(STARTED)
    delivery.add_audio(PCM)
    await asyncio.sleep(0.2)
    await delivery.finish(ENDED)
    return delivery.receipt


@pytest.mark.parametrize("no_proxy", ["localhost,127.0.0.1,::1,[::1]", "localhost,fe80::/10"])
async def test_exceptions_that_httpx_cannot_parse_harm_nobody(
    no_proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other tools accept them."""
    monkeypatch.setenv("NO_PROXY", no_proxy)
    async with LocalRoark(tmp_path) as roark:
        assert (await hold(roark.url)).whole


async def test_a_proxy_that_is_not_needed_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That holds even if a package for that proxy is missing."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", SOCKS)
    async with LocalRoark(tmp_path) as roark:
        assert (await hold(roark.url)).whole


@pytest.mark.live
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ALL_PROXY", SOCKS, "ALL_PROXY is a SOCKS proxy, which needs the package socksio: pip "),
        ("HTTPS_PROXY", "http://private:port", "HTTPS_PROXY is no proxy that can be used"),
        ("HTTPS_PROXY", "gopher://private.test", "HTTPS_PROXY is no proxy that can be used"),
        ("SSL_CERT_FILE", "/nowhere/private.pem", "SSL_CERT_FILE can't be used: No such file or"),
    ],
)
async def test_what_must_be_mended_is_said_at_the_start(  # noqa: PLR0913, PLR0917
    variable: str,
    value: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: list[str],
) -> None:
    """One line that names the variable, without waiting for the end; and all is in the spool."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, value)
    receipt = await hold(AWAY, tmp_path / "spool", deadline_secs=0.3)
    assert log[0].startswith(f"WARNING Call call#1 can't be delivered at the moment: {words}")
    assert len([line for line in log if "at the moment" in line]) == 1
    assert not [line for line in log if "private" in line]
    assert receipt.lost == ()
    assert {gap.what for gap in receipt.spooled} == {"call-started", "audio chunk", "call-ended"}
    assert {gap.reason for gap in receipt.spooled} <= {"unavailable", "no-time"}


@pytest.mark.live
async def test_certificates_may_be_mended_while_the_call_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that could not be made is made anew with each try."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    async with LocalRoark(tmp_path / "calls") as roark:
        client = RoarkClient(roark.url, KEY, "call#1")
        delivery = Delivery(client, label="call#1", jitter=lambda _, most: min(most, 0.05))
        delivery.begin(STARTED)
        delivery.add_audio(PCM)
        await asyncio.sleep(0.3)
        assert delivery.receipt.events.delivered == 0
        monkeypatch.delenv("SSL_CERT_FILE")
        await asyncio.sleep(1)
        assert delivery.receipt.events.delivered == 1
        await delivery.finish(ENDED)
    assert delivery.receipt.whole


@pytest.mark.live
@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize("spooled", [False, True])
async def test_a_process_without_descriptors_waits_for_one(
    tmp_path: Path, *, spooled: bool
) -> None:
    """For half a second no file and no connection can be opened."""
    script = """
import asyncio, os, resource, sys
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import Delivery
from pathlib import Path
from pipecat_roark.spool.writer import SpoolWriter
async def main(url, started, ended, *spool_dirs):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) - 1, hard))
    spools = [SpoolWriter(Path(name), "call#1", owner="somebody") for name in spool_dirs]
    client = RoarkClient(url, "key", "call#1")
    delivery = Delivery(client, label="call#1", spool=spools[0] if spools else None)
    delivery.begin(started.encode())
    delivery.add_audio(b"\\1\\1")
    await asyncio.sleep(0.5)
    retried = delivery.receipt.events.retried
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await asyncio.sleep(0.5)
    assert all(spool.healthy for spool in spools)
    await delivery.finish(ended.encode())
    print(retried > 0 or bool(spools), delivery.receipt.whole, delivery.receipt.lost)
asyncio.run(main(*sys.argv[1:]))
"""
    async with LocalRoark(tmp_path / "calls") as roark:
        ran = await asyncio.to_thread(
            subprocess.run,
            [
                *(sys.executable, "-c", script, roark.url, STARTED.decode(), ENDED.decode()),
                *([str(tmp_path / "spool")] if spooled else []),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.stdout == "True True ()\n", ran.stderr


@pytest.mark.parametrize(
    "error",
    [OSError(24, "Too many open files"), RuntimeError("can't start new thread"), ValueError()],
)
async def test_what_cannot_be_made_now_is_worth_a_retry(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads, files and memory become free again, so no configuration is blamed."""

    def fail(*_: object, **__: object) -> None:
        raise error

    for module, name in (
        (connections, "tls_context"),
        (client_module, "getproxies"),
        (client_module, "import_module"),
        (connections, "import_module"),
        (httpx, "AsyncHTTPTransport"),
        (asyncio, "to_thread"),
    ):
        client = RoarkClient(AWAY, KEY, "call#1")
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            failure = await failed(client.send_event(EVENT))
        assert failure.retryable
        assert not failure.misconfigured
        assert failure.cause.reason == "unavailable"
        assert "ConnectError" in str(await failed(client.send_event(EVENT)))
        await client.aclose()
