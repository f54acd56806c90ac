"""What can be wrong with the wiring of a bot, told from its call.

The library looks at a call as it ends, and logs what it finds. `pipecat-roark doctor` and the page
look at a stored call. Each of them gathers what it can know, and `examine` decides and finds the
words, so they are the same in both places.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

FASTEST_RESPONSE_MS = 100
"""No recognition, model and speech together are faster."""
MARKER_TOLERANCE_MS = 100
BACKLOG_MS = 1000
"""Audio that waited for less is not worth a word."""
_AUDIBLE = 0.01
"""Amplitude, as a share of full scale, that even quiet speech exceeds."""
_ODD_KEY = r"(?i)[\s\"'<>${}]|\.\.\.|…|^(?:your|bearer|roark_api_key|none$|null$)"
"""Compiled when a call is over: that takes longer than to import all of this."""


class Finding(NamedTuple):
    """Something that is wrong.

    Attributes:
        name: A stable word for programs.
        sentence: What is wrong.
        remedy: What to do about it.
    """

    name: str
    sentence: str
    remedy: str

    def __str__(self) -> str:
        """Both sentences, for people."""
        return f"{self.sentence} {self.remedy}"


class Marker(NamedTuple):
    """A turn, as far as it tells of the wiring.

    Attributes:
        role: `user` or `assistant`.
        at: When the speech began, UTC.
        start_ms: The same in the recording; None if it isn't in there.
        end_ms: The end in the recording.
        response_ms: Time from the end of the user's speech, of an answer.
    """

    role: str
    at: datetime
    start_ms: int | None
    end_ms: int | None
    response_ms: int | None


class Evidence(NamedTuple):
    """What somebody knows of a call. What it can't know is None.

    Attributes:
        turns: In their order.
        started_at: When the pipeline started, UTC.
        wants_transcript: Whether words were to be captured, and to leave.
        has_recorder: Whether the recorder was in the pipeline, or audio came from it.
        before_output: Whether the recorder stood before the output.
        user_spoke: Whether speech of the user was detected, whether it is in a turn or not.
        user_heard: Whether any audio of the user was recorded.
        assistant_heard: Whether any audio of the assistant was recorded.
        texts: Names of the frames with text that came.
        level: Returns how loud a role is between two moments of the recording, from 0 to 1.
        has_odd_key: Whether the API key doesn't look like one.
    """

    turns: Sequence[Marker]
    started_at: datetime | None = None
    wants_transcript: bool = True
    has_recorder: bool | None = None
    before_output: bool | None = None
    user_spoke: bool = False
    user_heard: bool | None = None
    assistant_heard: bool | None = None
    texts: tuple[str, ...] | None = None
    level: Callable[[str, float, float], float] | None = None
    has_odd_key: bool = False


OBSERVER_MISSING = Finding(
    "observer-missing",
    "RoarkObserver was not among the observers of its pipeline and attached itself.",
    "The right line: PipelineTask(pipeline, observers=[roark])",
)
_PLACEMENT = "Put it right after transport.output()."
"""It is the recorder, which each sentence before names."""


def is_odd_key(key: str) -> bool:
    """Return whether an API key doesn't look like one: quoted, a placeholder, or with a prefix."""
    return re.search(_ODD_KEY, key) is not None


def examine(evidence: Evidence) -> Iterator[Finding]:
    """Yield what is wrong with a call that is over."""
    yield from _recorder(evidence)
    yield from _transcript(evidence)
    yield from _channels(evidence)
    yield from _markers(evidence)
    yield from _responses(evidence)
    yield from _start(evidence)
    if evidence.has_odd_key:
        yield Finding(
            "odd-key",
            "The API key doesn't look like one: it has a quote, a space or a placeholder in it.",
            "Copy it from Roark again, without quotes and without 'Bearer'.",
        )


def _recorder(evidence: Evidence) -> Iterator[Finding]:
    if evidence.has_recorder is False:
        yield Finding(
            "no-recording",
            "The call has no recording: no audio reached the recorder, or it is not in the "
            "pipeline.",
            _PLACEMENT,
        )
    elif evidence.before_output:
        yield Finding(
            "before-output",
            "The recorder stands before transport.output(): the assistant is recorded as it was "
            "made, not as it was heard.",
            _PLACEMENT,
        )


def _transcript(evidence: Evidence) -> Iterator[Finding]:
    if evidence.turns or not evidence.wants_transcript:
        return
    if evidence.texts:
        yield Finding(
            "empty-transcript",
            f"The call has an empty transcript, though {' and '.join(evidence.texts)} came: "
            "nothing of it was said by the user, or played by the output.",
            "Look at what stands between the services and the output.",
        )
        return
    seen = ": no TranscriptionFrame and no TTSTextFrame was seen"
    yield Finding(
        "empty-transcript",
        f"The call has an empty transcript{'' if evidence.texts is None else seen}.",
        "Usual causes: the observer is not in PipelineTask(observers=[...]), nobody spoke, or the "
        "services push no text.",
    )


def _channels(evidence: Evidence) -> Iterator[Finding]:
    if evidence.has_recorder is False:
        return
    if evidence.user_heard is False and evidence.user_spoke:
        yield Finding(
            "no-user-audio",
            "The call was recorded without the user: no audio of the microphone reached the "
            "recorder.",
            "Set audio_in_passthrough=True in the parameters of the transport.",
        )
    spoken = [turn for turn in _placed(evidence) if turn.role == "assistant"]
    if evidence.assistant_heard is False and spoken:
        yield Finding(
            "silent-assistant",
            "The assistant's channel is silent, though the assistant has turns: its audio doesn't "
            "pass the recorder.",
            _PLACEMENT,
        )


def _markers(evidence: Evidence) -> Iterator[Finding]:
    if evidence.level is None:
        return
    silent = {
        role
        for role, heard in (
            ("user", evidence.user_heard),
            ("assistant", evidence.assistant_heard),
        )
        if not heard
    }
    turns = [turn for turn in _placed(evidence) if turn.role not in silent]
    off = [turn for turn in turns if not _is_audible(turn, evidence.level)]
    if off:
        yield Finding(
            "markers-off",
            f"{len(off)} of {len(turns)} turns begin or end more than {MARKER_TOLERANCE_MS} ms "
            "from audible speech. Unless you silenced them, the recorder doesn't stand where the "
            "audio is played.",
            _PLACEMENT,
        )


def _is_audible(turn: Marker, level: Callable[[str, float, float], float]) -> bool:
    """Return whether speech can be heard near both edges of a placed turn."""
    return all(
        edge is not None
        and level(turn.role, edge - MARKER_TOLERANCE_MS, edge + MARKER_TOLERANCE_MS) > _AUDIBLE
        for edge in (turn.start_ms, turn.end_ms)
    )


def _responses(evidence: Evidence) -> Iterator[Finding]:
    times = [turn.response_ms for turn in evidence.turns if turn.response_ms is not None]
    wrong = [time for time in times if time < FASTEST_RESPONSE_MS]
    if wrong:
        yield Finding(
            "response-times",
            f"{len(wrong)} of {len(times)} response times can't be: the fastest is {min(wrong)} "
            "ms.",
            "Usual causes: the end of the user's speech is detected late, the user speaks into "
            "the answer, or the bot answers before it has understood.",
        )


def _start(evidence: Evidence) -> Iterator[Finding]:
    first = next(iter(_placed(evidence)), None)
    if first is None or first.start_ms is None or evidence.started_at is None:
        return
    waited_ms = (evidence.started_at - first.at).total_seconds() * 1000 + first.start_ms
    if waited_ms > BACKLOG_MS:
        yield Finding(
            "late-start",
            f"The caller had been speaking to nobody for {waited_ms / 1000:.1f} s when the "
            "pipeline started.",
            "Load models and connect services before the call is answered.",
        )


def _placed(evidence: Evidence) -> list[Marker]:
    return [turn for turn in evidence.turns if turn.start_ms is not None]
