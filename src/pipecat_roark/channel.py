"""The channels of a recording: the user's and the bot's."""

from __future__ import annotations

from typing import NamedTuple


class ChannelEnd(NamedTuple):
    """The end of one channel, which was not handed out yet.

    Attributes:
        start: How many bytes at its front are left out.
        pcm: The bytes behind those, 16-bit samples.
        settled: How many bytes from its front do not change any more.
    """

    start: int = 0
    pcm: bytes = b""
    settled: int = 0


class ChannelEnds(NamedTuple):
    """The ends of both channels."""

    user: ChannelEnd = ChannelEnd()
    bot: ChannelEnd = ChannelEnd()
