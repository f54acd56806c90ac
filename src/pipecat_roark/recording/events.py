"""The events of an `AudioBufferProcessor` that hands out a whole call, and not turn by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loguru import logger
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

from pipecat_roark.recording.recording import Stereo

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNELS = 2
"""Left is the user, right is the bot."""
_TURN_EVENTS = tuple(
    f"on_{speaker}_turn_{what}" for speaker in ("user", "bot") for what in ("audio", "audio_data")
)
"""Events of Pipecat's own recorder that this one doesn't call; Pipecat 2.0 removes two of them."""
_NO_TURNS = (
    "This recorder hands out the whole call by on_audio_data and on_track_audio_data. For audio by "
    "turn, place an AudioBufferProcessor of your own beside it."
)


class WholeCallEvents(AudioBufferProcessor):
    """Calls `on_audio_data` and `on_track_audio_data`, and refuses handlers of other audio."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  # Pipecat's own
        super().__init__(**options)
        self._warned_of_turns = False

    def add_event_handler(self, event_name: str, handler: Callable[..., object]) -> None:
        """Add a handler for an event; one for audio by turn is refused with a warning."""
        if event_name not in _TURN_EVENTS:
            super().add_event_handler(event_name, handler)
        elif not self._warned_of_turns:
            self._warned_of_turns = True
            logger.warning(f"Roark: {event_name} is never called. {_NO_TURNS}")

    async def publish(self, pcm: bytes, tracks: Stereo | None = None) -> None:
        """Hand out audio by the events `on_audio_data` and `on_track_audio_data`."""
        form = self._sample_rate, CHANNELS
        await self._call_event_handler("on_audio_data", pcm, *form)
        await self._call_event_handler("on_track_audio_data", *(tracks or Stereo.split(pcm)), *form)
