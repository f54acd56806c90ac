"""Calls as plain files: for each a folder with call.json, its chunks and its recording."""

from __future__ import annotations

import hashlib
import json
import wave
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipecat_roark.local.contract import SAMPLE_BYTES

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

_LONGEST_NAME = 200


@dataclass(slots=True, eq=False)
class StoredCall:
    """One call as it came: a live view, which grows until the call has ended.

    Attributes:
        call_id: The call's identity, `pipecatCallId` on the wire.
        folder: Where its files are.
        started: Body of call-started as received; None until it came.
        ended: Body of call-ended as received; None until the call is finalized.
        chunks: The raw file of each chunk that came, by index.
        recording: The WAV joined from the chunks; None if the call has none.
        problems: What was wrong with the call's requests, a sentence each.
        verified: What was found right at the end, a sentence each.
    """

    call_id: str
    folder: Path
    started: dict[str, Any] | None = field(default=None, repr=False)
    ended: dict[str, Any] | None = field(default=None, repr=False)
    chunks: dict[int, Path] = field(default_factory=dict, repr=False)
    recording: Path | None = None
    problems: tuple[str, ...] = ()
    verified: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the call started and ended and nothing was wrong with it."""
        return self.started is not None and self.ended is not None and not self.problems


def folder_name(call_id: str) -> str:
    """Name a call's folder: whatever the id holds, one file name that no other id gets."""
    name = quote(call_id, safe="", errors="surrogatepass")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()
        name = f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"
    return name


def save_call(call: StoredCall) -> None:
    """Write what is known of a call, so that a reader never sees half of it."""
    known = {
        "pipecatCallId": call.call_id,
        "started": call.started,
        "ended": call.ended,
        "problems": call.problems,
        "verified": call.verified,
    }
    call.folder.mkdir(parents=True, exist_ok=True)
    _write_whole(call.folder / "call.json", json.dumps(known, indent=2).encode())


def save_chunk(call: StoredCall, index: int, data: bytes) -> Path:
    """Write a chunk's raw audio; returns its file."""
    path = call.folder / "chunks" / f"{index:06d}.pcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, data)
    return path


def join_recording(call: StoredCall, rate: int, channels: int) -> Path:
    """Join the chunks that came, by index, into one WAV; returns its file.

    Args:
        call: The call, with at least one chunk.
        rate: Sample rate in Hz.
        channels: Number of interleaved channels.
    """
    path = call.folder / "recording.wav"
    part = path.with_suffix(".part")
    with wave.open(str(part), "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(SAMPLE_BYTES)
        wav.setframerate(rate)
        for index in sorted(call.chunks):
            wav.writeframesraw(call.chunks[index].read_bytes())
    part.replace(path)
    return path


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
