"""The audio of a running call as a WAV file that doesn't exist: a header before its chunks."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pipecat_roark.local.contract import SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HEADER_BYTES = 44


def header(rate: int, channels: int, size: int) -> bytes:
    """Return the header of a WAV file with `size` bytes of 16-bit samples."""
    frame = SAMPLE_BYTES * channels
    form = struct.pack("<4sI4s", b"RIFF", size + HEADER_BYTES - 8, b"WAVE")
    kind = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * frame, frame, 16)
    return form + kind + struct.pack("<4sI", b"data", size)


def read(head: bytes, chunks: Sequence[Path], start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes from `start` to `stop` of a header and the chunks behind it.

    What a file lacks is missing in the bytes, too.
    """
    if start < len(head):
        yield head[start:stop]
    begin = len(head)
    for path in chunks:
        end = begin + path.stat().st_size
        if begin < stop and start < end:
            with path.open("rb") as file:
                file.seek(max(0, start - begin))
                yield file.read(min(stop, end) - max(start, begin))
        begin = end
