"""Where moments lie in the recording of another recorder, which doesn't say where it lays audio.

The rules:

1. Each time that it starts to record, its first audio frame is where the recording goes on. Frames
   of the user that waited before anybody read them began earlier, as in a track of our own.
2. Until it stops, its recording runs with the clock. What happens between is in no recording.
3. It may lay a speaker beside the clock: some milliseconds always, and more after a stall. So an
   edge of speech is where the sound of that speaker begins or ends, if one does near the place that
   its frames have, or the clock gives.

Pure: no I/O, and time comes in as a value, in nanoseconds.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from pipecat_roark.moments import SECOND
from pipecat_roark.recording.audibility import (
    AUDIBLE,
    WINDOW_SECS,
    levels,
    offset,
    onset,
    window_size,
)
from pipecat_roark.recording.laying import Laying
from pipecat_roark.recording.opening import Opening
from pipecat_roark.recording.track import GAP_SECS, HOLD_SECS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipecat_roark.moments import Speaker

_NEAR_SECS = 3.0
"""How much of the recording around an edge is searched; the noise is measured in it, too."""
_INEXACT_SECS = 0.1
"""By how much announced speech may be longer than its sound."""
_PIECE_WINDOWS = 100
"""How much audio is measured in one piece, so that none holds up the event loop."""


@dataclass(slots=True)
class _Stretch:
    """The recording between a start and a stop."""

    origin: int
    """When its first sample was spoken."""
    base: float
    """Where it begins in the recording, in seconds."""
    first: int
    """When it began, by the arrival of its first frame."""
    until: int | None = None
    """When it was seen to be over; None while it goes on."""
    layings: tuple[Laying, Laying] = field(
        default_factory=lambda: (Laying(fills=True), Laying(fills=False))
    )
    """The ways in which it may be laid."""
    opening: Opening = field(
        default_factory=lambda: Opening(int(HOLD_SECS * SECOND), GAP_SECS * SECOND)
    )
    heard: int = 0
    """How much audio of the user came, in nanoseconds."""

    def laid(self, speaker: Speaker, at: int) -> int:
        """Return how far the track of a speaker is at a moment, in nanoseconds."""
        laying = min(self.layings, key=lambda laying: laying.error)
        at -= self.first
        return at + laying.ahead(speaker, at)


class Layout:
    """Gives moments their place in the recording of another recorder."""

    def __init__(self) -> None:
        self._stretches: list[_Stretch] = []
        self._levels: list[array[int]] = []
        self._found: dict[tuple[Speaker, float, bool], float | None] = {}
        self._window_secs = WINDOW_SECS
        self._left = b""
        self._secs = 0.0
        self._finished = False

    @property
    def origin_ns(self) -> int | None:
        """Pipeline time of sample 0; None while nothing is recorded."""
        return self._stretches[0].origin if self._stretches else None

    @property
    def records(self) -> bool:
        """Whether a stretch of the recording goes on."""
        return bool(self._stretches) and self._stretches[-1].until is None

    def add_frame(self, speaker: Speaker, at: int, length: int) -> None:
        """Note that audio of a length, in nanoseconds, reaches the recorder, which records it."""
        if not self.records:
            self._stretches.append(_Stretch(at - length, self._secs, first=at - length))
        stretch = self._stretches[-1]
        for laying in stretch.layings:
            laying.add_frame(speaker, at - stretch.first, length)
        if speaker == "bot":
            return
        stretch.opening.note(at, at - length - stretch.heard - stretch.origin)
        stretch.heard += length
        early = stretch.opening.early()
        if early:
            stretch.origin -= early
            stretch.opening.move(early)

    def pause(self, at: int) -> None:
        """Note that the recorder doesn't record."""
        if self.records:
            self._stretches[-1].until = at

    def finish(self) -> None:
        """Note that all audio came: nothing lies beyond its end any more."""
        self._finished = True

    def add_audio(self, pcm: bytes, rate: int, channels: int) -> Iterator[None]:
        """Measure the next audio of the recording, interleaved, piece by piece."""
        self._secs += len(pcm) / (2 * channels * rate)
        if self._stretches:
            stretch = self._stretches[-1]
            for laying in stretch.layings:
                laying.hand_out(round((self._secs - stretch.base) * SECOND))
        if not self._levels:
            self._levels = [array("h") for _ in range(channels)]
        size = window_size(rate)
        self._window_secs = size / rate
        pcm = self._left + pcm
        window, piece = 2 * channels * size, 2 * channels * size * _PIECE_WINDOWS
        whole = len(pcm) // window * window
        self._left = pcm[whole:]
        for start in range(0, whole, piece):
            samples = np.frombuffer(pcm[start : min(start + piece, whole)], "<i2")
            for channel, found in enumerate(self._levels):
                loudness = levels(np.ascontiguousarray(samples[channel::channels]), rate)
                found.frombytes(loudness.clip(max=2**15 - 1).astype(np.int16).tobytes())
            yield

    def place_ms(self, at: int) -> int | None:
        """Return the place that is nearest to a pipeline time; None while there is none."""
        before = [stretch for stretch in self._stretches if stretch.origin <= at]
        stretch = before[-1] if before else next(iter(self._stretches), None)
        return None if stretch is None else round(1000 * self._place(stretch, at))

    def span_ms(self, speaker: Speaker, start: int, end: int) -> tuple[int, int] | None:
        """Return the place of speech between two pipeline times; None if it wasn't recorded."""
        overlapping = (
            stretch
            for stretch in self._stretches
            if stretch.origin <= end and (stretch.until is None or start <= stretch.until)
        )
        stretch = next(overlapping, None)
        if stretch is None or (self._finished and self._by_clock(stretch, start) > self._secs):
            return None
        begins = self._edges(stretch, speaker, start)
        overs = self._edges(stretch, speaker, end, ends=True)
        spoken = (end - start) / SECOND - _INEXACT_SECS
        # A recorder inserts silence into speech, but takes nothing out of it.
        possible = (pair for pair in product(begins, overs) if pair[1] - pair[0] >= spoken)
        begin, over = next(possible, (begins[0], overs[0]))
        return round(1000 * begin), max(round(1000 * begin), round(1000 * over))

    def _place(self, stretch: _Stretch, at: int) -> float:
        """Return the place of a moment by the clock, within a stretch, in seconds."""
        place = self._by_clock(stretch, at)
        if self._finished:
            place = min(place, self._secs)
        if stretch.until is None:
            return place
        following = self._stretches[self._stretches.index(stretch) + 1 :]
        return min(place, following[0].base if following else max(self._secs, stretch.base))

    @staticmethod
    def _by_clock(stretch: _Stretch, at: int) -> float:
        return stretch.base + max(0, at - stretch.origin) / SECOND

    def _edges(
        self, stretch: _Stretch, speaker: Speaker, at: int, *, ends: bool = False
    ) -> list[float]:
        """Return where speech may begin or end, in seconds: by its sound, or else by the clock."""
        place = self._place(stretch, at)
        laid = stretch.base + max(0, stretch.laid(speaker, at)) / SECOND
        # Old Pipecats don't keep the bot in step with a user whose first frames waited.
        arrived = place - (stretch.first - stretch.origin) / SECOND
        guesses = dict.fromkeys((laid, place, arrived))
        heard = [self._heard(speaker, guess, ends=ends) for guess in guesses]
        return [edge for edge in heard if edge is not None] or [place]

    def _heard(self, speaker: Speaker, place: float, *, ends: bool) -> float | None:
        """Return where the sound of a speaker begins or ends near a place, in seconds."""
        key = speaker, place, ends
        if not self._levels or key in self._found:
            return self._found.get(key)
        found = self._levels[-1 if speaker == "bot" else 0]
        near, reach = round(place / self._window_secs), round(_NEAR_SECS / self._window_secs)
        first = max(0, near - reach)
        around = np.array(found[first : near + reach], np.int16)
        if not first <= near <= first + len(around):
            return None
        edge = offset if ends else onset
        heard = first + edge(around, round(1 / self._window_secs), near - first)
        at = heard - first - ends
        sounds = 0 <= at < len(around) and around[at] >= AUDIBLE
        result = heard * self._window_secs if sounds else None
        if near + reach < len(found):
            self._found[key] = result  # no more audio can change it
        return result
