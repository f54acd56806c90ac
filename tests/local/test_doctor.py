"""What the doctor finds in stored calls, and that the library logs the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pipecat_roark import RoarkObserver
from pipecat_roark.cli import main
from pipecat_roark.local.checkup import check_up
from pipecat_roark.local.drawing import draw_call
from pipecat_roark.local.view import detail
from pipecat_roark.local.waveform import Waveforms
from support import pages
from support.calls import Call

if TYPE_CHECKING:
    from pipecat_roark.local import LocalRoark, StoredCall, ThreadedRoark

CALL = "call-1"


@pytest.fixture
def http(roark: ThreadedRoark) -> Any:
    """Send requests as a bot does."""
    with httpx.Client(base_url=roark.url) as http:
        yield http


def send(http: httpx.Client, pcm: bytes, key: str = "any", **ended: Any) -> None:
    """Send a call with this audio."""
    keys = {"x-roark-api-key": key, "authorization": f"Bearer {key}"}
    http.post(pages.EVENTS, json=pages.started(CALL), headers=keys).raise_for_status()
    for index, data in enumerate(pages.chunks(pcm)):
        pages.send_chunk(http, CALL, index, data)
    pages.send_event(http, pages.ended(CALL, **ended))


def found(call: StoredCall) -> list[str]:
    """Return the names of what is found."""
    return [finding.name for finding in check_up(call, Waveforms().read(call))]


def muted(side: int) -> bytes:
    """Return the recording with one side silent: 0 the user's, 1 the assistant's."""
    pcm = bytearray(pages.recording())
    for byte in (0, 1):
        pcm[2 * side + byte :: 4] = bytes(len(pcm) // 4)
    return bytes(pcm)


NO_AUDIO = {"recordingSampleRate", "recordingNumChannels"}


def test_a_call_that_is_well_has_no_findings(roark: ThreadedRoark, http: httpx.Client) -> None:
    """The call of these tests is in order, so each finding below comes of one change."""
    send(http, pages.recording())
    assert found(roark.call().stored) == []


@pytest.mark.parametrize(("side", "name"), [(0, "no-user-audio"), (1, "silent-assistant")])
def test_a_silent_side_is_found(
    roark: ThreadedRoark, http: httpx.Client, side: int, name: str
) -> None:
    """A track that was never recorded is told from one with silence in it."""
    send(http, muted(side))
    assert found(roark.call().stored) == [name]


def test_audio_elsewhere_than_the_markers_is_found(
    roark: ThreadedRoark, http: httpx.Client
) -> None:
    """A recording that lies 300 ms off its turns is found; one that lies 60 ms off is not."""
    late = bytes(4 * round(0.3 * pages.RATE)) + pages.recording()
    send(http, late[: len(pages.recording())])
    (finding,) = check_up(roark.call().stored, Waveforms().read(roark.call().stored))
    assert finding.name == "markers-off"
    assert "7 of 7 turns" in finding.sentence


def test_little_delay_is_no_finding(roark: ThreadedRoark, http: httpx.Client) -> None:
    """What a person can't hear is not told."""
    late = bytes(4 * round(0.06 * pages.RATE)) + pages.recording()
    send(http, late[: len(pages.recording())])
    assert found(roark.call().stored) == []


def test_a_late_start_is_found(roark: ThreadedRoark, http: httpx.Client) -> None:
    """Audio that is older than the pipeline waited in a socket."""
    send(http, pages.recording(), callStartedAt=pages.at(3))
    assert found(roark.call().stored) == ["late-start"]


def test_one_channel_tells_nothing_of_sides(roark: ThreadedRoark, http: httpx.Client) -> None:
    """A mono recording has no sides, and a call without a start has no late one."""
    send(http, bytes(8000), recordingNumChannels=1, callStartedAt=None)
    assert found(roark.call().stored) == []


def test_doctor_prints_what_is_wrong(
    roark: ThreadedRoark, http: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each finding; the status tells scripts whether there are any."""
    pages.send_event(http, pages.started(CALL))
    folder = roark.calls[CALL].folder
    assert main(["doctor", str(folder)]) == 1
    assert "has not ended" in capsys.readouterr().out
    without = {k: v for k, v in pages.ended(CALL).items() if k not in NO_AUDIO | {"transcript"}}
    del without["toolCalls"]
    pages.send_event(http, without)
    assert main(["doctor", CALL, "--folder", str(folder.parent)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["no-recording", "empty-transcript"]
    call = roark.calls[CALL]
    for line in lines:
        assert f"  ! {line.partition(': ')[2]}" in draw_call(call, 500).splitlines()
    assert detail(call, None, is_live=False)["findings"] == [
        line.partition(": ")[2] for line in lines
    ]


def test_doctor_says_that_nothing_is_wrong(
    roark: ThreadedRoark, http: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call in order is said to be so, and one that isn't there is named."""
    send(http, pages.recording())
    assert main(["doctor", str(roark.call().stored.folder)]) == 0
    assert "Nothing is wrong" in capsys.readouterr().out
    assert main(["doctor", "nobody"]) == 1


def test_an_odd_key_is_noted_and_not_kept(roark: ThreadedRoark, http: httpx.Client) -> None:
    """That the key has quotes is stored; the key isn't."""
    send(http, pages.recording(), key='"secret-7"')
    call = roark.call().stored
    assert found(call) == ["odd-key"]
    stored = (call.folder / "call.json").read_text() + (call.folder / "requests.jsonl").read_text()
    assert '"hasOddKey": true' in stored
    assert "secret-7" not in stored


@pytest.mark.live
async def test_the_library_logs_the_same(local: LocalRoark, warned: list[str]) -> None:
    """A recorder that is missing, and an odd key, are told in the same words by both."""
    roark = RoarkObserver(agent_id="front-desk", api_key="'key'")

    async def talk(call: Call) -> None:
        await call.user_says("Hello.", secs=0.3)
        await call.bot_says("Welcome.", secs=0.3)
        await call.end()

    await Call(observers=[roark], after_output=[]).hold(talk)
    call = await local.wait_for_end(roark.pipecat_call_id)
    told = [str(finding) for finding in check_up(call, Waveforms().read(call))]
    assert len(told) == 2
    assert warned == [f"WARNING Call {roark.pipecat_call_id}: {text}" for text in told]
