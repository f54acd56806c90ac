"""Why an answer took as long as it did: the steps to the bot's speech, made into stages.

Keys, kinds and settings are those of Pipecat's own `UserBotLatencyObserver` (1.9 and newer). Where
the two differ:

1. Steps have the times at which their frames were pushed. Pipecat's are those at which its callback
   ran, which is later: so its `first_request` may be longer, and the stage behind it shorter.
2. The time begins and ends with what can be heard. The detector's `stop_secs` are
   `endpointing_wait`, and the time that it took to notice the silence before is `pipeline`. The
   silence with which a synthesis begins is a second `speech_synthesis`, behind the output.
3. `turn_detection` ends when the pipeline takes the floor from the user. What passes from there to
   the model is `pipeline`. Words that came before the end of speech was sure count as no step.
4. Metrics aren't needed. Without them, the first chunk of a model isn't known: `llm_inference` is
   the time to its first text, or to the tools that it calls. But the announcement of a sentence
   shows its `sentence_aggregation`, which is `speech_synthesis` in Pipecat without the metric.
5. Where nothing shows when a sentence was complete (a Pipecat without such announcements, and
   without metrics), the time from the first text to the begin of the synthesis is `pipeline`.
6. What a realtime model does is one `llm_inference`.
7. `pipeline` stands where it was spent, and less than 5 ms of it belong to the stage beside it.

Pure: times are pipeline nanoseconds.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from pipecat_roark.conversation.steps import AnyStep, Mark, to_answer, to_speech
from pipecat_roark.moments import MILLISECOND
from pipecat_roark.report import LatencyStage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipecat_roark.conversation.steps import ToolSpan

_SLIVER_MS = 5
"""Less than this is spent on the way from one processor to the next."""
_Kind: TypeAlias = Literal["service", "setting", "bot", "pipeline"]
_DETECTOR = "config: VAD stop_secs"
_STRATEGIES = "config: user turn strategies"
_COMPLETION = "config: filter_incomplete_user_turns"
_AGGREGATION = "config: text_aggregation_mode"
_VOICES = ("first audio", "first audio of model")
_OPENER, _CLOSER = "", "closer"
"""Stand for the processor that took the step before the stage, and the one behind it."""


class _What(NamedTuple):
    """What time was spent on, and by whom."""

    key: str
    owner: str
    kind: _Kind = "setting"


_PIPELINE = _What("pipeline", "pipecat", "pipeline")
_INFERENCE = _What("llm_inference", _OPENER, "service")
_TRANSCRIPTION = _What("transcription", _CLOSER, "service")
_DETECTION = _What("turn_detection", _STRATEGIES)
_COMPLETES = _What("turn_completion", _COMPLETION)
_AGGREGATES = _What("sentence_aggregation", _AGGREGATION)
_REQUEST = _What("first_request", "bot", "bot")
_SYNTHESIS = _What("speech_synthesis", _CLOSER, "service")
_TOOL = _What("function_handler", _OPENER, "service")
_AFTER_TOOLS: tuple[AnyStep, ...] = (
    *("tools done", "model asked", "sentence made", "speech asked for", "synthesis begun"),
    "audible",
)

_BETWEEN: dict[tuple[AnyStep, AnyStep], _What] = {
    ("silence", "silence detected"): _What("endpointing_wait", _DETECTOR),
    ("silence begun", "silence detected"): _What("endpointing_wait", _DETECTOR),
    ("silence", "transcribed"): _TRANSCRIPTION,
    ("silence", "floor taken"): _DETECTION,
    ("silence begun", "transcribed"): _TRANSCRIPTION,
    ("silence begun", "floor taken"): _DETECTION,
    ("silence detected", "transcribed"): _TRANSCRIPTION,
    ("silence detected", "floor taken"): _DETECTION,
    ("silence detected", "model asked"): _DETECTION,
    ("transcribed", "floor taken"): _DETECTION,
    ("transcribed", "model asked"): _DETECTION,
    ("client ready", "model asked"): _REQUEST,
    ("client ready", "sentence made"): _REQUEST,
    ("client ready", "speech asked for"): _REQUEST,
    ("client ready", "synthesis begun"): _REQUEST,
    ("model asked", "model asked"): _INFERENCE,
    ("model asked", "first chunk"): _INFERENCE,
    ("model asked", "found complete"): _INFERENCE,
    ("model asked", "found incomplete"): _INFERENCE,
    ("model asked", "first text"): _INFERENCE,
    ("model asked", "text held back"): _INFERENCE,
    ("model asked", "tools begun"): _INFERENCE,
    ("first chunk", "first text"): _INFERENCE,
    ("first chunk", "model asked"): _INFERENCE,
    ("first chunk", "tools begun"): _What("llm_tool_call", _OPENER, "service"),
    ("first chunk", "found complete"): _COMPLETES,
    ("first chunk", "found incomplete"): _COMPLETES,
    ("first chunk", "text held back"): _What("awaiting_speakable_text", _CLOSER, "service"),
    ("found complete", "first text"): _COMPLETES,
    ("found incomplete", "model asked"): _What("waiting_for_user", _COMPLETION),
    ("first text", "sentence made"): _AGGREGATES,
    ("first text", "speech asked for"): _AGGREGATES,
    ("text held back", "sentence made"): _AGGREGATES,
    ("text held back", "speech asked for"): _AGGREGATES,
    ("sentence made", "first audio"): _SYNTHESIS,
    ("speech asked for", "first audio"): _SYNTHESIS,
    ("synthesis begun", "first audio"): _SYNTHESIS,
    ("first audio", "speech announced"): _What("output_transport", _CLOSER, "service"),
    ("first audio of model", "speech announced"): _What("output_transport", _CLOSER, "service"),
    **{("tools begun", step): _TOOL for step in _AFTER_TOOLS},
}
"""What passes between two steps that follow each other; any other two have `pipeline` between."""


def latency(
    marks: tuple[Mark, ...],
    tools: Sequence[ToolSpan],
    *,
    asked: int | None,
    heard: int,
    place_ms: int | None,
) -> tuple[LatencyStage, ...]:
    """Return why a turn of the bot began when it did.

    Args:
        marks: The steps before it.
        tools: The tools that ran in the call, in the order of their begins.
        asked: When the user had finished; None if nobody had asked.
        heard: When the bot was heard.
        place_ms: The same moment in the recording; None if it isn't in there.
    """
    if asked is None:
        found = to_speech(marks, tools, heard)
    else:
        found = to_answer(marks, tools, asked, heard)
    length_ms = round((heard - found[0].at) / MILLISECOND) if found else 0
    if length_ms <= 0:
        return ()
    end_ms = length_ms if place_ms is None else place_ms
    return tuple(_stages([*found, Mark("audible", heard)], end_ms - length_ms))


def _stages(steps: list[Mark], begin_ms: int) -> list[LatencyStage]:
    """Return the stages between steps, the first of which lies there in the recording."""
    result: list[LatencyStage] = []
    start_ms = begin_ms
    for opener, closer, what in _spent(steps):
        stage = LatencyStage(
            key=what.key,
            owner={_OPENER: opener.owner, _CLOSER: closer.owner}.get(what.owner, what.owner),
            kind=what.kind,
            start_ms=start_ms,
            end_ms=begin_ms + round((closer.at - steps[0].at) / MILLISECOND),
        )
        start_ms = stage.end_ms
        _add(stage, result)
    return result


def _spent(steps: list[Mark]) -> Iterator[tuple[Mark, Mark, _What]]:
    """Yield each step and the next one, and what was done between them."""
    voice = next((one for one in steps if one.step in _VOICES), None)
    for opener, closer in pairwise(steps):
        what = _BETWEEN.get((opener.step, closer.step), _PIPELINE)
        if voice and opener.step == "speech announced":
            what = _What("speech_synthesis", voice.owner, "service")
        elif voice and voice.step == "first audio of model" and what is _PIPELINE:
            what = _What("llm_inference", voice.owner, "service")
        yield opener, closer, what


def _add(stage: LatencyStage, result: list[LatencyStage]) -> None:
    """Add a stage, joined with the one before if both are the same."""
    if not stage.duration_ms:
        return
    if len(result) == 1 and _is_sliver(result[0]):
        stage = replace(stage, start_ms=result.pop().start_ms)
    before = result[-1] if result else None
    same = before and (before.key, before.owner) == (stage.key, stage.owner)
    if before and (same or _is_sliver(stage)):
        result[-1] = replace(before, end_ms=stage.end_ms)
    else:
        result.append(stage)


def _is_sliver(stage: LatencyStage) -> bool:
    return stage.kind == "pipeline" and stage.duration_ms < _SLIVER_MS
