"""Frames that wait to be laid together: most of what a short frame costs is the handling.

Pure: it knows of Pipecat's frames what `AudioFrame` says, and time comes in as a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from pipecat_roark.moments import SECOND
from pipecat_roark.recording.phases import next_phase
from pipecat_roark.recording.recording import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipecat_roark.moments import Frames, Speaker
    from pipecat_roark.recording.recording import Recording
    from pipecat_roark.recording.utterance import LateEnd, Sound


LAY_NS = SECOND
"""How long frames wait at most to be laid together.

Audio to be resampled waits half as long: resampling is most of the work then, and a second of it
would hold up the event loop.
"""
_MIN_RATE, _MAX_RATE = 1000, 768_000
"""Sample rates in Hz that speech can have: a wrong one would stretch a frame over minutes."""


class AudioFrame(Protocol):
    """An audio frame; one of a participant also has a `user_id`."""

    audio: bytes
    sample_rate: int
    num_channels: int
    transport_source: str | None
    transport_destination: str | None


@dataclass(slots=True)
class Inbox:
    """Frames of one speaker that wait to be laid."""

    speaker: Speaker
    arrivals: list[tuple[AudioFrame, int]] = field(default_factory=list)
    """Each frame with the time of its arrival."""
    lay_by: int = 0
    """Pipeline time until which frames only wait."""
    resampled: bool = False
    """Whether the latest frames were resampled."""
    _phase: int = field(default_factory=lambda: int(next_phase() * LAY_NS))

    def wait(self, now: int) -> None:
        """Let frames wait; inboxes of calls that began together are laid one after another."""
        every = LAY_NS // 2 if self.resampled else LAY_NS
        self.lay_by = now + every - (now - self._phase) % every

    def rest(self, now: int) -> None:
        """Let frames wait a little longer than usual, because somebody else has them laid."""
        if self.lay_by:
            self.lay_by = max(self.lay_by, now + LAY_NS * 3 // 2)


class Intake:
    """The inboxes of both speakers."""

    def __init__(self) -> None:
        self.user = Inbox("user")
        self.bot = Inbox("bot")
        self._warned = False

    def of(self, speaker: Speaker) -> Inbox:
        """Return the inbox of a speaker."""
        return self.user if speaker == "user" else self.bot

    def oldest(self, now: int) -> int:
        """Return when the first waiting frame arrived, or now."""
        return min(self.laid(now).values())

    def laid(self, now: int) -> dict[Speaker, int]:
        """Return up to when the frames of each speaker are laid."""
        return {box.speaker: box.arrivals[0][1] if box.arrivals else now for box in self}

    def overdue(self, now: int) -> list[Inbox]:
        """Return the inboxes whose frames have waited long enough."""
        return [inbox for inbox in self if inbox.lay_by <= now]

    def lay(
        self, inboxes: Iterable[Inbox], recording: Recording | None
    ) -> Iterator[Sound | LateEnd]:
        """Lay what waits, or drop it; yield the edges of the bot's speech that show only now."""
        for inbox in inboxes:
            arrivals, inbox.arrivals = inbox.arrivals, []
            if recording is None:
                continue
            for source, kind, frames in _runs(arrivals):
                if not _is_usable(source, kind):
                    self._warn(source, kind)
                    continue
                inbox.resampled = source.rate != recording.rate
                if sound := recording.lay(inbox.speaker, source, frames):
                    yield sound

    def __iter__(self) -> Iterator[Inbox]:
        return iter((self.user, self.bot))

    def _warn(self, source: Source, kind: type) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                f"Roark: audio of {source.rate} Hz and {source.channels} channels in "
                f"{kind.__name__} can't be recorded; such frames are left out."
            )


def _is_usable(source: Source, kind: type) -> bool:
    """Return whether frames can be laid: a service may put anything into their fields."""
    *line, rate, channels = source
    return (
        issubclass(kind, (bytes, bytearray))
        and all(part is None or isinstance(part, (str, int)) for part in line)
        and all(isinstance(number, int) for number in (rate, channels))
        and _MIN_RATE <= rate <= _MAX_RATE
        and channels > 0
    )


def _runs(arrivals: list[tuple[AudioFrame, int]]) -> Iterator[tuple[Source, type, Frames]]:
    """Yield consecutive frames of one source, with the type of their audio.

    It calls next to nothing for a frame, because frames come fifty times a second and more.
    """
    common: tuple[object, ...] = ()
    kind: type = bytes
    frames: list[tuple[bytes, int]] = []
    for frame, at in arrivals:
        own = (
            frame.transport_source,
            frame.transport_destination,
            getattr(frame, "user_id", None),
            frame.sample_rate,
            frame.num_channels,
        )
        if own != common or type(frame.audio) is not kind:
            if frames:
                yield Source._make(common), kind, frames
            common, kind, frames = own, type(frame.audio), []
        frames.append((frame.audio, at))
    if frames:
        yield Source._make(common), kind, frames
