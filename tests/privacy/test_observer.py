"""The observer's own part in what must not leave."""

from __future__ import annotations

from typing import Any

import pytest
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

from pipecat_roark import RoarkObserver, ToolCall, Turn


def passes(item: Turn | ToolCall) -> Turn | ToolCall:
    """Let everything pass."""
    return item


def paused(roark: RoarkObserver) -> bool:
    """Return whether nothing is captured now."""
    return roark._watcher.recorder.pauses.open  # noqa: SLF001  # a report would need a call


def test_a_block_that_pauses_may_stand_in_another() -> None:
    """The inner one ends nothing, and neither does it end a pause that began before."""
    roark = RoarkObserver(agent_id="front-desk", api_key="key")
    with roark.paused():
        with roark.paused():
            assert paused(roark)
        assert paused(roark)
    assert not paused(roark)
    roark.pause()
    with roark.paused():
        pass
    assert paused(roark)
    roark.resume()
    assert not paused(roark)


def test_a_block_that_fails_ends_its_pause() -> None:
    """Its error goes on."""
    roark = RoarkObserver(agent_id="front-desk", api_key="key")
    with pytest.raises(LookupError), roark.paused():
        raise LookupError
    assert not paused(roark)


def test_audio_of_the_caller_cannot_be_redacted() -> None:
    """It is refused before the call, unless the audio is not captured at all."""
    own = AudioBufferProcessor(num_channels=2)
    options: dict[str, Any] = {"agent_id": "front-desk", "api_key": "key"}
    with pytest.raises(ValueError, match="redact can't silence the audio of your own"):
        RoarkObserver(**options, audio_buffer_processor=own, redact=passes)
    RoarkObserver(**options, audio_buffer_processor=own, redact=passes, capture={"words", "tools"})
