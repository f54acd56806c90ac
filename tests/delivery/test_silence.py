"""Silence of hours, and the speech that follows it: whatever gives way, it is silence."""

from __future__ import annotations

import pytest

from pipecat_roark.budget import Share
from pipecat_roark.delivery.delivery import CHUNK_BYTES, IN_FLIGHT, Delivery
from support.client import BUSY, ENDED, STARTED, ScriptedClient, failing

CHUNK_SECS = 2.7
SILENT = bytes(CHUNK_BYTES)
SPEECH = b"\x01" * CHUNK_BYTES


class SlowClient(ScriptedClient):
    """A client whose every request takes the same time."""

    def __init__(self, secs: float) -> None:
        super().__init__()
        self._secs = secs

    async def _meet(self, what: str | int, body: bytes) -> None:
        self.tries.append((what, body))
        await self.time.sleep(self._secs)
        self.arrived.append(what)


def begun(client: ScriptedClient, max_waiting_bytes: int) -> Delivery:
    """Begin to deliver a call in the client's time."""
    made = Delivery(
        client,
        label="call-1",
        memory=Share(max_waiting_bytes),
        clock=client.time.clock,
        sleep=client.time.sleep,
        jitter=min,
    )
    made.begin(STARTED.encode())
    return made


@pytest.mark.parametrize(("silent_secs", "latency_secs"), [(600, 0.15), (1200, 0.05)])
async def test_nothing_is_lost_to_a_long_silence(silent_secs: float, latency_secs: float) -> None:
    """Silence goes out as time passes; the speech behind it arrives, and the ending is short."""
    client = SlowClient(latency_secs)
    made = begun(client, 4 * CHUNK_BYTES)
    for pcm in [SILENT] * round(silent_secs / CHUNK_SECS) + [SPEECH] * 8:
        made.add_audio(pcm)
        await client.time.sleep(CHUNK_SECS)
    await made.finish(ENDED.encode())
    assert made.receipt.whole
    assert made.receipt.ending_secs is not None
    assert made.receipt.ending_secs < 2


@pytest.mark.live
async def test_silence_takes_no_room_that_speech_needs() -> None:
    """While Roark is away, an hour of silence waits beside as much speech as the bound allows."""
    client = ScriptedClient(failing(BUSY, *range(2000), times=3))
    made = begun(client, 4 * CHUNK_BYTES)
    for pcm in [SPEECH, *[SILENT] * 1300, SPEECH, SPEECH, SPEECH]:
        made.add_audio(pcm)
    await made.finish(ENDED.encode())
    assert made.receipt.whole
    sent = {what: body for what, body in client.tries if isinstance(what, int)}
    assert sent[0] == sent[1301] == sent[1303] == SPEECH
    assert sent[1] is sent[1300]


async def test_where_time_is_short_silence_gives_way() -> None:
    """The ending sends the speech that waits before the silence that waits."""
    client = SlowClient(0.15)
    made = begun(client, 16 * CHUNK_BYTES)
    for pcm in [*[SILENT] * 224, *[SPEECH] * 8]:
        made.add_audio(pcm)
    await made.finish(ENDED.encode())
    spoken = [what for what, body in client.tries if body == SPEECH]
    assert spoken == [*range(224, 232)]
    assert client.arrived.index(231) < 224
    assert {*spoken} <= {*client.arrived}
    assert client.arrived[-1] == ENDED
    assert all(loss.what == "audio chunk" for loss in made.receipt.lost)
    assert client.most_in_flight <= IN_FLIGHT
