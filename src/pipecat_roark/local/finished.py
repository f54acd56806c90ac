"""A call that is over, as tests look at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipecat_roark.local.story import tell
from pipecat_roark.local.waveform import Waveforms

if TYPE_CHECKING:
    from pipecat_roark.local.store import StoredCall
    from pipecat_roark.local.story import StoredTool, StoredTurn
    from pipecat_roark.local.waveform import Waveform


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A call that has ended, with what can be asserted of it.

    Attributes:
        stored: The call as it was received: its events, files and problems.
        turns: What was said, in the order in which it began.
        tools: The tool calls, in the order in which they were made.
        audio: How loud each side is over time; None without a recording.
        reason: Why the call ended, such as `client-disconnected`.
    """

    stored: StoredCall
    turns: tuple[StoredTurn, ...]
    tools: tuple[StoredTool, ...]
    audio: Waveform | None
    reason: str


def read_finished(stored: StoredCall) -> FinishedCall:
    """Read a call whose end has come. This reads its files."""
    story, reason = tell(stored), str((stored.ended or {}).get("callEndedReason"))
    return FinishedCall(stored, story.turns, story.tools, Waveforms().read(stored), reason)
