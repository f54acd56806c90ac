"""The gate: the one way out of a call.

The rules:

1. Everything that leaves the process or reaches the disk passes here and nowhere else: the events
   `call-started` and `call-ended`, each chunk, the tail of the recording and the draft of
   `call-ended` in the spool, the audio events of the recorder, and the report that the
   application's own code gets.
2. Audio passes once, in order, so the gate knows where in the recording it lies. The recorder's
   audio events hand out what passed, and not what was recorded.
3. What must not leave is held back by `Gate.report` and `Gate.audio`. Today everything passes.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pipecat_roark import wire
from pipecat_roark.delivery import recovery
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.spool.owner import fingerprint
from pipecat_roark.spool.spool import NoSpool
from pipecat_roark.spool.writer import SpoolWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark.receipt import Receipt
    from pipecat_roark.report import CallReport
    from pipecat_roark.settings import Settings
    from pipecat_roark.spool.spool import Spool


class Gate:
    """Lets one call out: to Roark, to the spool, and to the application's own handlers.

    Args:
        settings: What the observer was given.
        pipecat_call_id: The call's identity.
    """

    def __init__(self, settings: Settings, pipecat_call_id: str) -> None:
        self._settings = settings
        self._pipecat_call_id = pipecat_call_id
        self._spool: Spool = NoSpool()
        if settings.spool_dir is not None:
            owner = fingerprint(settings.api_key, settings.base_url)
            self._spool = SpoolWriter(settings.spool_dir, pipecat_call_id, owner=owner)
        self._delivery = Delivery(
            RoarkClient(settings.base_url, settings.api_key, pipecat_call_id),
            label=pipecat_call_id,
            deadline_secs=settings.deadline_secs,
            max_waiting_bytes=settings.max_waiting_bytes,
            spool=self._spool,
        )

    @property
    def recorded(self) -> bool:
        """Whether any chunk of the recording has passed."""
        return bool(self._delivery.chunks)

    @property
    def receipt(self) -> Receipt:
        """What of the call has arrived at Roark, and what is lost."""
        return self._delivery.receipt

    def start(self, at: datetime) -> None:
        """Let `call-started` out.

        Args:
            at: When the call started, UTC.
        """
        agent = self._settings
        self._delivery.begin(
            wire.call_started(
                self._pipecat_call_id, at, agent.agent_id, agent.agent_name, agent.agent_prompt
            )
        )

    def audio(self, pcm: bytes) -> bytes:
        """Let the next audio of the recording out.

        Args:
            pcm: Interleaved 16-bit samples, as recorded.

        Returns:
            What passed, of the same length.
        """
        self._delivery.add_audio(pcm)
        return pcm

    def report(self, report: CallReport) -> CallReport:
        """Return what of a report may be seen outside of the call."""
        return report

    async def follow(self, report: Callable[[bool], CallReport], tail: Callable[[], bytes]) -> None:
        """Keep the spool up to date until it is cancelled; without a spool, return at once.

        Args:
            report: Returns the call as it is known, given whether there is a recording.
            tail: Returns the audio that is in no chunk yet.
        """

        def draft(recorded: bool) -> wire.CallEnded:  # noqa: FBT001
            event_at = datetime.now(timezone.utc)
            return wire.call_ended_event(self.report(report(recorded)), event_at)

        await self._spool.follow(draft, lambda: (self._delivery.chunks, tail()))

    def note_change(self) -> None:
        """Let the spool know that the report has changed."""
        self._spool.changed.set()

    async def deliver_left(self) -> None:
        """Deliver what earlier calls left in the spool."""
        spool_dir, agent = self._settings.spool_dir, self._settings
        if spool_dir is not None:
            await recovery.deliver_left(spool_dir, agent.base_url, agent.api_key)

    @staticmethod
    def call_ended(report: CallReport) -> bytes:
        """Encode `call-ended`.

        Args:
            report: The report, as `Gate.report` returned it.
        """
        return wire.call_ended(report, datetime.now(timezone.utc))

    async def end(self, event: bytes) -> None:
        """Let `call-ended` out and wait until the call is delivered, within the deadline."""
        await self._delivery.finish(event)
