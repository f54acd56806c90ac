"""Finds where an utterance can be heard, between the silences around synthesized speech.

Pure: no Pipecat, no I/O, and time comes in as a value, in nanoseconds.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipecat_roark.moments import SECOND, Edge
from pipecat_roark.recording.audibility import audible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipecat_roark.moments import Frames

_BACKLOG = 4
"""After this many parts the end is searched for: only the last part with sound can hold it."""


class Sound(NamedTuple):
    """An edge of a sound, and the arrival of the frame that holds it."""

    arrival: int
    edge: Edge


class _Part(NamedTuple):
    frames: Frames
    rate: int
    first: int | None


class Utterance:
    """One utterance of the bot, between the announcements of its start and its end.

    Args:
        rate: Sample rate of its track in Hz.
        announced_ns: Pipeline time at which the output announced it.
    """

    def __init__(self, rate: int, announced_ns: int = 0) -> None:
        self.begun = False
        """Whether audio of it came."""
        self._rate = rate
        self._announced_ns = announced_ns
        self._early_ns = 0
        self._parts: list[_Part] = []
        self._end: Edge | None = None

    def as_played(self, frames: Frames, rate: int) -> Frames:
        """Return frames with the time at which each has been played to its end.

        Some outputs pass a frame on when they begin to play it, not when they have played it. Then
        the first frame would begin before the utterance was announced. By as much as that, all
        frames of the utterance come early.

        Args:
            frames: Their samples and arrivals.
            rate: Their sample rate in Hz.
        """
        if not self.begun:
            pcm, arrival = frames[0]
            begins = arrival - len(pcm) // 2 * SECOND // rate
            self._early_ns = max(0, self._announced_ns - begins)
        return [(pcm, arrival + self._early_ns) for pcm, arrival in frames]

    def add(self, frames: Frames, rate: int, index: int | None) -> Sound | None:
        """Search the next frames.

        Args:
            frames: Their samples and arrivals.
            rate: Their sample rate in Hz.
            index: Index of the first sample on its track, if it is known.

        Returns:
            The first sound of the utterance, if it is in these frames.
        """
        self.begun = True
        part = _Part(frames, rate, index)
        first = None
        if self._end is None:
            first = next(self._sounds(part), None)
            self._end = first.edge if first else None
        if self._end is not None:
            self._parts.append(part)
        if len(self._parts) >= _BACKLOG:
            self.end()
        return first

    def end(self) -> Edge | None:
        """Return where the last sound so far ends; None if there was no sound."""
        parts, self._parts = self._parts, []
        sounds = (sound for part in parts[::-1] for sound in self._sounds(part, backwards=True))
        last = next(sounds, None)
        if last:
            self._end = last.edge
        return self._end

    def _sounds(self, part: _Part, *, backwards: bool = False) -> Iterator[Sound]:
        """Yield the first sound of each frame or, from the last frame backwards, the last sound."""
        starts = accumulate((len(pcm) // 2 for pcm, _ in part.frames), initial=0)
        frames = [(*frame, start) for frame, start in zip(part.frames, starts, strict=False)]
        for pcm, arrival, start in reversed(frames) if backwards else frames:
            loud = audible(np.frombuffer(pcm, "<i2"))
            if not loud.size:
                continue
            place = int(loud[-1]) + 1 if backwards else int(loud[0])
            at = arrival - (len(pcm) // 2 - place) * SECOND // part.rate
            index = part.first
            if index is not None:
                index += round((start + place) * self._rate / part.rate)
            yield Sound(arrival, Edge(at, index))
