"""The application's function: asked once about each item, and never trusted."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pipecat_roark import CallReport, ToolCall, Turn
from pipecat_roark.privacy import redactor as module
from pipecat_roark.privacy.redactor import Redactor
from privacy.test_masks import WORDS, at, report, tool, turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark.receipt import Cause

ENDED: dict[str, Any] = {"ended_at": at(60)}


class Asked:
    """A function that takes words out, and remembers what it was asked."""

    def __init__(self) -> None:
        self.items: list[Turn | ToolCall] = []
        self.threads: set[int] = set()

    def __call__(self, item: Turn | ToolCall) -> Turn | ToolCall:
        self.items.append(item)
        self.threads.add(threading.get_ident())
        if isinstance(item, ToolCall):
            results = tuple(replace(one, content="F") for one in item.results)
            return replace(item, arguments="A", results=results)
        return replace(
            item, content=item.content.upper(), unheard="U", user_id="hash", silenced=True
        )


async def judged(
    redact: Callable[..., Any], known: CallReport, **options: Any
) -> tuple[CallReport, list[tuple[str, str]]]:
    """Return a report as it may be seen, and what was masked because the function failed."""
    masked: list[tuple[str, str]] = []

    def note(what: str, cause: Cause) -> None:
        masked.append((what, cause.reason))

    redactor = Redactor(redact, note, **options)
    await redactor.judge(known)
    redactor.close()
    return redactor.apply(known), masked


async def test_it_decides_what_is_seen() -> None:
    """Of a turn its words, who said them and whether they are heard; of a tool all but its name."""
    said, called = turn(1, 2, user_id="ann", language="de"), tool(3, 4, 5)
    seen, masked = await judged(Asked(), report(said, called, **ENDED))
    assert seen.turns == (
        replace(said, content="SAID", unheard="U", user_id="hash", silenced=True),
    )
    results = tuple(replace(one, content="F") for one in called.results)
    assert seen.tool_calls == (replace(called, arguments="A", results=results),)
    assert masked == []


async def test_times_and_names_are_not_its_business() -> None:
    """They may have become more exact since it was asked."""

    def moved(item: Any) -> Any:
        if isinstance(item, ToolCall):
            return replace(item, name="x", called_at=at(9))
        return replace(item, role="user", started_at=at(9), start_ms=4)

    known = report(turn(1, 2), tool(3, 4), **ENDED)
    assert (await judged(moved, known))[0] == known


async def test_words_leave_only_with_the_content_that_has_them() -> None:
    """Their places would tell what was taken out, also if the function forgets or returns them."""
    known = report(*(turn(n, n + 1, **WORDS) for n in (1, 3, 5)), **ENDED)
    taken_out = replace(known.turns[1], content="My [number]", words=())
    object.__setattr__(taken_out, "words", known.turns[1].words)
    answers = iter([known.turns[0], taken_out, None])
    seen, _ = await judged(lambda _: next(answers), known)
    assert [(one.content, len(one.words)) for one in seen.turns] == [
        ("My number", 2),
        ("My [number]", 0),
        ("", 0),
    ]


async def test_it_is_asked_once_about_each_closed_item() -> None:
    """In their order, equal ones too; again only if an item has changed."""
    asked = Asked()
    redactor = Redactor(asked, lambda *_: None)
    same, later = turn(1, 2, content="Yes."), turn(3, 4, content="Yes.")
    opened, waits = turn(5, 6, content="No.", open=True), tool(7, outcome="pending")
    for known in (report(same), report(same, later, opened, waits), report(same, later, opened)):
        await redactor.judge(known)
    assert asked.items == [same, later]
    seen = redactor.apply(report(same, opened, waits))
    assert [one.content for one in seen.turns] == ["YES.", "[redacted]"]
    assert seen.tool_calls[0].arguments == "[redacted]"
    longer = replace(opened, content="No. Never.", open=False)
    moved = replace(longer, ended_at=at(6.5), end_ms=5)
    for known in (report(same, later, longer), report(same, later, moved)):
        await redactor.judge(known)
    assert asked.items == [same, later, longer]
    await redactor.judge(report(same, later, longer, waits, **ENDED))
    assert asked.items == [same, later, longer, waits]
    redactor.close()


async def test_a_plain_function_runs_in_one_thread_of_its_own() -> None:
    """The event loop goes on meanwhile."""
    asked = Asked()
    await judged(asked, report(turn(1, 2), turn(3, 4), tool(5, 6), **ENDED))
    assert len(asked.threads) == 1
    assert threading.get_ident() not in asked.threads


@pytest.mark.parametrize("kind", ["async", "partial", "object", "returns an awaitable"])
async def test_an_async_function_is_awaited(kind: str) -> None:
    """Whatever it is made of."""

    async def redact(item: Any, _: int = 0) -> Any:
        await asyncio.sleep(0)
        return replace(item, content="judged")

    class Redact:
        async def __call__(self, item: Any) -> Any:
            return await redact(item)

    def later(item: Any) -> Any:
        return redact(item)

    hooks: dict[str, Callable[[Any], Any]] = {
        "async": redact,
        "partial": partial(redact, _=1),
        "object": Redact(),
        "returns an awaitable": later,
    }
    seen, masked = await judged(hooks[kind], report(turn(1, 2), **ENDED))
    assert [one.content for one in seen.turns] == ["judged"]
    assert masked == []


async def test_none_lets_nothing_pass() -> None:
    """An empty text is no loss."""
    seen, masked = await judged(lambda _: None, report(turn(1, 2), tool(3, 4), **ENDED))
    (said,), (called,) = seen.turns, seen.tool_calls
    assert (said.content, said.unheard, said.user_id, said.silenced) == ("", "", None, True)
    assert (called.arguments, called.results[0].content) == ("", "")
    assert masked == []


def changed(item: Any, **fields: Any) -> Any:
    """Return an item with fields of any type."""
    return replace(item, **fields)


class Whole:
    """Equal to nothing that is allowed, and of no use."""


@pytest.mark.parametrize(
    "answer",
    [
        *("text", True, 7, Whole(), Turn, tool(1), changed(turn(1, 2), content=None)),
        *(changed(turn(1, 2), content=b"x"), changed(turn(1, 2), unheard=7)),
        *(changed(turn(1, 2), user_id=7), changed(turn(1, 2), language=[])),
        changed(turn(1, 2), silenced="no"),
    ],
)
async def test_an_unusable_answer_masks_a_turn(answer: Any, warned: list[str]) -> None:
    """It is counted, and one line is logged, without anything private."""
    seen, masked = await judged(lambda _: answer, report(turn(1, 2), turn(3, 4), **ENDED))
    assert {(one.content, one.unheard, one.user_id, one.silenced) for one in seen.turns} == {
        ("[redacted]", "", None, True)
    }
    assert masked == [("turn", "redact-unusable")] * 2
    assert len(warned) == 1
    assert "said" not in warned[0]


@pytest.mark.parametrize(
    "answer",
    [
        *("text", turn(1, 2), tool(1), tool(1, 2, 3), changed(tool(1, 2), arguments=None)),
        *(changed(tool(1, 2), results=[1]), changed(tool(1, 2), results=(1,))),
        changed(tool(1, 2), results=(changed(tool(1, 2).results[0], content=None),)),
    ],
)
async def test_an_unusable_answer_masks_a_tool_call(answer: Any) -> None:
    """There must be as many results as before."""
    seen, masked = await judged(lambda _: answer, report(tool(3, 4), **ENDED))
    (called,) = seen.tool_calls
    assert (called.arguments, called.results[0].content) == ("[redacted]", "[redacted]")
    assert masked == [("tool call", "redact-unusable")]


async def cancels(_: Any) -> Any:
    """Cancel itself."""
    raise asyncio.CancelledError


def raises(error: BaseException) -> Callable[[Any], Any]:
    """Return a function that raises an error."""

    def redact(_: Any) -> Any:
        raise error

    return redact


async def raises_later(item: Any) -> Any:
    """Raise an error that holds what was said."""
    raise RuntimeError(item.content)


@pytest.mark.parametrize(
    "redact",
    [
        *(raises(ValueError("said")), raises(SystemExit(1)), raises(KeyboardInterrupt())),
        *(raises(StopIteration()), raises(asyncio.CancelledError()), cancels, raises_later),
    ],
)
async def test_an_exception_masks_the_item(redact: Any, warned: list[str]) -> None:
    """Whatever it raises, the call goes on; the log names the type of the error at most."""
    seen, masked = await judged(redact, report(turn(1, 2), tool(3, 4), **ENDED))
    assert [one.content for one in seen.turns] == ["[redacted]"]
    assert masked == [("turn", "redact-failed"), ("tool call", "redact-failed")]
    assert len(warned) == 1
    assert "said" not in warned[0]


async def sleeps(_: Any) -> Any:
    """Take much too long."""
    await asyncio.sleep(60)


async def cannot_be_cancelled(_: Any) -> Any:
    """Take too long, and go on after it was cancelled."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("redact", [sleeps, cannot_be_cancelled])
async def test_what_takes_too_long_masks_the_item(redact: Any) -> None:
    """The next one is asked all the same."""
    seen, masked = await judged(redact, report(turn(1, 2), turn(3, 4), **ENDED), secs=0.01)
    assert [one.content for one in seen.turns] == ["[redacted]"] * 2
    assert masked == [("turn", "redact-timeout")] * 2
    await asyncio.sleep(0.1)


async def test_a_thread_that_hangs_is_left_to_itself() -> None:
    """Others take its place, a few of them; when those hang too, nothing is asked any more."""
    release, asked = threading.Event(), 0

    def hangs(item: Any) -> Any:
        nonlocal asked
        asked += 1
        release.wait(30)
        return item

    known = report(*(turn(n, n + 1, content=f"{n}") for n in range(8)), **ENDED)
    seen, masked = await judged(hangs, known, secs=0.02)
    release.set()
    assert [one.content for one in seen.turns] == ["[redacted]"] * 8
    assert masked == [("turn", "redact-timeout")] * 8
    assert asked == 4


async def test_a_slow_one_is_followed_by_others() -> None:
    """Only what hangs is lost."""
    release = threading.Event()

    def hangs_once(item: Any) -> Any:
        if item.content == "0":
            release.wait(30)
        return item

    known = report(*(turn(n, n + 1, content=f"{n}") for n in range(3)), **ENDED)
    seen, masked = await judged(hangs_once, known, secs=0.3)
    release.set()
    assert [one.content for one in seen.turns] == ["[redacted]", "1", "2"]
    assert len(masked) == 1


async def test_the_end_has_its_own_limit() -> None:
    """When the time is over, what is left is masked without being asked."""
    asked, masked = Asked(), list[str]()
    redactor = Redactor(asked, lambda what, _: masked.append(what))
    known = report(turn(1, 2), tool(3, 4), **ENDED)
    await redactor.judge(known, until=asyncio.get_running_loop().time())
    assert asked.items == []
    assert masked == ["turn", "tool call"]
    assert redactor.apply(known).turns[0].content == "[redacted]"


async def test_a_loop_that_closes_does_not_disturb_the_thread() -> None:
    """An answer that comes when nobody waits any more is dropped."""
    release, ended = threading.Event(), threading.Event()

    def hangs(item: Any) -> Any:
        release.wait(30)
        ended.set()
        return item

    def run() -> None:
        asyncio.run(judged(hangs, report(turn(1, 2), **ENDED), secs=0.01))

    await asyncio.to_thread(run)
    release.set()
    assert await asyncio.to_thread(ended.wait, 10)


def test_limits_are_those_of_the_documentation() -> None:
    """The docstring of the observer and the README name them."""
    assert module.REDACT_SECS == 5
