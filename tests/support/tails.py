"""Tails of a recording, made from the audio that they are."""

from __future__ import annotations

import numpy as np

from pipecat_roark.channel import ChannelEnd, ChannelEnds
from pipecat_roark.spool.tail import Tail


def tail_of(pcm: bytes, chunk: int = 0) -> Tail:
    """Return interleaved audio as the tail that will be part of a chunk."""
    user, bot = (side.tobytes() for side in np.frombuffer(pcm, "<i2").reshape(-1, 2).T)
    return Tail(chunk, ChannelEnds(ChannelEnd(0, user), ChannelEnd(0, bot)))


def records_of(pcm: bytes) -> bytes:
    """Return the records of a tail that is written whole."""
    return tail_of(pcm).records(Tail())
