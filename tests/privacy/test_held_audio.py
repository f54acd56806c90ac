"""Audio that is held back: in order, silenced, and within a bound."""

from __future__ import annotations

import math

import pytest

from pipecat_roark.budget import Budget, Share
from pipecat_roark.privacy.held_audio import HeldAudio
from pipecat_roark.silence import is_shared_silence, silence

SIZE = 100


def parts(held: HeldAudio, until: float, *silenced: tuple[int, int]) -> list[bytes]:
    """Return the audio that is released."""
    return [part.pcm for part in held.release(until, silenced)]


def held(count: int = 3, max_bytes: int = 10_000) -> HeldAudio:
    """Return held parts: of ones, of twos, and so on."""
    audio = HeldAudio(Share(max_bytes))
    for number in range(count):
        audio.add(number * SIZE, bytes([number + 1]) * SIZE)
    return audio


def test_parts_are_released_whole_and_in_order() -> None:
    """A part of which the end is not settled waits."""
    audio = held()
    assert parts(audio, SIZE - 1) == []
    assert parts(audio, 2 * SIZE) == [b"\1" * SIZE, b"\2" * SIZE]
    assert parts(audio, math.inf) == [b"\3" * SIZE]
    assert parts(audio, math.inf) == []


@pytest.mark.parametrize("span", [(0, 300), (100, 200), (50, 250), (90, 90), (-5, 10), (290, 999)])
def test_spans_are_silent_wherever_parts_begin(span: tuple[int, int]) -> None:
    """Every byte of a span is zero, and no other is."""
    audio = b"".join(parts(held(), math.inf, span))
    whole = b"".join(bytes([number]) * SIZE for number in (1, 2, 3))
    inside = range(max(0, span[0]), min(len(whole), span[1]))
    assert audio == bytes(0 if n in inside else byte for n, byte in enumerate(whole))


def test_above_the_bound_new_audio_is_lost() -> None:
    """Silence of the same length takes its place, and takes no memory."""
    released = [*held(5, max_bytes=2 * SIZE).release(math.inf)]
    reasons = [part.lost and part.lost.reason for part in released]
    assert reasons == [None, None, *["memory-full"] * 3]
    assert [part.pcm for part in released[:3]] == [b"\1" * SIZE, b"\2" * SIZE, bytes(SIZE)]
    assert all(is_shared_silence(part.pcm) for part in released if part.lost)


def test_what_gave_way_is_lost() -> None:
    """Another call of the process needed the room."""
    budget = Budget()
    audio = HeldAudio(Share(10 * SIZE, 3 * SIZE, budget))
    for number in range(3):
        audio.add(number * SIZE, b"\1" * SIZE)
    HeldAudio(Share(10 * SIZE, 3 * SIZE, budget)).add(0, b"\2" * SIZE)
    released = [*audio.release(math.inf)]
    assert [part.pcm for part in released] == [b"\1" * SIZE, b"\1" * SIZE, bytes(SIZE)]
    assert released[2].lost is not None
    assert released[2].lost.reason == "process-memory-full"
    assert budget.used == SIZE


def test_silence_takes_no_room() -> None:
    """Hours of it cost no speech."""
    audio = HeldAudio(Share(2 * SIZE))
    audio.add(0, b"\1" * SIZE)
    for number in range(1, 1000):
        audio.add(number * SIZE, silence(SIZE))
    audio.add(1000 * SIZE, b"\2" * SIZE)
    assert [part.lost for part in audio.release(math.inf)] == [None] * 1001


def test_room_that_was_released_is_free_again() -> None:
    """The bound is on what is held at a time."""
    audio = HeldAudio(Share(SIZE))
    for number in range(3):
        audio.add(number * SIZE, b"\1" * SIZE)
        assert parts(audio, math.inf) == [b"\1" * SIZE]
    audio.add(300, b"\1" * SIZE)
    audio.clear()
    audio.add(400, b"\2" * SIZE)
    assert parts(audio, math.inf) == [b"\2" * SIZE]
