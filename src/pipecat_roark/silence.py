"""Silence as bytes that take no memory, however often they wait somewhere."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=8)
def silence(size: int) -> bytes:
    """Return as many zeros: one and the same object for each of the latest sizes."""
    return bytes(size)


def is_shared_silence(pcm: bytes) -> bool:
    """Return whether audio is the one object of its size, which takes no memory of its own."""
    return pcm is silence(len(pcm))


def shared_if_silent(pcm: bytes) -> bytes:
    """Return audio, or the one object of `silence`, of which any number may wait somewhere."""
    quiet = silence(len(pcm))
    return quiet if pcm == quiet else pcm
