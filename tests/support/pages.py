"""Calls for the page: what a bot would send, as fast as it can be sent."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx
    from numpy.typing import NDArray

KEYS = {"x-roark-api-key": "any", "authorization": "Bearer any"}
EVENTS = "/v1/integrations/pipecat"
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
RATE = 24000
CHUNK_BYTES = 256 * 1024

Said = tuple[str, float, float, str]
"""Who spoke, from when to when in seconds, and the words."""

TALK: list[Said] = [
    ("assistant", 0.6, 3.4, "Good morning, this is the city guide. How can I help you today?"),
    ("user", 4.2, 6.3, "Hello, what is the weather in London?"),
    ("assistant", 7.5, 10.0, "The weather in London is sunny and warm today."),
    ("user", 10.9, 13.2, "Great, tell me the history of the city."),
    ("assistant", 14.0, 19.6, "London was founded by the Romans almost two thousand years ago."),
    ("user", 19.2, 21.4, "OK, that is enough. Thank you and goodbye."),
    ("assistant", 22.3, 24.1, "Goodbye, and have a nice day."),
]
TOOLS = [("get_weather", {"city": "London"}, {"city": "London", "weather": "sunny"}, 6.7, 7.0)]


def at(seconds: float) -> str:
    """Return a moment of the call, as it stands on the wire."""
    return (NOON + timedelta(seconds=seconds)).isoformat()


def started(call_id: str, **fields: Any) -> dict[str, Any]:
    """Return a call-started."""
    event = {"event": "call-started", "pipecatCallId": call_id, "eventTimestamp": at(0)}
    return {**event, "agentId": "city-guide", "agentName": "City guide", **fields}


def turn(said: Said) -> dict[str, Any]:
    """Return a turn as it stands on the wire."""
    role, begin, end, content = said
    return {
        "role": role,
        "content": content,
        "timestamp": at(begin),
        "endTimestamp": at(end),
        "audioOffsetMs": round(begin * 1000),
        "endAudioOffsetMs": round(end * 1000),
        **({"language": "en"} if role == "user" else {}),
    }


def tool_records(tools: Sequence[tuple[Any, ...]] = TOOLS) -> Iterator[dict[str, Any]]:
    """Yield the two records of each tool call."""
    for number, (name, arguments, result, begin, end) in enumerate(tools):
        identity = {"toolCallId": f"tool-{number}"}
        called = {"timestamp": at(begin), "audioOffsetMs": round(begin * 1000)}
        returned = {"timestamp": at(end), "audioOffsetMs": round(end * 1000)}
        call = {"name": name, "arguments": json.dumps(arguments), **called}
        yield {"kind": "tool_call", **identity, **call}
        yield {"kind": "tool_result", **identity, "content": json.dumps(result), **returned}


def ended(
    call_id: str, talk: Sequence[Said] = TALK, *, length: float = 25.0, **fields: Any
) -> dict[str, Any]:
    """Return a call-ended."""
    event = {"event": "call-ended", "pipecatCallId": call_id, "eventTimestamp": at(length)}
    times = {"callStartedAt": at(0), "callEndedAt": at(length)}
    return {
        **event,
        **times,
        "callEndedReason": "client-disconnected",
        "agentSpokeFirst": talk[0][0] != "user",
        "recordingSampleRate": RATE,
        "recordingNumChannels": 2,
        "transcript": [turn(said) for said in talk],
        "toolCalls": [*tool_records()],
        **fields,
    }


def speech(seconds: float, seed: int) -> NDArray[np.float64]:
    """Return noise that is as loud over time as speech is: words with short gaps."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    time = np.arange(count) / RATE
    pace = 3.3 + 0.8 * np.sin(2 * np.pi * 0.4 * time + seed)
    shape = np.clip(np.sin(np.pi * np.cumsum(pace) / RATE) ** 2 + 0.25, 0, 1)
    shape *= 0.55 + 0.45 * np.sin(2 * np.pi * 0.7 * time + 2 * seed) ** 2
    edges = np.minimum(1, 20 * np.minimum(time, time[::-1]))
    voice: NDArray[np.float64] = shape * random.uniform(-1, 1, count) * edges
    return voice


def recording(talk: Sequence[Said] = TALK, *, length: float = 25.0) -> bytes:
    """Return stereo audio in which each turn can be heard: left the user, right the bot."""
    tracks = np.zeros((round(length * RATE), 2))
    for number, (role, begin, end, _) in enumerate(talk):
        first = round(begin * RATE)
        voice = speech(end - begin, number)
        tracks[first : first + len(voice), int(role == "assistant")] += voice * 14_000
    return tracks.astype("<i2").tobytes()


def chunks(pcm: bytes) -> Iterator[bytes]:
    """Yield audio in pieces of the size that the library sends."""
    for begin in range(0, len(pcm), CHUNK_BYTES):
        yield pcm[begin : begin + CHUNK_BYTES]


def send_event(http: httpx.Client, body: dict[str, Any]) -> None:
    """Send a lifecycle event, which is accepted."""
    http.post(EVENTS, json=body, headers=KEYS).raise_for_status()


def send_chunk(http: httpx.Client, call_id: str, index: int, data: bytes) -> None:
    """Ask for an upload URL, and upload a chunk to it."""
    wanted = {"pipecatCallId": call_id, "chunkIndex": index, "contentType": "audio/pcm"}
    answer = http.post(f"{EVENTS}/chunk-upload-url", json=wanted, headers=KEYS)
    url = answer.raise_for_status().json()["data"]["uploadUrl"]
    http.put(url, content=data, headers={"content-type": "audio/pcm"}).raise_for_status()


def send_call(
    http: httpx.Client, call_id: str, talk: Sequence[Said] = TALK, **fields: Any
) -> dict[str, Any]:
    """Send a whole call, and return its end."""
    end = ended(call_id, talk, **fields)
    send_event(http, started(call_id))
    for index, data in enumerate(chunks(recording(talk))):
        send_chunk(http, call_id, index, data)
    send_event(http, end)
    return end
