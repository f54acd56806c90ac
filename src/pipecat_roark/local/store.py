"""Calls as plain files: each has a folder with its call.json, its chunks and its recording.

What was written is read back, so the calls of earlier runs are there again.
"""

from __future__ import annotations

import hashlib
import json
import wave
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipecat_roark.local.contract import CALL_ENDED, CALL_STARTED, EVENT, SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

_LONGEST_NAME = 200
_NAMED_EVENTS = (CALL_STARTED, CALL_ENDED)
"""Events that call.json has under names of their own: `started` and `ended`."""
PEAKS_FILE = "peaks.u8"
REQUESTS_FILE = "requests.jsonl"
REPORT_FILE = "report.json"
_CALL_FILE = "call.json"
_RECORDING_FILE = "recording.wav"
_CHUNKS_FOLDER = "chunks"
_FILES = (PEAKS_FILE, REQUESTS_FILE, REPORT_FILE, _CALL_FILE, _RECORDING_FILE)


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
        has_odd_key: Whether the API key didn't look like one. The key itself is not kept.
    """

    call_id: str
    folder: Path
    events: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    chunks: dict[int, Path] = field(default_factory=dict, repr=False)
    recording: Path | None = None
    problems: tuple[str, ...] = ()
    verified: tuple[str, ...] = ()
    has_odd_key: bool = False

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
        **({"hasOddKey": True} if call.has_odd_key else {}),
    }
    call.folder.mkdir(parents=True, exist_ok=True)
    write_whole(call.folder / _CALL_FILE, json.dumps(known, indent=2).encode())


def stored_folders(folder: Path) -> Iterator[Path]:
    """Yield the folder of each call that is stored in a folder."""
    if folder.is_dir():
        yield from (path.parent for path in folder.glob(f"*/{_CALL_FILE}"))


def read_call(folder: Path) -> StoredCall | None:
    """Read a stored call back, or return None if there is none that can be read.

    An event that does not keep to the wire contract, as after an edit by hand, is left out.
    """
    try:
        known = json.loads((folder / _CALL_FILE).read_bytes())
        call = StoredCall(known["pipecatCallId"], folder)
        bodies = [body for body in known.values() if isinstance(body, dict)]
        call.events = {body["event"]: body for body in bodies if not [*EVENT(body, "")]}
        call.problems, call.verified = tuple(known["problems"]), tuple(known["verified"])
        call.chunks = {int(path.stem): path for path in folder.glob(f"{_CHUNKS_FOLDER}/*.pcm")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    recording = folder / _RECORDING_FILE
    call.recording = recording if recording.is_file() else None
    call.has_odd_key = known.get("hasOddKey") is True
    return call


def remove_call(folder: Path) -> None:
    """Remove the files of a stored call; what else is in its folder stays."""
    for path in (*(folder / name for name in _FILES), *folder.glob(f"{_CHUNKS_FOLDER}/*.pcm")):
        path.unlink(missing_ok=True)


def save_chunk(call: StoredCall, index: int, data: bytes) -> Path:
    """Write a chunk's raw audio, and return its file."""
    path = call.folder / _CHUNKS_FOLDER / f"{index:06d}.pcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return path


def join_recording(call: StoredCall, rate: int, channels: int) -> Path:
    """Join the chunks that have come, by index, into one WAV file, and return it.

    Args:
        call: The call, with at least one chunk.
        rate: Sample rate in Hz.
        channels: Number of interleaved channels.
    """
    path = call.folder / _RECORDING_FILE
    part = path.with_suffix(".part")
    with wave.open(str(part), "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(SAMPLE_BYTES)
        wav.setframerate(rate)
        for index in sorted(call.chunks):
            wav.writeframesraw(call.chunks[index].read_bytes())
    part.replace(path)
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader never sees half of it."""
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
