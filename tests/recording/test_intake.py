"""Frames that wait to be laid together, and for how long."""

from __future__ import annotations

import pytest
from pipecat.frames.frames import InputAudioRawFrame

from pipecat_roark.moments import SECOND
from pipecat_roark.recording.intake import LAY_NS, Inbox, Intake
from pipecat_roark.recording.recording import Recording
from pipecat_roark.spans import Spans

RATE = 24000


def laid(rate: int) -> Inbox:
    """Return the user's inbox of a recording at `RATE` that has laid audio of a rate."""
    intake = Intake()
    frame = InputAudioRawFrame(bytes(rate // 50 * 2), rate, 1)
    intake.user.arrivals.append((frame, SECOND))
    assert not [*intake.lay(intake, Recording(RATE, paced=True, pauses=Spans()))]
    return intake.user


@pytest.mark.parametrize(("rate", "at_most"), [(RATE, LAY_NS), (16000, LAY_NS // 2)])
def test_audio_to_be_resampled_waits_half_as_long(rate: int, at_most: int) -> None:
    """The work of one laying stays small, whether most of it is the handling or the resampling."""
    inbox = laid(rate)
    waits = []
    for step in range(100):
        now = 2 * SECOND + step * SECOND // 50
        inbox.wait(now)
        waits.append(inbox.lay_by - now)
    assert 0 < min(waits) < max(waits) <= at_most
    assert max(waits) > at_most - SECOND // 50
