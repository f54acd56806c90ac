"""The door of a conversation: no argument of a wrong type or size gets in.

Values come from frames, and so from any speech service, model or application. One that a verb
cannot use must not be in the conversation, because every later report would fail because of it.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

from pipecat_roark.conversation.text import SpokenText
from pipecat_roark.moments import Edge, Step

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_TIME = 2**62
"""146 years in nanoseconds: the wall time of a moment must remain a date."""
_MAX_INDEX = 2**40
"""Four years of samples at 8 kHz."""
_MAX_SECONDS = 86400.0
"""A day of audio in one frame."""
_STEPS = get_args(Step)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int)


def _is_time(value: object) -> bool:
    return isinstance(value, int) and -_MAX_TIME < value < _MAX_TIME


def _is_seconds(value: object) -> bool:
    # A comparison with NaN is false.
    return isinstance(value, (int, float)) and 0 <= value <= _MAX_SECONDS


def _is_edge(value: object) -> bool:
    if not isinstance(value, Edge) or not _is_time(value.at):
        return False
    index: object = value.index
    return index is None or (isinstance(index, int) and -_MAX_INDEX < index < _MAX_INDEX)


def _is_spoken_text(value: object) -> bool:
    if not isinstance(value, SpokenText) or not _is_text(value.text):
        return False
    spaced: object = value.spaced
    interruptible: object = value.interruptible
    timed = value.sounds_at is None or _is_time(value.sounds_at)
    return timed and isinstance(spaced, bool) and isinstance(interruptible, bool)


CHECKS: dict[str, Callable[[object], bool]] = {
    "at": _is_time,
    "edge": _is_edge,
    "words": _is_spoken_text,
    "text": _is_text,
    "key": _is_number,
    "seconds": _is_seconds,
    "seconds_made": lambda value: value is None or _is_seconds(value),
    "voice": _is_text_or_none,
    "user_id": _is_text_or_none,
    "language": _is_text_or_none,
    "reason": _is_text,
    "tool_call_id": _is_text,
    "name": _is_text,
    "arguments": _is_text,
    "content": _is_text,
    "called_name": _is_text_or_none,
    "called_arguments": _is_text_or_none,
    "frame": lambda value: value is None or isinstance(value, int),
    "final": lambda value: isinstance(value, bool),
    "silent": lambda value: isinstance(value, bool),
    "step": lambda value: value in _STEPS,
    "owner": _is_text,
}
"""What an argument must be, by its name: one name means one thing in every verb."""


def check(verb: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Check the arguments of a verb.

    Raises:
        TypeError: If one is of a wrong type or size.
    """
    for (name, fits), value in zip(_checks(verb), args, strict=False):
        if not fits(value):
            raise _misfit(name)
    for name, value in kwargs.items():
        check_value(name, value)


def check_value(name: str, value: object) -> None:
    """Check a value by the name of its argument.

    Raises:
        TypeError: If it is of a wrong type or size.
    """
    if not CHECKS[name](value):
        raise _misfit(name)


def _misfit(name: str) -> TypeError:
    """Return an error that doesn't contain the value, which may be what a caller said."""
    return TypeError(f"{name} is of a wrong type or size")


@cache
def _checks(verb: Callable[..., None]) -> tuple[tuple[str, Callable[[object], bool]], ...]:
    names = [*inspect.signature(verb).parameters][1:]
    return tuple((name, CHECKS[name]) for name in names)
