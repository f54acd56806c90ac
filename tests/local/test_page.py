"""The page's server: what it answers, to whom, and what it reads back from disk."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from pipecat_roark.local import LocalRoark, endpoints, feed, requestlog
from support import pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CALL = "SmallWebRTC#0"
NAME = quote(CALL, safe="")
PCM = pages.recording()
PARTS = [*pages.chunks(PCM)]


@asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[tuple[LocalRoark, Any]]:
    """Run a local Roark on a folder, with a client of it."""
    async with (
        LocalRoark(folder, **options) as roark,
        httpx.AsyncClient(base_url=roark.url) as http,
    ):
        yield roark, http


async def send(roark: LocalRoark, *parts: Any) -> None:
    """Send events and chunks of the call, in their order; chunks are given by their index."""

    def work() -> None:
        with httpx.Client(base_url=roark.url) as http:
            for part in parts:
                if isinstance(part, int):
                    pages.send_chunk(http, CALL, part, PARTS[part])
                else:
                    pages.send_event(http, part)

    await asyncio.to_thread(work)


async def send_whole(roark: LocalRoark) -> None:
    """Send the whole call."""
    await send(roark, pages.started(CALL), *range(len(PARTS)), pages.ended(CALL))


def of(name: str, what: str = "") -> str:
    """Return the path of something of a call, by the name of its folder."""
    return f"/api/calls/{quote(name, safe='')}{what}"


async def test_whole_call_is_described(tmp_path: Path) -> None:
    """The page gets turns, tool calls, response times, the verdict and the peaks."""
    async with running(tmp_path) as (roark, http):
        await send_whole(roark)
        call = (await http.get(of(NAME))).json()
    assert (call["id"], call["agent"], call["state"]) == (CALL, "City guide", "ended")
    turns = [entry for entry in call["entries"] if entry["kind"] == "turn"]
    assert [turn["content"] for turn in turns] == [words for *_, words in pages.TALK]
    assert [turn["response_ms"] for turn in turns] == [None, None, 1200, None, 800, None, 900]
    assert [turn["interrupted"] for turn in turns] == [False] * 4 + [True, False, False]
    assert call["replies"] == {"median": 900, "worst": 1200}
    (tool,) = (entry for entry in call["entries"] if entry["kind"] == "tool")
    assert (tool["name"], tool["duration_ms"], tool["start_ms"]) == ("get_weather", 300, 6700)
    assert json.loads(tool["results"][0]) == {"city": "London", "weather": "sunny"}
    audio = call["audio"]
    assert (audio["length_ms"], audio["rate"], audio["is_estimate"]) == (25_000, 24_000, False)
    assert len(call["verified"]) == 5
    assert call["problems"] == []


async def test_browsers_get_a_strict_policy(tmp_path: Path) -> None:
    """Nothing is loaded from elsewhere, no inline script runs, and each page has a new nonce."""
    async with running(tmp_path) as (_, http):
        answers = [await http.get("/") for _ in range(2)]
        policies = [answer.headers["content-security-policy"] for answer in answers]
        assert policies[0] != policies[1]
        assert "script-src 'self';" in policies[0]
        assert "unsafe" not in policies[0]
        nonce = policies[0].partition("'nonce-")[2].partition("'")[0]
        assert f'data-nonce="{nonce}"' in answers[0].text
        listed = await http.get("/api/calls")
    assert listed.headers["content-security-policy"].startswith("default-src 'none'")
    assert listed.headers["x-content-type-options"] == "nosniff"
    assert listed.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in listed.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:80", 200),
        ("localhost", 200),
        ("[::1]:8765", 200),
        ("192.168.1.7", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:8765", 403),
        ("[broken", 403),
        ("a:b:c", 403),
    ],
)
async def test_only_own_names_are_answered(tmp_path: Path, host: str, status: int) -> None:
    """A site that points a name of its own at this machine reads nothing."""
    async with running(tmp_path) as (_, http):
        for path in ("/", "/api/calls", "/api/calls/a", "/api/calls/a/audio", "/web/app.js"):
            answer = await http.get(path, headers={"host": host})
            if path in {"/", "/api/calls"} or status != 200:
                assert answer.status_code == status, path


async def test_web_pages_cannot_send_calls(tmp_path: Path) -> None:
    """A request that a browser sends for a site is refused, as no bot sends an origin."""
    async with running(tmp_path) as (roark, http):
        headers = {**pages.KEYS, "origin": "http://evil.example"}
        answer = await http.post(pages.EVENTS, json=pages.started(CALL), headers=headers)
        assert answer.status_code == 403
        assert roark.calls == {}
        assert roark.problems == ("POST /v1/integrations/pipecat: a web page sent it",)


async def test_no_path_leads_out(tmp_path: Path) -> None:
    """Neither a call's name nor a file's reads anything that is not the page's."""
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (tmp_path / "call.json").write_text("{}")
    async with running(tmp_path / "calls") as (roark, http):
        await send(roark, pages.started(CALL))
        for path in (
            *(f"/api/calls/%2e%2e{what}" for what in ("", "/audio", "/requests")),
            "/api/calls/%2e%2e%2fsecret.txt",
            *(of(name) for name in ("../secret.txt", "%2e%2e", "..\\secret.txt", "\0")),
            "/web/%2e%2e/page.py",
            "/web/..%2fpage.py",
            "/web//etc/passwd",
            "/web/vendor",
        ):
            answer = await http.get(path)
            assert answer.status_code == 404, path
            assert "secret" not in answer.text


async def test_every_file_of_the_page_has_its_type(tmp_path: Path) -> None:
    """Browsers run a script only if it is called one."""
    async with running(tmp_path) as (_, http):
        for path, kind in [
            ("app.js", "text/javascript"),
            ("app.css", "text/css"),
            ("icon.svg", "image/svg+xml"),
            ("vendor/htm.LICENSE.txt", "text/plain"),
        ]:
            answer = await http.get(f"/web/{path}")
            assert answer.headers["content-type"] == f"{kind}; charset=utf-8"


async def test_recording_is_read_in_parts(tmp_path: Path) -> None:
    """A browser can jump to any place of a recording."""
    async with running(tmp_path) as (roark, http):
        await send_whole(roark)
        answer = await http.get(of(NAME, "/audio"), headers={"range": "bytes=44-47"})
        assert (answer.status_code, answer.content) == (206, PCM[:4])
        assert answer.headers["content-range"] == f"bytes 44-47/{44 + len(PCM)}"
        assert answer.headers["content-type"] == "audio/wav"


async def test_running_call_can_be_heard(tmp_path: Path) -> None:
    """While a call runs, the chunks that have come are a WAV file that can be read in parts."""
    async with running(tmp_path) as (roark, http):
        await send(roark, pages.started(CALL))
        assert (await http.get(of(NAME, "/audio"))).status_code == 404
        assert (await http.get(of(NAME))).json()["audio"] is None
        await send(roark, 0, 1, 3)  # what comes after a gap has no place yet
        call = (await http.get(of(NAME))).json()
        assert (call["state"], call["audio"]["chunks"]) == ("live", 2)
        assert call["audio"]["is_estimate"]
        whole = PCM[: 2 * pages.CHUNK_BYTES]
        got = await http.get(of(NAME, "/audio?chunks=2"))
        with wave.open(io.BytesIO(got.content)) as wav:
            assert wav.getparams()[:4] == (2, 2, 24_000, len(whole) // 4)
            assert wav.readframes(wav.getnframes()) == whole
        file = got.content
        assert (await http.get(of(NAME, "/audio"))).content == file
        assert len((await http.get(of(NAME, "/audio?chunks=1"))).content) == 44 + 256 * 1024
        for asked, (start, stop) in {
            "bytes=0-99": (0, 100),
            "bytes=40-": (40, len(file)),
            f"bytes={44 + 256 * 1024 - 2}-{44 + 256 * 1024 + 1}": (262_186, 262_190),
            "bytes=-10": (len(file) - 10, len(file)),
        }.items():
            part = await http.get(of(NAME, "/audio"), headers={"range": asked})
            assert (part.status_code, part.content) == (206, file[start:stop])
            assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(file)}"
        for asked in (f"bytes={len(file)}-", "bytes=9-1", "lines=1-2"):
            part = await http.get(of(NAME, "/audio"), headers={"range": asked})
            assert part.status_code == 416


async def test_unknown_call_is_missing(tmp_path: Path) -> None:
    """What is not there is answered so, and is no problem of a bot."""
    async with running(tmp_path) as (roark, http):
        for what in ("", "/audio", "/requests"):
            assert (await http.get(of("nobody", what))).status_code == 404
        assert roark.problems == ()


async def news(lines: AsyncIterator[str]) -> list[str]:
    """Return the names of the calls that the next news is of."""
    async for line in lines:
        if line.startswith("data: "):
            names: list[str] = json.loads(line.removeprefix("data: "))
            return names
    raise AssertionError("the connection was closed")


async def test_pages_are_told_what_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each open page gets the names of the calls that changed, and signs of life meanwhile."""
    monkeypatch.setattr(feed, "BEAT_S", 0.01)
    monkeypatch.setattr(feed, "MOST_PAGES", 2)
    async with running(tmp_path) as (roark, http):
        async with http.stream("GET", "/api/news") as one, http.stream("GET", "/api/news") as two:
            assert one.headers["content-type"] == "text/event-stream"
            assert (await http.get("/api/news")).status_code == 503
            lines = one.aiter_lines(), two.aiter_lines()
            for each in lines:
                assert await anext(each) == ": connected"
                assert [await anext(each) for _ in range(2)] == ["", ": still here"]
            await send(roark, pages.started(CALL))
            assert [await news(each) for each in lines] == [[NAME], [NAME]]
        while await refused(http):
            pass  # until the server has seen that the others are closed
        async with http.stream("GET", "/api/news") as again:
            rest = again.aiter_lines()
            assert await anext(rest) == ": connected"
            await roark.stop()  # ends at once, though a page is open
            assert "" in [line async for line in rest]


async def refused(http: httpx.AsyncClient) -> bool:
    """Return whether no other page can be opened."""
    async with http.stream("GET", "/api/news") as answer:
        return answer.status_code != 200


async def test_requests_are_kept_without_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request of a call is a line with its body; a refused one is cut, and none has a key."""
    monkeypatch.setattr(requestlog, "MOST_REQUESTS", 5)
    async with running(tmp_path, api_key="key-7") as (roark, http):
        keys = {"x-roark-api-key": "key-7", "authorization": "Bearer key-7"}
        for body in (
            pages.started(CALL),
            {**pages.started(CALL), "agentPrompt": ["x" * 5000]},
        ):
            await http.post(pages.EVENTS, json=body, headers=keys)
        wanted = {"pipecatCallId": CALL, "chunkIndex": 0, "contentType": "audio/pcm"}
        url = (
            await http.post(f"{pages.EVENTS}/chunk-upload-url", json=wanted, headers=keys)
        ).json()
        await http.put(
            url["data"]["uploadUrl"], content=PCM[:8], headers={"content-type": "audio/pcm"}
        )
        await http.post(pages.EVENTS, json=pages.started(CALL), headers=pages.KEYS)
        await http.post(pages.EVENTS, json=pages.ended(CALL), headers=keys)
        text = (await http.get(of(NAME, "/requests"))).text
    rows = [json.loads(line) for line in text.splitlines()]
    assert [(row["method"], row["path"], row["status"]) for row in rows] == [
        ("POST", pages.EVENTS, 200),
        ("POST", pages.EVENTS, 422),
        ("POST", f"{pages.EVENTS}/chunk-upload-url", 200),
        ("PUT", "/upload", 200),
        ("POST", pages.EVENTS, 401),
    ]
    assert json.loads(rows[0]["body"]) == pages.started(CALL)
    assert len(rows[1]["body"]) == 2000
    assert (rows[3]["size"], rows[3]["body"]) == (8, None)
    assert "key-7" not in text
    assert roark.calls[CALL].ended is not None


async def test_calls_of_earlier_runs_are_there(tmp_path: Path) -> None:
    """A new server on the same folder shows the same call, and what it can't read is left out."""
    async with running(tmp_path) as (roark, http):
        await send_whole(roark)
        first = (await http.get(of(NAME))).json()
    for name, text in [("a", "{"), ("b", "[]"), ("c", '{"pipecatCallId": "c"}')]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "call.json").write_text(text)
    (tmp_path / "file").touch()
    async with running(tmp_path) as (roark, http):
        assert roark.calls == {}
        for _ in range(2):
            (row,) = (await http.get("/api/calls")).json()
            assert (row["id"], row["state"], row["length_ms"]) == (CALL, "ended", 25_000)
        assert (await http.get(of(NAME))).json() == first
        assert (await http.get(of("a"))).status_code == 404
        known = tmp_path / NAME / "call.json"
        edited = json.loads(known.read_text())
        edited["started"]["agentName"] = "Renamed"
        edited["ended"]["mood"] = "good"  # breaks the contract, so it is left out
        known.write_text(json.dumps(edited))
        (row,) = (await http.get("/api/calls")).json()
        assert (row["agent"], row["state"]) == ("Renamed", "open")


async def test_call_that_is_removed_meanwhile_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that somebody removes while the list is made is no error."""
    monkeypatch.setattr("pipecat_roark.local.shelf.stored_folders", lambda _: [tmp_path / "gone"])
    async with running(tmp_path) as (_, http):
        assert (await http.get("/api/calls")).json() == []


async def test_peaks_are_made_again_from_the_recording(tmp_path: Path) -> None:
    """A folder without peaks, as earlier releases wrote it, is drawn the same way."""
    async with running(tmp_path) as (roark, http):
        await send_whole(roark)
        first = (await http.get(of(NAME))).json()["audio"]
    (tmp_path / NAME / "peaks.u8").unlink()
    async with running(tmp_path) as (_, http):
        assert (await http.get(of(NAME))).json()["audio"] == first
        (tmp_path / NAME / "peaks.u8").unlink()
        (tmp_path / NAME / "recording.wav").write_bytes(b"RIFF")
        call = (await http.get(of(NAME))).json()
        assert (call["audio"], call["turns"]) == (None, 7)


async def send_bad_event(roark: LocalRoark) -> None:
    """Send an event of the call that breaks the contract."""
    async with httpx.AsyncClient(base_url=roark.url, headers=pages.KEYS) as http:
        refused = await http.post(pages.EVENTS, json=pages.started(CALL, mood="good"))
        assert refused.status_code == 422


async def test_call_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A call that had not ended is continued by the next server on the folder."""
    async with running(tmp_path) as (roark, _):
        await send(roark, pages.started(CALL), 0, 1)
        await send_bad_event(roark)
    log = tmp_path / NAME / "requests.jsonl"
    log.write_text(f'{log.read_text()}{{"status": 200}}\n{{"cut')
    async with running(tmp_path) as (roark, http):
        assert [row["state"] for row in (await http.get("/api/calls")).json()] == ["open"]
        await send(roark, pages.started(CALL), 1, *range(2, len(PARTS)), pages.ended(CALL))
        call = await roark.wait_for_end(CALL)
    assert call.problems == ("call-started: 'mood': unknown field",)
    assert call.recording is not None
    assert call.recording.read_bytes()[44:] == PCM


@pytest.mark.parametrize("had_ended", [True, False])
async def test_call_that_begins_anew_is_replaced(tmp_path: Path, *, had_ended: bool) -> None:
    """A bot that uses the same id in its next run gets a new call, without the old audio."""
    async with running(tmp_path) as (roark, _):
        if had_ended:
            await send_whole(roark)
        else:
            await send(roark, pages.started(CALL), 0, 1, 2)
    (tmp_path / NAME / "notes.txt").write_text("mine")
    async with running(tmp_path) as (roark, _):
        await send(roark, pages.started(CALL, agentName="New"), 0)
        assert roark.calls[CALL].problems == ()
        assert roark.calls[CALL].ended is None
        assert [path.name for path in (tmp_path / NAME / "chunks").iterdir()] == ["000000.pcm"]
        assert not (tmp_path / NAME / "recording.wav").exists()
        assert (tmp_path / NAME / "notes.txt").read_text() == "mine"


async def test_end_that_is_sent_again_after_a_restart_changes_nothing(tmp_path: Path) -> None:
    """A bot that missed the answer sends the same again; the whole call stays as it was."""
    async with running(tmp_path) as (roark, _):
        await send_whole(roark)
    before = (tmp_path / NAME / "call.json").read_bytes()
    async with running(tmp_path) as (roark, _):
        await send(roark, pages.ended(CALL))
        call = await roark.wait_for_end(CALL)
    assert call.complete
    assert (tmp_path / NAME / "call.json").read_bytes() == before
    assert call.recording is not None
    assert call.recording.read_bytes()[44:] == PCM


async def test_log_that_is_lost_is_no_error(tmp_path: Path) -> None:
    """Without its log, a call goes on, and its start counts as new."""
    async with running(tmp_path) as (roark, _):
        await send(roark, pages.started(CALL))
    (tmp_path / NAME / "requests.jsonl").unlink()
    async with running(tmp_path) as (roark, http):
        assert (await http.get(of(NAME, "/requests"))).status_code == 404
        await send(roark, pages.started(CALL), pages.ended(CALL, toolCalls=[*pages.tool_records()]))
        assert roark.calls[CALL].ended is not None


async def test_what_a_bot_can_fill_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Problems and open upload URLs are kept up to a limit."""
    monkeypatch.setattr("pipecat_roark.local.register.MOST_PROBLEMS", 3)
    monkeypatch.setattr(endpoints, "MOST_UPLOADS", 2)
    async with running(tmp_path) as (roark, http):
        for _ in range(5):
            await http.post(
                pages.EVENTS, json={**pages.started(CALL), "mood": 1}, headers=pages.KEYS
            )
            await http.post(pages.EVENTS, json={}, headers=pages.KEYS)
        assert (len(roark.calls[CALL].problems), len(roark.problems)) == (3, 3)
        wanted = {"pipecatCallId": CALL, "chunkIndex": 0, "contentType": "audio/pcm"}
        path = f"{pages.EVENTS}/chunk-upload-url"
        urls = [
            (await http.post(path, json=wanted, headers=pages.KEYS)).json()["data"]["uploadUrl"]
            for _ in range(3)
        ]
        kind = {"content-type": "audio/pcm"}
        answers = [await http.put(url, content=PCM[:8], headers=kind) for url in urls]
        assert [answer.status_code for answer in answers] == [404, 200, 200]


async def test_address_for_everybody_is_warned_of(tmp_path: Path, warned: list[str]) -> None:
    """A server that others can reach says so in the log."""
    async with running(tmp_path, host="0.0.0.0") as (roark, _):  # noqa: S104 - it is the case
        (warning,) = warned
        assert f"everybody who can reach {roark.url} can read the calls" in warning


async def test_many_bots_and_pages_at_once(tmp_path: Path) -> None:
    """Calls that come together stay apart, while pages read them."""

    def work(url: str, call_id: str) -> None:
        with httpx.Client(base_url=url) as http:
            pages.send_call(http, call_id)

    async with running(tmp_path) as (roark, http):
        ids = [f"call-{number}" for number in range(4)]
        calls = [asyncio.to_thread(work, roark.url, call_id) for call_id in ids]
        reads = [http.get(path) for path in ["/api/calls", *map(of, ids)] * 5]
        await asyncio.gather(*calls, *reads)
        assert all(roark.calls[call_id].complete for call_id in ids)
        (first, *others) = [(await http.get(of(call_id))).json()["audio"] for call_id in ids]
        assert all(other == first for other in others)


def test_silence_has_no_peaks() -> None:
    """The calls of these tests have silence and speech, or they would show nothing."""
    samples = np.frombuffer(PCM, "<i2").reshape(-1, 2)
    assert not samples[: round(0.5 * pages.RATE)].any()
    assert np.abs(samples.astype(int)).max(axis=0).min() > 8000
