"""The draft of `call-ended` that the journal keeps while a call runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from pipecat_roark.spool import journal
from pipecat_roark.wire import CallEnded

if TYPE_CHECKING:
    from pipecat_roark.wire import ToolCallRecord, TranscriptTurn

Record = TypeVar("Record", "TranscriptTurn", "ToolCallRecord")

_OFFSETS = ("audioOffsetMs", "endAudioOffsetMs")


class Draft:
    """What the journal has of `call-ended`, and what it should have.

    The recording on disk is a little shorter than the call, so the journal gets offsets that lie
    within it. A process may die at any time, and a recording has no place behind its end.

    Attributes:
        short: Whether the recording on disk ends before something that was drafted.
    """

    def __init__(self) -> None:
        self.short = False
        self._drafted = CallEnded()
        self._written = CallEnded()

    def replace(self, event: CallEnded) -> None:
        """Take the event as it would be now."""
        self._drafted = event

    def changes(self, audio_bytes: int) -> list[dict[str, object]]:
        """Return the entries that bring the journal up to date.

        Args:
            audio_bytes: How much of the recording is on disk.
        """
        event = self._drafted.copy()
        frame_rate = 2 * event.get("recordingNumChannels", 0) * event.get("recordingSampleRate", 0)
        if frame_rate:
            end = 1000 * audio_bytes // frame_rate
            if "transcript" in event:
                event["transcript"] = [_within(turn, end) for turn in event["transcript"]]
            if "toolCalls" in event:
                event["toolCalls"] = [_within(record, end) for record in event["toolCalls"]]
        self.short = event != self._drafted
        entries = [*journal.changes(self._written, event)]
        self._written = event
        return entries


def _within(record: Record, end: int) -> Record:
    """Return a record with offsets that are not behind the end of the recording."""
    beyond = {name: end for name in _OFFSETS if cast("int", record.get(name, 0)) > end}
    return cast("Record", {**record, **beyond}) if beyond else record
