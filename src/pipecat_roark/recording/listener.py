"""What a recorder and the call that it records know of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.frames.frames import Frame
    from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
    from pipecat.processors.frame_processor import FrameProcessorSetup

    from pipecat_roark.channel import ChannelEnd
    from pipecat_roark.moments import Edge, OffsetMs, Places, Speaker
    from pipecat_roark.spans import Spans


class UserTrack(Protocol):
    """The user's track at the moment at which a frame passes the recorder."""

    @property
    def has_user_audio(self) -> bool:
        """Whether any audio of the user was recorded by then."""

    def user_onset(self, secs: float) -> int | None:
        """Return the sample at which the speech began that was detected after `secs` seconds."""

    def user_offset(self, secs: float) -> int | None:
        """Return the sample at which the speech ended that was followed by `secs` of silence."""


class Listener(Protocol):
    """Receives what a recorder records and sees."""

    def on_audio(self, pcm: bytes) -> bytes:
        """Receive the next audio of the recording, interleaved.

        Returns:
            The audio that the recorder's own events may hand out now: the same object, other audio
            of any length, or nothing. What is held back now, `Recorder.publish` hands out.
        """

    def on_frame(self, frame: Frame, at: int, track: UserTrack) -> None:
        """Receive a frame that isn't audio, with its pipeline time and the user's track by then."""

    def on_bot_onset(self, at: int, edge: Edge) -> None:
        """Note at `at` that the bot can be heard from `edge` on."""

    def on_bot_offset(self, at: int, edge: Edge) -> None:
        """Note at `at` that the bot could be heard until `edge`."""

    def on_setup(self, setup: FrameProcessorSetup) -> Callable[[], int]:
        """Receive what the pipeline sets its processors up with.

        Returns:
            The clock to record by, in nanoseconds.
        """

    async def on_cleanup(self) -> None:
        """Finish the call: the pipeline is over."""


class Recorder(Protocol):
    """Records a call: this package's `StereoRecorder`, or the caller's own processor."""

    @property
    def processor(self) -> AudioBufferProcessor:
        """The processor that stands in the pipeline."""

    @property
    def origin_ns(self) -> int | None:
        """Pipeline time of sample 0; None while nothing is recorded."""

    @property
    def offset_ms(self) -> OffsetMs | None:
        """Returns the place of a sample in the recording; None if the layout is unknown."""

    @property
    def places(self) -> Places | None:
        """Gives moments their place in the recording; None if it runs with the pipeline's clock."""

    @property
    def sample_rate(self) -> int:
        """Sample rate of the recording in Hz."""

    @property
    def num_channels(self) -> int:
        """Number of channels of the recording."""

    @property
    def in_pipeline(self) -> bool:
        """Whether frames of a pipeline reach the processor."""

    @property
    def after_output(self) -> bool:
        """Whether an output transport stands before the processor."""

    @property
    def reads_inline(self) -> bool:
        """Whether the listener receives each frame as it passes, before any observer sees it."""

    @property
    def awaits_audio(self) -> bool:
        """Whether an observer must still look at the audio frames."""

    def tail(self, speaker: Speaker, start: int) -> ChannelEnd:
        """Return the end of a speaker's channel that the listener has not received yet.

        Args:
            speaker: The speaker.
            start: How many bytes at its front to leave out, as far as they are settled.
        """

    @property
    def pauses(self) -> Spans:
        """When nothing of what is said may be recorded; anybody may begin and end a pause."""

    async def publish(self, pcm: bytes) -> None:
        """Hand out audio, interleaved, by the recorder's own events, if it has any."""

    async def finish(self) -> None:
        """Hand the rest of the audio to the listener."""
