"""Any value as plain JSON: an application's tools take and give any type, size and depth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_TEXT = 64 * 1024
"""Longest arguments or result of a tool, in characters; the rest is cut with a visible mark."""
_MAX_DEPTH = 32
_MAX_ITEMS = MAX_TEXT
"""Of a value, all levels together: more don't fit into a result, and would hold the event loop."""
_MAX_INT_BITS = 2048
"""Of an integer that is written in decimal; Python refuses much longer ones."""
_SHORT_TEXT = 64
"""Texts in a structure that are no longer than this are kept: there are only so many items."""
_CUT = "…"
_T = TypeVar("_T")


def encode(payload: Mapping[str, object]) -> bytes:
    """Encode as compact JSON in UTF-8."""
    # By way of UTF-16, which joins surrogate pairs and replaces lone ones: those are no text, and
    # a parser may refuse the whole event for one.
    text = _dump(payload).encode("utf-16", "surrogatepass")
    return text.decode("utf-16", "replace").encode()


def arguments_text(value: object) -> str:
    """Return a tool call's arguments as a JSON string; a string is kept as it came."""
    if value is None:
        return "{}"
    if isinstance(value, str):
        return _bounded(value)
    # It must remain JSON, so the texts in it are cut, and not the whole.
    return _dump(_shortened(_plain(value), [MAX_TEXT]))


def result_text(value: object) -> str:
    """Return a tool's result as text: structures as JSON, None as nothing, scalars as `str()`."""
    plain = _plain(value)
    if plain is None:
        return ""
    return _bounded(_dump(plain) if isinstance(plain, (dict, list)) else str(plain))


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        return f"{text[:MAX_TEXT]}{_CUT} [cut: {len(text)} characters in all]"
    return text


def _shortened(plain: object, room: list[int]) -> object:
    """Return JSON whose long texts, all together, fit into the room that is left."""
    if isinstance(plain, dict):
        return {_shortened(key, room): _shortened(value, room) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_shortened(item, room) for item in plain]
    if not isinstance(plain, str) or len(plain) <= _SHORT_TEXT:
        return plain
    kept = plain[: room[0]]
    room[0] -= len(kept)
    return plain if kept == plain else f"{kept}{_CUT}"


def _dump(plain: object) -> str:
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> object:
    """Return what JSON can hold of a value, whatever it is."""
    return _reduce(value, (), iter(range(_MAX_ITEMS)))


def _reduce(value: object, above: tuple[int, ...], room: Iterator[int]) -> object:
    """Reduce a value; `above` are the ids of its holders, `room` yields once for each item."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_INT_BITS else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if id(value) in above or len(above) == _MAX_DEPTH:
        return _CUT
    try:
        return _reduce_object(value, (*above, id(value)), room)
    except Exception:  # noqa: BLE001  # a stranger's object may raise anything
        return f"<{type(value).__name__}>"


def _reduce_object(  # noqa: PLR0911
    value: Any,  # noqa: ANN401
    above: tuple[int, ...],
    room: Iterator[int],
) -> object:
    if isinstance(value, Mapping):
        items = _take(value.items(), room, (_CUT, _CUT))
        return {str(_reduce(k, above, room)): _reduce(v, above, room) for k, v in items}
    if isinstance(value, (list, tuple, AbstractSet)):
        return [_reduce(item, above, room) for item in _take(value, room, _CUT)]
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", errors="replace")
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: getattr(value, field.name, None) for field in fields(value)}
        return _reduce(members, above, room)
    if callable(dump := getattr(type(value), "model_dump", None)):  # of pydantic
        return _reduce(dump(value), above, room)
    return str(value)


def _take(items: Iterable[_T], room: Iterator[int], mark: _T) -> Iterator[_T]:
    """Yield items while there is room, then a mark."""
    for item in items:
        if next(room, None) is None:
            yield mark
            return
        yield item
