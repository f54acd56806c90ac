"""WebRTC calls with a bot of Pipecat's development runner, by a browser and by aiortc at once."""

from __future__ import annotations

import asyncio
import sys
import wave
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

if sys.version_info < (3, 11):
    pytest.skip("the runner is that of Pipecat 1.14: Python 3.11", allow_module_level=True)

from playwright.async_api import async_playwright

from offline.caller import Caller, Line
from support.places import check_places
from support.programs import dial, free_port, serving
from support.telephone import SPEECH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Page

    from pipecat_roark.local import LocalRoark

pytestmark = [pytest.mark.live, pytest.mark.process]

QUESTION = SPEECH / "weather.wav"
SILENT_SECS = 1.5
"""When the browser's caller begins to speak, after the microphone was opened."""
PATIENCE_SECS = 60
PAGE = """
<script>
window.call = async () => {
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: plain });
  const peer = window.peer = new RTCPeerConnection();
  for (const track of microphone.getTracks()) peer.addTrack(track, microphone);
  peer.createDataChannel("messages");
  peer.ontrack = ({ streams: [voice] }) => {
    const loudspeaker = window.loudspeaker = new Audio();
    loudspeaker.srcObject = voice;
    loudspeaker.play();
  };
  await peer.setLocalDescription(await peer.createOffer());
  await new Promise((done) => {
    if (peer.iceGatheringState === "complete") done();
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done();
  });
  const { sdp, type } = peer.localDescription;
  const answer = await fetch("/api/offer", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ sdp, type }),
  });
  await peer.setRemoteDescription(await answer.json());
};
window.hear = async () => {
  for (let energy = 0; energy < 0.001; ) {
    await new Promise((done) => setTimeout(done, 100));
    for (const stats of (await window.peer.getStats()).values()) {
      if (stats.type === "inbound-rtp") energy = stats.totalAudioEnergy ?? 0;
    }
  }
};
</script>
"""


@asynccontextmanager
async def browser(chromium: str, microphone: Path) -> AsyncIterator[Page]:
    """Open a page in the Chromium of the system, whose microphone plays a file once."""
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--allow-loopback-in-peer-connection",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ]
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=flags)
        page = await running.new_page()
        page.set_default_timeout(1000 * PATIENCE_SECS)
        yield page
        await running.close()


def spoken_file(folder: Path) -> Path:
    """Return a file with a silence, the question, and a silence."""
    with wave.open(str(QUESTION)) as wav:
        speech, rate = np.frombuffer(wav.readframes(wav.getnframes()), "<i2"), wav.getframerate()
    silence = np.zeros(round(SILENT_SECS * rate), "<i2")
    with wave.open(str(folder / "microphone.wav"), "wb") as wav:
        wav.setparams((1, 2, rate, 0, "NONE", ""))
        wav.writeframes(np.concatenate([silence, speech, silence, silence]).tobytes())
    return folder / "microphone.wav"


async def call_by_browser(port: int, chromium: str, folder: Path) -> None:
    """Hold a call in which a browser hears the answer, and hang up."""
    async with browser(chromium, spoken_file(folder)) as page:
        await page.route(
            "**/page", lambda route: route.fulfill(body=PAGE, content_type="text/html")
        )
        await page.goto(f"http://127.0.0.1:{port}/page")
        await page.evaluate("call()")
        await asyncio.wait_for(page.evaluate("hear()"), PATIENCE_SECS)
        await asyncio.sleep(1.5)  # until the answer is over
        await page.evaluate("peer.close()")


async def call_by_aiortc(port: int) -> None:
    """Hold a call in which a caller hears the answer, and hang up."""
    caller = Caller()
    try:
        await dial(caller, port)
        await asyncio.sleep(SILENT_SECS)
        await caller.say(Line("weather", QUESTION))
        await caller.listen()
    finally:
        await caller.hang_up()


async def test_calls_of_the_development_runner(
    local: LocalRoark, chromium: str, tmp_path: Path
) -> None:
    """Calls of a browser and of aiortc arrive whole, with their turns where they can be heard."""
    port = free_port()
    command = ("-m", "scenarios.bots", "-t", "webrtc", "--host", "127.0.0.1", "--port", str(port))
    async with serving(*command, port=port, url=local.url):
        await asyncio.gather(call_by_browser(port, chromium, tmp_path), call_by_aiortc(port))
        for call_id in local.calls:
            check_places(await local.wait_for_end(call_id, PATIENCE_SECS))
    assert len(local.calls) == 2
