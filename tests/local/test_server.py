"""The local Roark over HTTP: what it answers, what it stores and what it reports."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
import wave
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_roark.local import LocalRoark, contract, endpoints
from pipecat_roark.local.schema import text
from pipecat_roark.local.store import folder_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipecat_roark.local import StoredCall

KEY = "rk-secret"
KEYS = {"x-roark-api-key": KEY, "authorization": f"Bearer {KEY}"}
CALL = "SmallWebRTC#0"
EVENTS = "/v1/integrations/pipecat"
UPLOADS = "/v1/integrations/pipecat/chunk-upload-url"
NOON = "2026-03-01T12:00:00Z"
PCM = b"\1\0\2\0" * 800  # 100 ms at 8 kHz in stereo


def started(call_id: str = CALL, **fields: object) -> dict[str, Any]:
    """Return a call-started."""
    event = {"event": "call-started", "pipecatCallId": call_id, "eventTimestamp": NOON}
    return {**event, "agentId": "front-desk", **fields}


def ended(call_id: str = CALL, **fields: object) -> dict[str, Any]:
    """Return a call-ended without a recording."""
    event = {"event": "call-ended", "pipecatCallId": call_id, "eventTimestamp": NOON}
    times = {"callStartedAt": NOON, "callEndedAt": NOON, "callEndedReason": "agent-ended"}
    return {**event, **times, **fields}


def ended_with_recording(call_id: str = CALL, **fields: object) -> dict[str, Any]:
    """Return a call-ended with a recording and a turn in it."""
    turn = {"role": "user", "content": "Private words", "timestamp": NOON, "endTimestamp": NOON}
    return (
        ended(
            call_id,
            agentSpokeFirst=False,
            recordingSampleRate=8000,
            recordingNumChannels=2,
            transcript=[{**turn, "audioOffsetMs": 0, "endAudioOffsetMs": 100}],
        )
        | fields
    )


class Sender:
    """A client that sends single requests."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        """Send through `http`, whose base URL is the server's."""
        self.http = http

    async def event(self, body: object, **headers: str) -> httpx.Response:
        """Send a lifecycle event."""
        return await self.http.post(EVENTS, json=body, headers={**KEYS, **headers})

    async def upload_url(self, index: int, call_id: str = CALL) -> str:
        """Ask for a chunk's upload URL."""
        body = {"pipecatCallId": call_id, "chunkIndex": index, "contentType": "audio/pcm"}
        answer = await self.http.post(UPLOADS, json=body, headers=KEYS)
        return str(answer.json()["data"]["uploadUrl"])

    async def put(self, url: str, data: bytes = PCM, **headers: str) -> httpx.Response:
        """Upload a chunk's audio."""
        sent = {"content-type": "audio/pcm", **headers}
        return await self.http.put(url, content=data, headers=sent)

    async def chunk(self, index: int, data: bytes = PCM, call_id: str = CALL) -> httpx.Response:
        """Ask for an upload URL, and upload a chunk to it."""
        return await self.put(await self.upload_url(index, call_id), data)


@pytest.fixture
async def roark(tmp_path: Path) -> AsyncIterator[LocalRoark]:
    """Run a local Roark."""
    async with LocalRoark(tmp_path / "calls") as roark:
        yield roark


@pytest.fixture
async def sender(roark: LocalRoark) -> AsyncIterator[Sender]:
    """Return a client of the local Roark."""
    async with httpx.AsyncClient(base_url=roark.url) as http:
        yield Sender(http)


def call_json(call: StoredCall) -> Any:
    """Read a call's call.json."""
    return json.loads((call.folder / "call.json").read_text())


def names(folder: Path) -> list[str]:
    """List what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def test_stores_a_whole_call(roark: LocalRoark, sender: Sender, tmp_path: Path) -> None:
    """A start, chunks out of order and an end become plain files and a verdict."""
    assert (await sender.event(started())).status_code == 200
    call = roark.calls[CALL]
    assert (call.started, call.ended, call.complete) == (started(), None, False)
    for index in (1, 0, 2):
        assert (await sender.chunk(index, PCM[index * 4 :])).status_code == 200
    assert (await sender.event(ended_with_recording())).status_code == 200

    assert await roark.wait_for_end(CALL) is call
    assert call.complete
    assert call.folder == tmp_path / "calls" / "SmallWebRTC%230"
    assert call.chunks[1].read_bytes() == PCM[4:]
    assert call.chunks[1] == call.folder / "chunks" / "000001.pcm"
    assert call.recording == call.folder / "recording.wav"
    with wave.open(str(call.recording)) as wav:
        assert wav.getparams()[:4] == (2, 2, 8000, 2397)
        assert wav.readframes(2397) == PCM + PCM[4:] + PCM[8:]
    assert call.verified == (
        "call-started came first",
        "3 chunks, none missing",
        "recording 0.30 s, 8000 Hz, 2 channels",
        "1 turn in order, every edge inside the recording",
    )
    assert call_json(call) == {
        "pipecatCallId": CALL,
        "started": started(),
        "ended": ended_with_recording(),
        "problems": [],
        "verified": list(call.verified),
    }
    files = ["call.json", "chunks", "peaks.u8", "recording.wav", "requests.jsonl"]
    assert names(call.folder) == files
    assert roark.problems == ()


async def test_gives_out_a_ticket_as_roark_does(sender: Sender) -> None:
    """The answer is wrapped in `data`, and its URL has the host of the request."""
    body = {"pipecatCallId": CALL, "chunkIndex": 7, "contentType": "audio/pcm"}
    headers = {**KEYS, "host": "roark.test:8765"}
    ticket = (await sender.http.post(UPLOADS, json=body, headers=headers)).json()["data"]
    assert ticket.pop("uploadUrl").startswith("http://roark.test:8765/upload/")
    assert ticket == {
        "s3Key": "SmallWebRTC%230/7",
        "chunkIndex": 7,
        "expiresInSeconds": 60,
        "method": "PUT",
        "contentType": "audio/pcm",
    }


async def test_refuses_and_reports_a_malformed_event(
    roark: LocalRoark, sender: Sender, log: list[str]
) -> None:
    """A violation is answered, added to the call, written to its file and logged."""
    answer = await sender.event(started(mood="good"))
    assert answer.status_code == 422
    assert answer.json() == {"error": "call-started: 'mood': unknown field"}
    call = roark.calls[CALL]
    assert call.problems == ("call-started: 'mood': unknown field",)
    assert call.started is None
    assert call_json(call)["problems"] == ["call-started: 'mood': unknown field"]
    assert log == ["WARNING Local Roark, call 'SmallWebRTC#0': call-started: 'mood': unknown field"]
    assert (await sender.event(started())).status_code == 200
    assert (await sender.event(ended())).status_code == 200
    assert not (await roark.wait_for_end(CALL)).complete


async def test_reports_what_belongs_to_no_call(
    roark: LocalRoark, sender: Sender, log: list[str]
) -> None:
    """Requests without a usable call id, or to no endpoint, are reported by the server."""
    answers = [
        await sender.event(started(" ")),
        await sender.event([]),
        await sender.http.post(UPLOADS, content=b"{", headers={**KEYS}),
        await sender.put("/upload/unknown"),
        await sender.http.get("/v1/calls?key=hidden"),
        await sender.http.get(EVENTS),
    ]
    assert [answer.status_code for answer in answers] == [422, 400, 415, 404, 404, 405]
    assert [answer.json()["error"] for answer in answers] == list(roark.problems)
    assert roark.problems == (
        "call-started: pipecatCallId: not a non-empty string",
        "event: the body is not a JSON object",
        "chunk-upload-url: content-type: not application/json",
        "upload: no such upload URL",
        "GET /v1/calls: Not Found",
        "GET /v1/integrations/pipecat: Method Not Allowed",
    )
    assert log == [f"WARNING Local Roark: {problem}" for problem in roark.problems]
    assert roark.calls == {}


async def test_accepts_only_its_own_key(tmp_path: Path) -> None:
    """A server that was given a key refuses any other."""
    async with (
        LocalRoark(tmp_path, api_key="rk-mine") as roark,
        httpx.AsyncClient(base_url=roark.url) as http,
    ):
        mine = {"x-roark-api-key": "rk-mine", "authorization": "Bearer rk-mine"}
        refused = await Sender(http).event(started())
        assert refused.status_code == 401
        assert (await Sender(http).event(started(), **mine)).status_code == 200
        (problem,) = roark.calls[CALL].problems
        assert problem == "call-started: x-roark-api-key: not the key of this server"


@pytest.mark.parametrize(
    ("data", "headers", "refusal"),
    [
        (PCM, {"content-type": "audio/wav"}, "415 chunk 0: content-type: not audio/pcm"),
        (PCM, {"x-roark-api-key": KEY}, "400 chunk 0: x-roark-api-key: not a signed header"),
        (PCM[1:], {}, "422 chunk 0: an odd number of bytes, half a sample is missing"),
        (b"", {}, "422 chunk 0: no audio in it"),
    ],
)
async def test_refuses_a_malformed_chunk(
    roark: LocalRoark, sender: Sender, data: bytes, headers: dict[str, str], refusal: str
) -> None:
    """A chunk that an object store or Roark could not use is refused and not stored."""
    answer = await sender.put(await sender.upload_url(0), data, **headers)
    problem = answer.json()["error"]
    assert f"{answer.status_code} {problem}" == refusal
    assert roark.calls[CALL].problems == (problem,)
    assert roark.calls[CALL].chunks == {}


async def test_refuses_a_malformed_upload_request(roark: LocalRoark, sender: Sender) -> None:
    """The server gives out no URL for an impossible chunk."""
    body = {"pipecatCallId": CALL, "chunkIndex": -1, "contentType": "audio/pcm"}
    answer = await sender.http.post(UPLOADS, json=body, headers=KEYS)
    assert answer.status_code == 422
    assert roark.calls[CALL].problems == (
        "chunk-upload-url: chunkIndex: not an integer from 0 to 999999",
    )


async def test_an_upload_url_is_good_for_one_try(roark: LocalRoark, sender: Sender) -> None:
    """After a first try, failed or not, the URL is refused; a fresh one works."""
    url = await sender.upload_url(0)
    assert (await sender.put(url, PCM[1:])).status_code == 422
    again = await sender.put(url)
    assert (again.status_code, again.json()) == (
        403,
        {"error": "chunk 0: an upload URL was used again"},
    )
    assert (await sender.chunk(0)).status_code == 200
    assert roark.calls[CALL].chunks[0].read_bytes() == PCM


async def test_an_upload_url_expires(
    roark: LocalRoark, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload URL that has expired answers 403, as a presigned one does."""
    monkeypatch.setattr(endpoints, "UPLOAD_URL_LIFE_S", 0)
    assert (await sender.chunk(0)).status_code == 403
    assert roark.calls[CALL].problems == ("chunk 0: its upload URL had expired",)


async def test_an_identical_resend_changes_nothing(roark: LocalRoark, sender: Sender) -> None:
    """A request that is sent again because its answer was lost is no problem."""
    for body in (started(), started()):
        await sender.event(body)
    for _ in range(2):
        assert (await sender.chunk(0)).status_code == 200
    for body in (ended_with_recording(), ended_with_recording()):
        assert (await sender.event(body)).status_code == 200
    assert (await roark.wait_for_end(CALL)).complete


async def test_a_different_resend_is_reported_and_the_first_kept(
    roark: LocalRoark, sender: Sender
) -> None:
    """The same event or chunk with other bytes is accepted, reported and not stored."""
    answers = [
        await sender.event(started()),
        await sender.event(started(agentName="Other")),
        await sender.chunk(0),
        await sender.chunk(0, PCM[::-1]),
        await sender.event(ended_with_recording()),
        await sender.event(ended()),
    ]
    assert {answer.status_code for answer in answers} == {200}
    call = await roark.wait_for_end(CALL)
    assert (call.started, call.ended) == (started(), ended_with_recording())
    assert call.chunks[0].read_bytes() == PCM
    assert call.problems == (
        "call-started: came again with different bytes",
        "chunk 0: came again with different bytes",
        "call-ended: came again with different bytes",
    )


async def test_a_wrong_order_is_accepted_and_reported(roark: LocalRoark, sender: Sender) -> None:
    """A call with gaps is joined from the chunks that came, as Roark does it."""
    url = await sender.upload_url(2)
    await sender.chunk(0)
    answers = [
        await sender.event(ended_with_recording()),
        await sender.event(started()),
        await sender.put(url, PCM[:400]),
    ]
    assert {answer.status_code for answer in answers} == {200}
    call = await roark.wait_for_end(CALL)
    assert call.problems == (
        "call-ended: no call-started came before it",
        "2 of 3 chunks missing: 1, 2",
        "call-started: came after call-ended",
        "chunk 2: came after call-ended",
    )
    assert call_json(call)["problems"] == list(call.problems)
    assert call.chunks[2].read_bytes() == PCM[:400]
    assert call.recording is not None
    with wave.open(str(call.recording)) as wav:
        assert wav.getnframes() == 800


@pytest.mark.parametrize("call_id", ["..", ".", "../../etc", "a/b", "ünï ☎", "\ud800", "x" * 999])
async def test_any_call_id_stays_in_its_folder(
    roark: LocalRoark, sender: Sender, tmp_path: Path, call_id: str
) -> None:
    """No id leads out of the folder of the calls."""
    raw = json.dumps(started(call_id)).encode()
    headers = {**KEYS, "content-type": "application/json"}
    answer = await sender.http.post(EVENTS, content=raw, headers=headers)
    assert answer.status_code == 200
    assert roark.calls[call_id].folder.parent == tmp_path / "calls"
    assert call_json(roark.calls[call_id])["pipecatCallId"] == call_id
    assert names(tmp_path) == ["calls"]


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_each_id_has_a_file_name_of_its_own(one: str, other: str) -> None:
    """File names are portable, never special, and different for different ids."""
    name = folder_name(one)
    assert name.isascii()
    assert "/" not in name
    assert not name.startswith(".")
    assert 0 < len(name) <= 200
    assert (name == folder_name(other)) == (one == other)


async def test_a_wait_that_fails_lists_the_problems(roark: LocalRoark, sender: Sender) -> None:
    """A wait that fails lists the problems so far."""
    with pytest.raises(TimeoutError, match=r"'SmallWebRTC#0' .* 0\.01 s; problems: none"):
        await roark.wait_for_end(CALL, timeout=0.01)
    await sender.event(ended(callEndedReason=""))
    await sender.event({})
    with pytest.raises(TimeoutError, match=r"callEndedReason: .*string; event: event: not one"):
        await roark.wait_for_end(CALL, timeout=0.01)


async def test_waiting_may_begin_before_the_call(roark: LocalRoark, sender: Sender) -> None:
    """A wait may begin before the call has started."""
    waiting = asyncio.ensure_future(roark.wait_for_end(CALL))
    await sender.event(started())
    assert not waiting.done()
    await sender.event(ended())
    assert (await waiting).complete


async def test_calls_at_the_same_time_stay_apart(roark: LocalRoark, sender: Sender) -> None:
    """Twenty calls at once, each end sent twice at once, are twenty whole calls."""

    async def call(call_id: str) -> StoredCall:
        await sender.event(started(call_id))
        chunks = (sender.chunk(i, PCM, call_id) for i in range(3))
        answers = await asyncio.gather(*chunks)
        ends = (sender.event(ended_with_recording(call_id)) for _ in range(2))
        answers += await asyncio.gather(*ends)
        assert {answer.status_code for answer in answers} == {200}
        return await roark.wait_for_end(call_id)

    calls = await asyncio.gather(*(call(f"call-{i}") for i in range(20)))
    assert all(call.complete for call in calls), [call.problems for call in calls]
    assert len(roark.calls) == 20


async def test_calls_the_listener_once_for_each_event(tmp_path: Path) -> None:
    """The listener is called when the call has been stored with the event."""
    called: list[tuple[str, bool]] = []

    def listen(event: str, call: StoredCall) -> None:
        called.append((event, call_json(call)["ended"] is not None))

    async with (
        LocalRoark(tmp_path, on_event=listen) as roark,
        httpx.AsyncClient(base_url=roark.url) as http,
    ):
        for body in (started(), started(), ended(), ended()):
            await Sender(http).event(body)
    assert called == [("call-started", False), ("call-ended", True)]


async def test_a_new_event_is_one_line_in_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that the contract's table names is checked, stored and passed on as the others."""
    monkeypatch.setitem(contract.EVENTS, "call-noted", contract.lifecycle_event({"note": text}))
    noted = {**started(), "event": "call-noted", "note": "Private note"}
    del noted["agentId"]
    kinds: list[str] = []
    async with (
        LocalRoark(tmp_path, on_event=lambda kind, _: kinds.append(kind)) as roark,
        httpx.AsyncClient(base_url=roark.url) as http,
    ):
        sender = Sender(http)
        for body in (started(), noted, noted, ended()):
            assert (await sender.event(body)).status_code == 200
        call = await roark.wait_for_end(CALL)
        assert call.complete
        assert (call.started, call.ended) == (started(), ended())
        assert call.events["call-noted"] == call_json(call)["call-noted"] == noted
        assert kinds == ["call-started", "call-noted", "call-ended"]
        refused = await sender.event({**noted, "note": 5})
        assert refused.json() == {"error": "call-noted: note: not a string"}


async def test_the_example_of_the_docstring_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test that the documentation shows passes for a bot that says what it expects."""
    example = (LocalRoark.__doc__ or "").partition("observer:\n")[2]

    async def hold_a_call() -> SimpleNamespace:
        """Deliver a call to the address in the environment."""
        turn = {"role": "assistant", "content": "Welcome.", "timestamp": NOON, "endTimestamp": NOON}
        async with httpx.AsyncClient(base_url=os.environ["ROARK_BASE_URL"]) as http:
            await Sender(http).event(started())
            await Sender(http).event(ended(agentSpokeFirst=True, transcript=[turn]))
        return SimpleNamespace(pipecat_call_id=CALL)

    names: dict[str, Any] = {"LocalRoark": LocalRoark, "hold_a_call": hold_a_call}
    exec(textwrap.dedent(example), names)  # noqa: S102  # our own docstring
    await names["test_bot_greets"](tmp_path, monkeypatch)


async def test_what_was_said_stays_private(
    roark: LocalRoark, sender: Sender, log: list[str]
) -> None:
    """No log line, error or `repr` contains words, arguments or a key."""
    tool = {"kind": "tool_call", "toolCallId": "t", "name": "n", "timestamp": "Private"}
    answers = [
        await sender.event(started(agentPrompt="Private prompt")),
        await sender.event(
            ended_with_recording(toolCalls=[{**tool, "arguments": "Private arguments"}])
        ),
        await sender.event(ended_with_recording(callEndedReason=["Private"])),
        await sender.event(started(), authorization=KEY),
        await sender.event(ended_with_recording()),
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 422, 401, 200]
    call = await roark.wait_for_end(CALL)
    assert len(log) == len(call.problems) > 3
    seen = "".join([*log, *call.problems, repr(call), *(answer.text for answer in answers)])
    assert "Private" not in seen
    assert KEY not in seen
