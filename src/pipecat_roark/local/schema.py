"""Checks of plain JSON values, built from smaller checks.

A check takes a value and its path, and yields one sentence for each problem. A rule compares
fields with each other, so it runs only if each of them is well-formed. No sentence quotes a value,
because values hold what people said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[object, str], Iterator[str]]
Row: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Row], Iterator[str]]
RowsRule: TypeAlias = Callable[[Sequence[Row]], Iterator[str]]

_UTC = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)", re.ASCII)
_LONGEST_NAME_SHOWN = 40


def parse_utc(value: str) -> datetime:
    """Return an ISO 8601 moment in UTC, to the microsecond.

    Raises:
        ValueError: `value` is no such moment.
    """
    match = _UTC.fullmatch(value)
    if match is None:
        raise ValueError("no ISO 8601 moment in UTC")
    whole, fraction = match.groups(default="")
    moment = datetime.fromisoformat(f"{whole}+00:00")
    return moment.replace(microsecond=int(f"{fraction:0<6}"[:6]))


def text(value: object, path: str) -> Iterator[str]:
    """Accept any string."""
    if not isinstance(value, str):
        yield f"{path}: not a string"


def filled(value: object, path: str) -> Iterator[str]:
    """Accept a string that is more than white space."""
    if not isinstance(value, str) or not value.strip():
        yield f"{path}: not a non-empty string"


def flag(value: object, path: str) -> Iterator[str]:
    """Accept true or false."""
    if not isinstance(value, bool):
        yield f"{path}: not a boolean"


def utc(value: object, path: str) -> Iterator[str]:
    """Accept an ISO 8601 moment in UTC."""
    try:
        parse_utc(value if isinstance(value, str) else "")
    except ValueError:
        yield f"{path}: not an ISO 8601 timestamp in UTC"


def exactly(expected: str) -> Check:
    """Accept only this string."""

    def check(value: object, path: str) -> Iterator[str]:
        if value != expected:
            yield f"{path}: not {expected!r}"

    return check


def matching(pattern: re.Pattern[str], description: str) -> Check:
    """Accept a string that the whole pattern matches."""

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            yield f"{path}: not {description}"

    return check


def integer(low: int, high: int) -> Check:
    """Accept a whole number from `low` to `high`, both included, but no boolean."""

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            yield f"{path}: not an integer from {low} to {high}"

    return check


def nullable(inner: Check) -> Check:
    """Accept null, or what `inner` accepts."""

    def check(value: object, path: str) -> Iterator[str]:
        if value is not None:
            yield from inner(value, path)

    return check


def record(
    *,
    required: Mapping[str, Check],
    optional: Mapping[str, Check] | None = None,
    rules: Sequence[Rule] = (),
) -> Check:
    """Accept an object that has these fields and no others."""
    fields = {**required, **(optional or {})}

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: not an object"
            return
        problems = [f"{_within(path, name)}: missing" for name in required if name not in value]
        for name, inner in value.items():
            if name in fields:
                problems += fields[name](inner, _within(path, name))
            else:
                problems.append(f"{_within(path, repr(name[:_LONGEST_NAME_SHOWN]))}: unknown field")
        yield from problems
        if not problems:
            yield from (_within(path, problem) for rule in rules for problem in rule(value))

    return check


def variants(tag: str, choices: Mapping[str, Check]) -> Check:
    """Accept an object that passes the check of its kind, which its field `tag` names."""

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: not an object"
            return
        kind = value.get(tag)
        if isinstance(kind, str) and kind in choices:
            yield from choices[kind](value, path)
        else:
            yield f"{_within(path, tag)}: not one of {', '.join(choices)}"

    return check


def rows(inner: Check, *, rules: Sequence[RowsRule] = ()) -> Check:
    """Accept a list that is not empty, if `inner` accepts each of its items."""

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, list) or not value:
            yield f"{path}: not a non-empty list"
            return
        problems = [
            problem for i, row in enumerate(value) for problem in inner(row, f"{path}[{i}]")
        ]
        yield from problems
        if not problems:
            yield from (f"{path}{problem}" for rule in rules for problem in rule(value))

    return check


def together(*names: str) -> Rule:
    """Demand all of these fields, or none of them."""

    def rule(row: Row) -> Iterator[str]:
        absent = [name for name in names if name not in row]
        if len(absent) < len(names):
            present = next(name for name in names if name in row)
            yield from (f"{name}: missing although {present} is there" for name in absent)

    return rule


def not_before(later: str, earlier: str, key: Callable[[Any], Any]) -> Rule:
    """Demand that `later` doesn't come before `earlier`, if both fields are there."""

    def rule(row: Row) -> Iterator[str]:
        values = row.get(earlier), row.get(later)
        if None not in values and key(values[1]) < key(values[0]):
            yield f"{later}: before {earlier}"

    return rule


def ascending(
    name: str,
    key: Callable[[Any], Any],
    *,
    among: Callable[[Row], bool] = bool,
    per: str | None = None,
) -> RowsRule:
    """Demand that a field never decreases from row to row.

    Args:
        name: The field. Rows without it are skipped.
        key: Turns its value into something that can be compared.
        among: Selects the rows to compare.
        per: Compares only rows with the same value of this field.
    """

    def rule(rows: Sequence[Row]) -> Iterator[str]:
        latest: dict[object, Any] = {}
        for i, row in enumerate(rows):
            if name not in row or not among(row):
                continue
            group, value = per and row[per], key(row[name])
            if group in latest and value < latest[group]:
                yield f"[{i}].{name}: out of order, before an earlier one's"
            latest[group] = value

    return rule


def _within(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
