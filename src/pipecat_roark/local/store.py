"""Calls as plain files: each has a folder with its call.json, its chunks and its recording."""

from __future__ import annotations

import hashlib
import json
import wave
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipecat_roark.local.contract import CALL_ENDED, CALL_STARTED, SAMPLE_BYTES

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

_LONGEST_NAME = 200
_NAMED_EVENTS = (CALL_STARTED, CALL_ENDED)
"""Events that call.json has under names of their own: `started` and `ended`."""


@dataclass(slots=True, eq=False)
class StoredCall:
    """One call as it was received. It grows until the call has ended.

    Attributes:
        call_id: The call's identity, `pipecatCallId` on the wire.
        folder: Where its files are.
        events: The body of each event that has come, by its kind.
        chunks: The file with the raw audio of each chunk that has come, by its index.
        recording: The WAV file joined from the chunks; None if the call has no recording.
        problems: What was wrong with the call's requests, a sentence each.
        verified: What was found right when the call ended, a sentence each.
    """

    call_id: str
    folder: Path
    events: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    chunks: dict[int, Path] = field(default_factory=dict, repr=False)
    recording: Path | None = None
    problems: tuple[str, ...] = ()
    verified: tuple[str, ...] = ()

    @property
    def started(self) -> dict[str, Any] | None:
        """The body of call-started, or None until it has come."""
        return self.events.get(CALL_STARTED)

    @property
    def ended(self) -> dict[str, Any] | None:
        """The body of call-ended, or None until it has come and the recording is joined."""
        return self.events.get(CALL_ENDED)

    @property
    def complete(self) -> bool:
        """Whether the call has started and ended, without any problem."""
        return self.started is not None and self.ended is not None and not self.problems


def folder_name(call_id: str) -> str:
    """Return a file name for a call's folder, valid for any id and different for each."""
    name = quote(call_id, safe="", errors="surrogatepass")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()
        name = f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"
    return name


def save_call(call: StoredCall) -> None:
    """Write a call's call.json, at once as a whole: a reader never sees half of it."""
    others = {kind: body for kind, body in call.events.items() if kind not in _NAMED_EVENTS}
    known = {
        "pipecatCallId": call.call_id,
        "started": call.started,
        "ended": call.ended,
        **others,
        "problems": call.problems,
        "verified": call.verified,
    }
    call.folder.mkdir(parents=True, exist_ok=True)
    _write_whole(call.folder / "call.json", json.dumps(known, indent=2).encode())


def save_chunk(call: StoredCall, index: int, data: bytes) -> Path:
    """Write a chunk's raw audio, and return its file."""
    path = call.folder / "chunks" / f"{index:06d}.pcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, data)
    return path


def join_recording(call: StoredCall, rate: int, channels: int) -> Path:
    """Join the chunks that have come, by index, into one WAV file, and return it.

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
