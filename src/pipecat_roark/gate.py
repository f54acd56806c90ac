"""The gate: the one way out of a call.

The rules:

1. Everything that leaves the process or reaches the disk passes here and nowhere else: the events
   `call-started` and `call-ended`, each chunk, the tail of the recording and the draft of
   `call-ended` in the spool, the audio events of the recorder, and the report that the
   application's own code gets.
2. Audio comes in once, in order, so the gate knows where in the recording it lies. The recorder's
   audio events hand out what passed, and not what was recorded.
3. Until somebody consents, if that is required, nothing passes. If nobody does, everything is
   discarded.
4. Of what passes, `privacy` masks the rest: kinds of content that are not captured, what was said
   in a pause, and what the application's `redact` function did not let pass. The recorder has
   silenced the audio of pauses already.
5. With `redact`, audio is held until every turn that lies over it is judged. What is still held
   when the call has ended and nobody could judge it goes out as silence.
6. Audio that is held and audio that waits for Roark share the bounds on memory.
"""

from __future__ import annotations

import asyncio
import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeAlias

from pipecat_roark import wire
from pipecat_roark.budget import Share
from pipecat_roark.delivery.client import RoarkClient
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.delivery.discarded import discarded
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.privacy.consent import Consent
from pipecat_roark.privacy.held_audio import HeldAudio
from pipecat_roark.privacy.masks import with_captured, without_content, without_paused
from pipecat_roark.privacy.publisher import Publisher
from pipecat_roark.privacy.redactor import Redactor
from pipecat_roark.privacy.silenced import place, silenced
from pipecat_roark.receipt import Cause
from pipecat_roark.spool.spool import NoSpool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipecat_roark.channel import ChannelEnd
    from pipecat_roark.moments import Speaker
    from pipecat_roark.receipt import Receipt
    from pipecat_roark.report import CallReport
    from pipecat_roark.settings import Settings
    from pipecat_roark.spool.spool import Spool
    from pipecat_roark.spool.tail import Tail

    _Report: TypeAlias = Callable[[bool], CallReport]
    _TailOf: TypeAlias = Callable[[Speaker, int], ChannelEnd]

JUDGE_SECS = 1.0
"""How often closed turns are looked for, at most."""
_JUDGE_SHARE = 0.1
"""Largest share of the event loop's time for that; the report of a long call takes longer."""
_SETTLE_SHARE = 0.5
"""Share of the deadline in which `redact` may judge what is left when the call has ended."""
_PUBLISH_SECS = 1.0
"""How long the ending waits for the application's handlers of audio that was held."""
_UNJUDGED = Cause("sent as silence: nobody could judge it", "internal-error")


class Gate:
    """Lets one call out: to Roark, to the spool, and to the application's own handlers.

    Args:
        settings: What the observer was given.
        pipecat_call_id: The call's identity.
        publish: Hands audio that was held to the application's handlers.
    """

    def __init__(
        self,
        settings: Settings,
        pipecat_call_id: str,
        publish: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._pipecat_call_id = pipecat_call_id
        self._spool = _spool(settings, pipecat_call_id)
        self._memory = Share(settings.max_waiting_bytes, settings.max_process_waiting_bytes)
        self._delivery = Delivery(
            RoarkClient(settings.base_url, settings.api_key, pipecat_call_id),
            label=pipecat_call_id,
            deadline_secs=settings.deadline_secs,
            memory=self._memory,
            spool=self._spool,
        )
        self._consent = Consent(required=settings.consent_required)
        self._redactor: Redactor | None = None
        if settings.redact is not None:
            self._redactor = Redactor(settings.redact, self._delivery.note_loss)
        self._held = HeldAudio(self._memory)
        self._publisher = Publisher(publish)
        self._recorded_bytes = 0
        self._discarded: Receipt | None = None
        self._started: bytes | None = None

    @property
    def recorded(self) -> bool:
        """Whether there is a recording that may leave."""
        return self._recorded_bytes > 0

    @property
    def withheld(self) -> bool:
        """Whether nothing of the call may be seen, because nobody has consented."""
        return not self._consent.given

    @property
    def receipt(self) -> Receipt:
        """What of the call has arrived at Roark, and what is lost."""
        return self._discarded or self._delivery.receipt

    def start(self, at: datetime) -> None:
        """Let `call-started` out.

        Args:
            at: When the call started, UTC.
        """
        agent = self._settings
        self._started = wire.call_started(
            self._pipecat_call_id, at, agent.agent_id, agent.agent_name, agent.agent_prompt
        )
        if self._consent.given:
            self._delivery.begin(self._started)

    def audio(self, pcm: bytes) -> bytes:
        """Let the next audio of the recording out.

        Args:
            pcm: Interleaved 16-bit samples, as recorded.

        Returns:
            What passed now: the same object, or nothing.
        """
        if "audio" not in self._settings.capture:
            return b""
        start, self._recorded_bytes = self._recorded_bytes, self._recorded_bytes + len(pcm)
        if self._consent.given and self._redactor is None:
            self._delivery.add_audio(pcm)
            return pcm
        if not self._consent.refused:
            self._held.add(start, pcm)
        return b""

    def report(self, report: CallReport) -> CallReport:
        """Return what of a report may be seen outside of the call."""
        if self.withheld:
            return without_content(report)
        report = self._to_judge(report)
        return report if self._redactor is None else self._redactor.apply(report)

    def consent_given(self) -> None:
        """Let out what was held, and what comes; a refusal before takes precedence."""
        if self._consent.give() and self._started is not None:
            self._delivery.begin(self._started)
            if self._redactor is None:
                self._release(math.inf, [])

    def consent_refused(self) -> None:
        """Discard everything; a consent before takes precedence."""
        if self._consent.refuse():
            self._held.clear()

    async def follow(self, report: _Report, tail: _TailOf) -> None:
        """Keep the spool up to date, and judge what can be judged, until it is cancelled.

        Args:
            report: Returns the call as it is known, given whether there is a recording.
            tail: Returns the audio of a speaker that is in no chunk yet; see `Recorder.tail`.
        """

        def draft(recorded: bool) -> wire.CallEnded:  # noqa: FBT001
            event_at = datetime.now(timezone.utc)
            return wire.call_ended_event(self.report(report(recorded)), event_at)

        def waiting(before: Tail, speaker: Speaker) -> Tail:
            # Audio that is not judged must not reach the disk.
            keeps = self._redactor is None and "audio" in self._settings.capture
            return before.next(self._delivery.chunks, speaker, tail) if keeps else before

        if await self._consent.wait():
            judging = [] if self._redactor is None else [self._judge(self._redactor, report)]
            await asyncio.gather(self._spool.follow(draft, waiting), *judging)

    def note_change(self, *, growing: bool = False) -> None:
        """Let the spool know that the report has changed; see `Spool.note_change`."""
        self._spool.note_change(growing=growing)

    async def deliver_left(self) -> None:
        """Deliver what earlier calls left in the spool."""
        spool_dir, agent = self._settings.spool_dir, self._settings
        if spool_dir is not None:
            from pipecat_roark.delivery import recovery  # noqa: PLC0415  # as in `_spool`

            await recovery.deliver_left(spool_dir, agent.base_url, agent.api_key)

    @staticmethod
    def call_ended(report: CallReport) -> bytes:
        """Encode `call-ended`.

        Args:
            report: The report, as `Gate.report` returned it.
        """
        return wire.call_ended(report, datetime.now(timezone.utc))

    async def settle(self, report: _Report) -> None:
        """Judge what is left of a call that has ended, and let its audio out.

        Args:
            report: Returns the call as it is known, given whether there is a recording.
        """
        if self._redactor is not None and self._consent.given:
            now = asyncio.get_running_loop().time()
            known = self._to_judge(report(self.recorded))
            await self._redactor.judge(known, now + _SETTLE_SHARE * self._settings.deadline_secs)
            self._release(math.inf, silenced(self._redactor.apply(known)))

    async def end(self, event: bytes, *, spent_secs: float) -> None:
        """Let `call-ended` out and wait until the call is delivered, within the deadline.

        Args:
            event: The event.
            spent_secs: How much of the deadline has passed.
        """
        if self._redactor is not None:
            self._redactor.close()
        if not self._consent.given:
            self._memory.close()
            why, size = self._consent.missing, self._recorded_bytes
            self._discarded = discarded(self._pipecat_call_id, size, why)
            return
        for part in self._held.release(math.inf):
            self._delivery.add_audio(bytes(len(part.pcm)), lost=_UNJUDGED)
        await self._delivery.finish(event, spent_secs=spent_secs)
        await self._publisher.drain(_PUBLISH_SECS)

    def _to_judge(self, report: CallReport) -> CallReport:
        return without_paused(with_captured(report, self._settings.capture))

    async def _judge(self, redactor: Redactor, report: _Report) -> None:
        """Judge turns as they close, and let out the audio before those that are open."""
        guard, clock = ErrorBoundary("redaction"), asyncio.get_running_loop().time
        while True:
            began = clock()
            known = None
            with guard:
                known = self._to_judge(report(self.recorded))
            pause = max(JUDGE_SECS, (clock() - began) / _JUDGE_SHARE)
            if known is not None:
                await redactor.judge(known)
                self.note_change()
                until = place(known, known.settled_ms or 0)
                self._release(until, silenced(redactor.apply(known)))
            await asyncio.sleep(pause)

    def _release(self, until: float, spans: list[tuple[int, int]]) -> None:
        """Let out the audio up to a place, with silence in some spans."""
        for part in self._held.release(until, spans):
            self._delivery.add_audio(part.pcm, lost=part.lost)
            self._publisher.put(part.pcm)


def _spool(settings: Settings, pipecat_call_id: str) -> Spool:
    """Return the call's spool; what a spool needs is loaded only if there is one."""
    if settings.spool_dir is None:
        return NoSpool()
    from pipecat_roark.spool.owner import fingerprint  # noqa: PLC0415
    from pipecat_roark.spool.writer import SpoolWriter  # noqa: PLC0415

    owner = fingerprint(settings.api_key, settings.base_url)
    return SpoolWriter(settings.spool_dir, pipecat_call_id, owner=owner)
