"""A transport without a network, for code that needs a complete one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat.transports.base_transport import BaseTransport, TransportParams

from support.calls import Call, PacedOutput, ScriptedInput

if TYPE_CHECKING:
    from pipecat.pipeline.task import PipelineTask


class ScriptedTransport(BaseTransport):
    """A scripted microphone and a paced loudspeaker, with the events of a client."""

    def __init__(self) -> None:
        super().__init__()
        params = TransportParams(
            audio_in_enabled=True, audio_out_enabled=True, audio_out_end_silence_secs=0
        )
        self._microphone, self._loudspeaker = ScriptedInput(params), PacedOutput(params)
        self._register_event_handler("on_client_connected")
        self._register_event_handler("on_client_disconnected")

    def input(self) -> ScriptedInput:
        """Return the microphone."""
        return self._microphone

    def output(self) -> PacedOutput:
        """Return the loudspeaker."""
        return self._loudspeaker

    async def hang_up(self) -> None:
        """Send the event that the client has gone. The event alone ends no call."""
        await self._call_event_handler("on_client_disconnected", "the client")

    def call(self, task: PipelineTask) -> Call:
        """Return a call over this transport, in a task built on it."""
        call = Call([], [])
        call.microphone, call.loudspeaker, call.task = self._microphone, self._loudspeaker, task
        return call
