"""What differs between Pipecat's releases, looked up by what is there and never by version.

Nothing else in the library asks what a release has. A release in a comment is the first that has
the thing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat.frames import frames
from pipecat.observers.base_observer import BaseObserver

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat.frames.frames import Frame
    from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
    from pipecat.processors.frame_processor import FrameProcessor, FrameProcessorSetup


def frame_types(*names: str) -> tuple[type[Frame], ...]:
    """Return those of these types of frame that the installed Pipecat has."""
    return tuple(getattr(frames, name) for name in names if hasattr(frames, name))


AGGREGATED_TEXT = frame_types("AggregatedTextFrame")  # 0.0.95
"""Text that is about to be made into speech."""
STREAMED_AUDIO = frame_types("SpeechOutputAudioRawFrame")
"""Speech without a beginning and an end, such as that of a video avatar."""
USER_MUTE_STARTED = frame_types("UserMuteStartedFrame")
USER_MUTE_STOPPED = frame_types("UserMuteStoppedFrame")
CLIENT_CONNECTED = frame_types("ClientConnectedFrame")  # 0.0.104
MARKERS = frame_types("LLMMarkerFrame")  # 1.4.0
"""A model's judgement whether the user has finished."""
RECORDING_STARTS = frame_types("AudioBufferStartRecordingFrame")
RECORDING_STOPS = frame_types("AudioBufferStopRecordingFrame")

SHOWS_FRAMES_ONCE = hasattr(BaseObserver, "observe_every_push")  # 1.12.0
"""Whether an observer can be shown a frame only where it is pushed first."""

_AFTER_WORDS = (" ", "\n", *",.;:!?)…'", "\N{RIGHT SINGLE QUOTATION MARK}")
"""How a text begins that continues the one before it."""


def identity(frame: Frame) -> int:
    """Return what the two frames of a broadcast share.

    They name each other from 0.0.103 on. Before that it is the frame's own id.
    """
    sibling: int | None = getattr(frame, "broadcast_sibling_id", None)
    return frame.id if sibling is None else min(frame.id, sibling)


def names_sibling(frame: Frame) -> bool:
    """Return whether a frame names the other one of its broadcast (0.0.103)."""
    return getattr(frame, "broadcast_sibling_id", None) is not None


def detection_secs(frame: Frame, name: str, otherwise: float) -> float:
    """Return how long a detector of speech took to be sure, in seconds.

    Args:
        frame: The detector's frame.
        name: `start_secs` or `stop_secs`, which are on the frames from 0.0.102 on.
        otherwise: The value that `SpeechControlParamsFrame` gave before.
    """
    return float(getattr(frame, name, otherwise))


def brings_spaces(frame: Frame, *, otherwise: bool) -> bool:
    """Return whether a text has the spaces around it (`includes_inter_frame_spaces`, 0.0.93)."""
    return bool(getattr(frame, "includes_inter_frame_spaces", otherwise))


def continues(text: str) -> bool:
    """Return whether a text looks like a part that a realtime model streams."""
    return text.startswith(_AFTER_WORDS)


def context(frame: Frame) -> object:
    """Return what the frames of one utterance share, if they do."""
    return getattr(frame, "context_id", None)


def will_be_spoken(frame: Frame) -> bool:
    """Return whether a speech service is going to speak a text that is announced."""
    spoken = getattr(frame, "will_be_spoken", True)  # 1.9.0
    return bool(context(frame)) and spoken and not skips_speech(frame)


def skips_speech(frame: Frame) -> bool:
    """Return whether a text is not to be spoken, as in a pipeline that is run as a text chat."""
    return bool(getattr(frame, "skip_tts", False))


def is_client(source: object) -> bool:
    """Return whether a processor passes on what the user's client sends: Pipecat's RTVI processor.

    It is known by the name of its class, because the import of its module takes time.
    """
    return _is_a("RTVIProcessor", source)


def is_model(source: object) -> bool:
    """Return whether a processor is a language model's service, known by its class's name."""
    return _is_a("LLMService", source)


def is_speech_service(source: object) -> bool:
    """Return whether a processor makes speech of text, known by its class's name."""
    return _is_a("TTSService", source)


def _is_a(name: str, processor: object) -> bool:
    return any(kind.__name__ == name for kind in type(processor).__mro__)


def is_interruptible(frame: Frame) -> bool:
    """Return whether an interruption drops speech that waits to be played."""
    return bool(getattr(frame, "interruptible", True))


def is_final(properties: object) -> bool:
    """Return whether no more results of a tool follow (`is_final`, 1.0.0)."""
    return bool(getattr(properties, "is_final", True))


def end_reason(frame: Frame) -> str | None:
    """Return the reason that an end frame gives (0.0.93), or None."""
    reason = getattr(frame, "reason", None)
    return str(reason) if reason else None


def tracing_context(start: Frame) -> object:
    """Return where a pipeline keeps the trace of its conversation, or None if it has no tracing.

    Reading this field of the start frame warns from 1.8.0 on, so it is read past the warning.
    """
    return vars(start).get("tracing_context")


def is_recording(processor: AudioBufferProcessor, *, otherwise: bool) -> bool:
    """Return whether Pipecat's own recorder records now.

    Args:
        processor: The recorder.
        otherwise: What to return if it does not tell.
    """
    return bool(getattr(processor, "_recording", otherwise))


def attach(observer: BaseObserver, pipeline_observer: object) -> bool:
    """Attach an observer to a pipeline that is being set up, unless it already is.

    From 1.0.0 on, `PipelineParams(observers=[...])` is silently ignored: nobody would call the
    observer, though its recorder is in the pipeline.

    Args:
        observer: The observer.
        pipeline_observer: What the pipeline's processors report to, which passes it on.

    Returns:
        Whether it was missing and is attached now.
    """
    attached = getattr(pipeline_observer, "_observers", None)
    add = getattr(pipeline_observer, "add_observer", None)
    if attached is None or add is None or observer in attached:
        return False
    add(observer)
    return True


def before_setup(processor: FrameProcessor, note: Callable[[FrameProcessorSetup], None]) -> None:
    """Let a function see what a pipeline sets a processor up with, before the processor does.

    Pipecat has no event for it. Later an observer can't be attached safely: up to 1.7.0 a pipeline
    that began without observers never calls one.
    """
    set_up = processor.setup

    async def noted(setup: FrameProcessorSetup) -> None:
        note(setup)
        await set_up(setup)

    processor.setup = noted  # type: ignore[method-assign]
