"""The tail: the end of the recording, which is in no chunk yet, as a file that only grows.

The channels are kept apart, because one that is silent may still get late audio while the other
goes on. Each record of the file replaces what one channel has from a place on. A record that was
cut short counts as far as it goes.

Pure: bytes in and out.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from pipecat_roark.channel import ChannelEnd, ChannelEnds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipecat_roark.moments import Speaker

_RECORD = struct.Struct("<III")
"""The head of a record: the channel, the byte from which it is replaced, and how many follow."""
_CHANNELS = 2
_SAMPLE = 2
"""Bytes of a sample of one channel."""


class Tail(NamedTuple):
    """The end of the recording.

    Attributes:
        chunk: Index of the chunk that it will be part of.
        ends: The end of each channel.
    """

    chunk: int = 0
    ends: ChannelEnds = ChannelEnds()

    @property
    def size(self) -> int:
        """How many bytes of the recording it is, with those that are left out."""
        return _CHANNELS * max(end.start + len(end.pcm) for end in self.ends)

    def next(
        self, chunk: int, speaker: Speaker, read: Callable[[Speaker, int], ChannelEnd]
    ) -> Tail:
        """Return the tail with the channel of a speaker as of now.

        Args:
            chunk: Index of the chunk that it will be part of.
            speaker: The speaker.
            read: Returns the end of the channel, without so many bytes at its front.
        """
        ends = self._ends_in(chunk)
        end = read(speaker, getattr(ends, speaker).settled)
        return Tail(chunk, ends._replace(**{speaker: end}))

    def records(self, before: Tail) -> bytes:
        """Return the records that turn an earlier tail into this one."""
        return b"".join(
            _RECORD.pack(channel, end.start, len(end.pcm)) + end.pcm
            for channel, (end, old) in enumerate(
                zip(self.ends, before._ends_in(self.chunk), strict=True)
            )
            if end.pcm or old.start + len(old.pcm) > end.start
        )

    def written(self) -> Tail:
        """Return this tail as it is when all of it is on disk, and nothing in memory."""
        ends = (ChannelEnd(end.start + len(end.pcm), b"", end.settled) for end in self.ends)
        return Tail(self.chunk, ChannelEnds(*ends))

    def _ends_in(self, chunk: int) -> ChannelEnds:
        """Return the ends if they will be part of a chunk; another chunk has none yet."""
        return self.ends if chunk == self.chunk else ChannelEnds()


def parsed(records: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the channel, start and audio of each record."""
    place = 0
    while place + _RECORD.size <= len(records):
        channel, start, size = _RECORD.unpack_from(records, place)
        place += _RECORD.size
        yield channel, start, records[place : place + size]
        place += size


def replay(records: bytes) -> bytes:
    """Return the audio that the records of a tail make, interleaved."""
    channels = [bytearray() for _ in range(_CHANNELS)]
    for channel, start, pcm in parsed(records):
        if channel < _CHANNELS and start <= len(channels[channel]):  # else one before is missing
            channels[channel][start:] = pcm
    length = max(len(audio_of) // _SAMPLE for audio_of in channels)
    frame = _CHANNELS * _SAMPLE
    audio = bytearray(frame * length)
    for number, audio_of in enumerate(channels):
        side = audio_of[: len(audio_of) // _SAMPLE * _SAMPLE].ljust(_SAMPLE * length, b"\0")
        for byte in range(_SAMPLE):
            audio[number * _SAMPLE + byte :: frame] = side[byte::_SAMPLE]
    return bytes(audio)
