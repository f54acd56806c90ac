"""The observer that a user puts into a pipeline: the public face of the library."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipecat.observers.base_observer import BaseObserver, FramePushed

from pipecat_roark import settings
from pipecat_roark.watcher import Watcher

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor

    from pipecat_roark.receipt import Receipt
    from pipecat_roark.report import CallReport


class RoarkObserver(BaseObserver):
    """Delivers one call of a Pipecat pipeline to Roark.

    Add it as an observer, and its `audio_processor` after `transport.output()`:

        roark = RoarkObserver(agent_id="front-desk")
        pipeline = Pipeline([..., transport.output(), roark.audio_processor, ...])
        task = PipelineTask(pipeline, observers=[roark])

    The call begins when the pipeline starts, and is delivered whole before the runner returns.
    No error of the library reaches the pipeline. Each call needs an observer of its own.

    Event handlers:

    - on_call_ended: Called as `(observer, report)` with the `CallReport`, after delivery. The
      handler may be a plain or an async function; an async one runs as a task, and the observer's
      cleanup waits for it. Pipecat logs an error in a handler, and nothing else changes.

    Args:
        agent_id: The agent's id at Roark. Roark registers the agent the first time it sees the id.
        api_key: The API key. The default None takes that of the environment's `ROARK_API_KEY`.
        agent_name: The agent's name, shown by Roark. The default None sends none.
        agent_prompt: The agent's system prompt. The default None sends none.
        audio_buffer_processor: Your own processor, already placed in the pipeline, to use instead
            of the stereo recorder. It is started if it doesn't record yet, and its audio is never
            wiped. The default None makes a stereo recorder, to be placed as `audio_processor`.
        pipecat_call_id: The call's identity. The default None takes it from `runner_args`.
        runner_args: What Pipecat's runner hands to the bot, as an object or a mapping. Its
            `webrtc_connection.pc_id`, else its `session_id`, becomes the call's identity. If it
            has neither, as the default None, the identity is a random UUID.
        deadline_secs: How long the delivery may go on when the call has ended, in seconds. By
            default 10.
        max_waiting_bytes: How much audio may wait in memory while Roark is away, in bytes. By
            default 64 MiB, eleven minutes of stereo at 24 kHz.
        max_process_waiting_bytes: How much audio all calls of this process may have waiting in
            memory together, in bytes. Beyond it the call that has the most loses audio first.
            While calls with different values have audio waiting, the smallest value holds. By
            default 256 MiB.
        spool_dir: Folder where calls are kept on disk until they are delivered. It then holds
            speech and transcripts. The default None takes that of the environment's
            `ROARK_SPOOL_DIR`, and without that keeps nothing on disk.
        redact: Your function that decides what of each turn and tool call may be seen. It takes a
            `Turn` or a `ToolCall` and returns it, one with other content, or None if nothing of it
            may be seen. It may be a plain function, which runs in a thread, or an async one, and
            has five seconds. If it fails, the item is masked. The default None lets all pass.
        consent_required: Whether nothing may leave until `consent_given()`. By default False.
        capture: What is captured: some of `audio`, `words` and `tools`. By default all of it.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If the key is missing, the agent id empty, `ROARK_BASE_URL` unusable, a bound
            out of range, `capture` names something else, or `redact` is given together with
            `audio_buffer_processor`, whose audio it can't silence.
    """

    def __init__(  # noqa: PLR0913  # the drop-in's whole configuration
        self,
        *,
        agent_id: str,
        api_key: str | None = None,
        agent_name: str | None = None,
        agent_prompt: str | None = None,
        audio_buffer_processor: AudioBufferProcessor | None = None,
        pipecat_call_id: str | None = None,
        runner_args: object = None,
        deadline_secs: float = settings.DEADLINE_SECS,
        max_waiting_bytes: int = settings.MAX_WAITING_BYTES,
        max_process_waiting_bytes: int = settings.MAX_PROCESS_WAITING_BYTES,
        spool_dir: str | os.PathLike[str] | None = None,
        redact: settings.Redact | None = None,
        consent_required: bool = False,
        capture: Iterable[str] = settings.CAPTURE,
    ) -> None:
        super().__init__()
        self._register_event_handler("on_call_ended")
        self._settings = settings.Settings.check(
            agent_id=agent_id,
            api_key=api_key,
            agent_name=agent_name,
            agent_prompt=agent_prompt,
            deadline_secs=deadline_secs,
            max_waiting_bytes=max_waiting_bytes,
            max_process_waiting_bytes=max_process_waiting_bytes,
            spool_dir=spool_dir,
            redact=redact,
            consent_required=consent_required,
            capture=capture,
        )
        self._watcher = Watcher(
            self,
            self._settings,
            settings.call_id(pipecat_call_id, runner_args),
            processor=audio_buffer_processor,
            on_ended=self._ended,
        )
        # Looked up for every frame at every hop.
        self._ignored, self._seen = self._watcher.ignored, self._watcher.seen
        self._quiet = self._watcher.quiet

    def __repr__(self) -> str:
        return (
            f"RoarkObserver(agent_id={self._settings.agent_id!r}, "
            f"pipecat_call_id={self.pipecat_call_id!r})"
        )

    @property
    def audio_processor(self) -> AudioBufferProcessor:
        """The recorder, to be placed after `transport.output()`."""
        return self._watcher.recorder.processor

    @property
    def pipecat_call_id(self) -> str:
        """The call's identity at Roark."""
        return self._watcher.call.pipecat_call_id

    @property
    def receipt(self) -> Receipt:
        """What of the call has arrived at Roark, and what is lost; you can read it at any time."""
        return self._watcher.call.gate.receipt

    def report(self) -> CallReport:
        """Return the call as it is known now; you can ask at any time."""
        return self._watcher.call.report()

    def pause(self) -> None:
        """Capture nothing from now on, until `resume()`.

        Both channels are silent meanwhile. A turn or tool call of which any part lies in the pause
        keeps its times, and its content is `[paused]`. Stopping and starting the recorder means the
        same as this and `resume()`.
        """
        self._watcher.pause()

    def resume(self) -> None:
        """Capture again what happens from now on."""
        self._watcher.resume()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause while a `with` block runs; inside of another pause, this changes nothing."""
        if self._watcher.recorder.pauses.open:
            yield
            return
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def consent_given(self) -> None:
        """Let the call leave, with everything that was captured so far.

        Only a call with `consent_required=True` waits for it. Call it in the pipeline's event loop.
        After `consent_refused()` it changes nothing.
        """
        self._watcher.call.gate.consent_given()

    def consent_refused(self) -> None:
        """Discard the call, now and to its end; after `consent_given()` this changes nothing."""
        self._watcher.call.gate.consent_refused()

    async def aflush(self, reason: str = "client-disconnected") -> None:
        """End the call now and wait until it is delivered, for as long as the deadline allows.

        A WebRTC client that goes away does not end the pipeline. Call this when your transport
        reports it, before you cancel the task. Frames that come later, and further calls of this,
        change nothing.

        Args:
            reason: Why the call ended. The reason of an end frame that came before takes
                precedence.
        """
        with self._watcher.boundary:
            await self._watcher.call.finished(reason)

    @property
    def observe_every_push(self) -> bool:
        """Whether Pipecat shows a frame at each hop, and not only at the first one (1.12.0)."""
        return self._watcher.needs_each_hop

    async def on_pipeline_started(self) -> None:
        """Take note that the pipeline's start has passed all of its processors."""
        with self._watcher.boundary:
            self._watcher.on_pipeline_started()

    async def on_push_frame(self, data: FramePushed) -> None:
        """Take note of a frame; this never waits for I/O."""
        frame = data.frame
        try:
            if (frame.id in self._seen and data.destination in self._quiet) or (
                type(frame) in self._ignored
            ):
                return
        except TypeError:  # a processor that can't be hashed; `suppress` costs more
            pass
        with self._watcher.boundary:
            await self._watcher.see(data)

    async def cleanup(self) -> None:
        """Finish the call: the pipeline is over."""
        with self._watcher.boundary:
            await self._watcher.on_observer_cleanup()
        await super().cleanup()  # type: ignore[no-untyped-call]  # Pipecat annotates nothing here

    async def _ended(self, report: CallReport) -> None:
        await self._call_event_handler("on_call_ended", report)
