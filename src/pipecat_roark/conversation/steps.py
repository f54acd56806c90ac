"""The steps that led to the bot's speech: those on its way, out of all that happened meanwhile.

A model may be asked twice, a sentence may be made while an earlier one is spoken, and a tool may
run beside the answer. So a step joins the way unless one that is on it already excludes it, and
what turns out not to have led anywhere leaves it. `_RULES` has both.

Pure: times are pipeline nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipecat_roark.moments import Step

_OwnStep: TypeAlias = Literal[
    "silence",
    "silence begun",
    "silence detected",
    "transcribed",
    "floor taken",
    "tools begun",
    "tools done",
    "speech announced",
    "audible",
    "bot silent",
]
AnyStep: TypeAlias = "Step | _OwnStep"


class Mark(NamedTuple):
    """A step, when it happened, and who took it.

    Attributes:
        step: What happened.
        at: Pipeline time.
        owner: Name of the processor or of the tool.
    """

    step: AnyStep
    at: int
    owner: str = ""


class ToolSpan(NamedTuple):
    """When a tool ran; the end is None while it runs."""

    begin: int
    end: int | None
    name: str


class _Rule(NamedTuple):
    """What a step does to the way.

    Attributes:
        unless: Steps that exclude it, if they are on the way.
        behind: If not empty, the step must directly follow one of these.
        drops: Steps that leave the way.
    """

    unless: frozenset[AnyStep] = frozenset()
    behind: frozenset[AnyStep] = frozenset()
    drops: frozenset[AnyStep] = frozenset()


def _any_of(*steps: AnyStep) -> frozenset[AnyStep]:
    return frozenset(steps)


_OF_USER = _any_of("silence", "silence begun", "silence detected", "transcribed", "floor taken")
_MADE = _any_of("sentence made", "speech asked for", "synthesis begun")
_HEARD = _any_of("first audio", "first audio of model", "speech announced")
_SPOKEN = _MADE | _HEARD
_WRITTEN = _any_of("first text", "text held back")
_OF_MODEL = _any_of("model asked", "first chunk", "found complete", "found incomplete") | _WRITTEN
_ASKED = _OF_MODEL | _SPOKEN | _any_of("tools begun")
_RULES: dict[AnyStep, _Rule] = {
    "client ready": _Rule(_ASKED, drops=_any_of("client ready")),
    # From here on the detector waits; by the sound, the user may have finished before.
    "silence begun": _Rule(
        _ASKED | _any_of("silence begun", "floor taken"), drops=_any_of("transcribed")
    ),
    # Words that came before the silence was sure kept nobody waiting.
    "silence detected": _Rule(
        _ASKED | _any_of("silence detected", "floor taken"), drops=_any_of("transcribed")
    ),
    "transcribed": _Rule(_ASKED, drops=_any_of("transcribed", "floor taken")),
    "floor taken": _Rule(_ASKED, drops=_any_of("floor taken")),
    # Text of the response before was not spoken, if none of it was made into speech by now.
    "model asked": _Rule(_SPOKEN, drops=_WRITTEN),
    "first chunk": _Rule(behind=_any_of("model asked")),
    "found complete": _Rule(behind=_any_of("model asked", "first chunk")),
    "found incomplete": _Rule(behind=_any_of("model asked", "first chunk")),
    "first text": _Rule(_SPOKEN | _WRITTEN),
    "text held back": _Rule(_SPOKEN | _WRITTEN),
    "tools begun": _Rule(_SPOKEN),
    "tools done": _Rule(behind=_any_of("tools begun")),
    "sentence made": _Rule(_SPOKEN),
    # A service's own measurement knows better when it was asked than the begin that it announces.
    "speech asked for": _Rule(_HEARD | _any_of("sentence made"), drops=_any_of("synthesis begun")),
    "synthesis begun": _Rule(_SPOKEN),
    "first audio": _Rule(_HEARD),
    # A model that speaks itself does all of this in one.
    "first audio of model": _Rule(_HEARD, drops=_OF_MODEL | _MADE | _any_of("transcribed")),
    "speech announced": _Rule(_any_of("speech announced")),
    "interrupted": _Rule(drops=_ASKED | _any_of("tools done", "interrupted")),
}


def to_answer(
    marks: Iterable[Mark], tools: Sequence[ToolSpan], since: int, until: int
) -> list[Mark]:
    """Return the steps that led to an answer, in order.

    Args:
        marks: All steps that were seen.
        tools: The tools that ran, in the order of their begins.
        since: When the user had finished, which is the first step.
        until: When the bot was heard.
    """
    first = bisect_left(tools, since, key=attrgetter("begin"))
    last = bisect_right(tools, until, key=attrgetter("begin"))
    found = _way([*marks, *_groups(tools[first:last])], since, until)
    return [Mark("silence", since), *found]


def to_speech(marks: Iterable[Mark], tools: Sequence[ToolSpan], until: int) -> list[Mark]:
    """Return the steps that led to speech for which no user had asked.

    A tool that ran while the bot said something before counts from the end of that.
    """
    since = max((mark.at for mark in marks if mark.step == "bot silent"), default=0)
    ran = [
        tool._replace(begin=max(tool.begin, since))
        for tool in tools
        if tool.begin <= until and (tool.end is None or tool.end > since)
    ]
    own = [mark for mark in marks if mark.step not in _OF_USER]
    found = _way([*own, *_groups(ran)], since, until)
    while found and found[0].step in _HEARD | _any_of("tools done"):
        found = found[1:]
    return found


def _way(marks: Iterable[Mark], since: int, until: int) -> list[Mark]:
    """Return the steps between two moments that led to the bot's speech, in order."""
    found: list[Mark] = []
    for mark in sorted(marks, key=attrgetter("at")):
        rule = _RULES.get(mark.step)
        if rule is None or not since <= mark.at <= until:
            continue
        if not rule.unless.isdisjoint(one.step for one in found):
            continue
        if rule.behind and not (found and found[-1].step in rule.behind):
            continue
        found = [one for one in found if one.step not in rule.drops]
        if mark.step in _SPOKEN:
            found = _without_side_work(found)
        found.append(mark)
    return [mark for mark in found if mark.step != "interrupted"]


def _without_side_work(found: list[Mark]) -> list[Mark]:
    """Leave out tools that the model called behind a text which was spoken."""
    for number, mark in enumerate(found):
        if mark.step in _WRITTEN:
            return [
                *found[: number + 1],
                *(one for one in found[number + 1 :] if one.step in _SPOKEN),
            ]
    return found


def _groups(tools: Iterable[ToolSpan]) -> list[Mark]:
    """Return when tools began to run and when the last of those that overlap was done."""
    groups: list[list[ToolSpan]] = []
    latest: int | None = None
    for tool in tools:
        if groups and (latest is None or tool.begin <= latest):
            groups[-1].append(tool)
            latest = None if None in (latest, tool.end) else max(latest or 0, tool.end or 0)
        else:
            groups.append([tool])
            latest = tool.end
    marks = []
    for group in groups:
        # The name is that of the tool which was waited for, and so the last one that was done.
        slowest = max(group, key=lambda one: (one.end is None, one.end or 0))
        others = f" +{len(group) - 1}" if len(group) > 1 else ""
        owner = f"{slowest.name}{others}"
        marks.append(Mark("tools begun", group[0].begin, owner))
        if slowest.end is not None:
            marks.append(Mark("tools done", slowest.end, owner))
    return marks
