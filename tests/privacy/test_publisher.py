"""Audio that was held gets to the application's handlers in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipecat_roark import guard
from pipecat_roark.privacy.publisher import Publisher

if TYPE_CHECKING:
    import pytest


async def test_parts_are_published_one_after_another() -> None:
    """However long a handler takes, and whenever they come."""
    began, ended = list[bytes](), list[bytes]()

    async def publish(pcm: bytes) -> None:
        began.append(pcm)
        await asyncio.sleep(0)
        assert began[-1] == pcm
        ended.append(pcm)

    publisher = Publisher(publish)
    await publisher.drain(1)
    parts = [bytes([number]) for number in range(6)]
    for part in parts[:3]:
        publisher.put(part)
    await asyncio.sleep(0)
    for part in parts[3:]:
        publisher.put(part)
    await publisher.drain(10)
    assert ended == parts


async def test_a_handler_that_fails_costs_its_part(
    monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    """The others are published."""
    monkeypatch.setattr(guard, "RERAISE", False)
    seen = []

    async def publish(pcm: bytes) -> None:
        if pcm == b"0":
            raise OSError
        seen.append(pcm)

    publisher = Publisher(publish)
    for part in (b"0", b"1"):
        publisher.put(part)
    await publisher.drain(10)
    assert seen == [b"1"]
    assert len(warned) == 1


async def test_nobody_waits_for_ever() -> None:
    """A handler that hangs is left behind."""
    publisher = Publisher(lambda _: asyncio.sleep(0.2))
    publisher.put(b"0")
    await publisher.drain(0.01)
    await asyncio.sleep(0.3)
