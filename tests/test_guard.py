"""Errors of the library and the pipeline that must not see them."""

from __future__ import annotations

import asyncio

import pytest

from pipecat_roark import guard
from pipecat_roark.guard import ErrorBoundary


@pytest.fixture
def _production(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swallow errors as outside of the tests."""
    monkeypatch.setattr(guard, "RERAISE", False)


@pytest.mark.usefixtures("_production")
def test_an_error_is_said_once_for_each_place(log: list[str]) -> None:
    """The type and the place are logged, not the text: it may hold what a caller said."""
    kept = ErrorBoundary("call")
    for _ in range(3):
        with kept:
            raise ValueError("my card number is")
    with kept:
        raise ValueError("my card number is")
    assert len(log) == 2
    for line in log:
        assert line.startswith("WARNING Roark: ValueError at test_guard.py:")
        assert line.endswith("; the call goes on without it.")


@pytest.mark.usefixtures("_production")
def test_each_guard_speaks_for_itself(log: list[str]) -> None:
    """Another call says the same error again."""
    for what in ("call", "recorder"):
        with ErrorBoundary(what):
            raise ValueError
    assert [line.partition("; ")[2] for line in log] == [
        "the call goes on without it.",
        "the recorder goes on without it.",
    ]


@pytest.mark.usefixtures("_production")
@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_what_is_no_error_goes_on(kind: type[BaseException], log: list[str]) -> None:
    """A cancellation and the end of the process are not the library's to stop."""
    with pytest.raises(kind), ErrorBoundary("call"):
        raise kind
    assert log == []


def test_the_tests_see_errors(log: list[str]) -> None:
    """An error of the library fails its own tests."""
    with pytest.raises(ValueError, match="seen"), ErrorBoundary("call"):
        raise ValueError("seen")
    assert log == []


def test_a_block_without_an_error_passes(log: list[str]) -> None:
    """Nothing is said when nothing is wrong."""
    with ErrorBoundary("call"):
        pass
    assert log == []


@pytest.mark.usefixtures("_production")
def test_an_error_names_what_was_read(log: list[str]) -> None:
    """Errors at one place are logged once for each kind of thing that was read there."""
    kept = ErrorBoundary("call")
    for kind in ("EndFrame", "TextFrame", "EndFrame"):
        with kept.reading(kind):
            raise ValueError
    assert [line.partition(" while ")[2] for line in log] == [
        f"reading {kind}; the call goes on without it." for kind in ("EndFrame", "TextFrame")
    ]
