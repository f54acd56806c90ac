"""The redactor: it asks the application's own function what may be seen of each turn and tool call.

The rules:

1. A turn is judged when it is closed, and a tool call when it is finished: once, unless it changes
   afterwards. What is not judged is masked.
2. The function may be sync or async. A sync one runs in a thread.
3. It has a time limit. If it takes longer, raises, or returns something else than it should, the
   item is masked and counted as lost, with the reason.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from loguru import logger

from pipecat_roark.privacy.masks import REDACTED, masked_tool_call, masked_turn
from pipecat_roark.privacy.worker import Worker
from pipecat_roark.receipt import Cause
from pipecat_roark.report import CallReport, ToolCall, Turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterator

    from pipecat_roark.settings import Redact

Item: TypeAlias = Turn | ToolCall
REDACT_SECS = 5.0
"""Time limit for one turn or tool call."""

_FAILED = Cause("`redact` raised an exception, so it is masked", "redact-failed")
_LATE = Cause("`redact` took too long, so it is masked", "redact-timeout")
_UNUSABLE = Cause("`redact` returned an unusable value, so it is masked", "redact-unusable")


class _UnusableError(Exception):
    """The function returned something else than it should."""


class Redactor:
    """Judges the items of one call, and masks its reports.

    Args:
        redact: The application's function.
        on_masked: Receives the name of each item that is masked because the function failed, and
            why.
        secs: Time limit for an item, in seconds.
    """

    def __init__(
        self, redact: Redact, on_masked: Callable[[str, Cause], None], secs: float = REDACT_SECS
    ) -> None:
        self._redact = redact
        self._on_masked = on_masked
        self._secs = secs
        self._worker = Worker()
        self._verdicts: dict[Hashable, Item] = {}
        self._warned: set[Cause] = set()

    def apply(self, report: CallReport) -> CallReport:
        """Return a report as it may be seen: what is not judged yet is masked."""
        items = {id(item): self._verdicts.get(key) for key, item in _items(report)}
        return replace(
            report,
            turns=tuple(_judged_turn(turn, items[id(turn)]) for turn in report.turns),
            tool_calls=tuple(_judged_call(call, items[id(call)]) for call in report.tool_calls),
        )

    async def judge(self, report: CallReport, until: float | None = None) -> None:
        """Judge what is closed in a report and not judged yet.

        Args:
            report: The report, with nothing masked by this.
            until: Time of the event loop at which it must be over; None for no limit.
        """
        clock = asyncio.get_running_loop().time
        for key, item in _items(report):
            if key not in self._verdicts and _is_closed(item, report):
                secs = self._secs if until is None else min(self._secs, until - clock())
                self._verdicts[key] = await self._judge(item, secs)

    def close(self) -> None:
        """Let go of the thread."""
        self._worker.close()

    async def _judge(self, item: Item, secs: float) -> Item:
        try:
            return _checked(item, await self._ask(item, secs))
        except TimeoutError:
            cause, why = _LATE, "took too long"
        except _UnusableError:
            cause, why = _UNUSABLE, "returned an unusable value"
        except Exception as error:  # noqa: BLE001  # the application's own code
            cause, why = _FAILED, f"raised {type(error).__name__}"
        if cause not in self._warned:
            self._warned.add(cause)
            logger.warning(f"Roark: `redact` {why}. What it should have judged is masked.")
        self._on_masked("turn" if isinstance(item, Turn) else "tool call", cause)
        return _masked(item)

    async def _ask(self, item: Item, secs: float) -> object:
        if secs <= 0:
            raise TimeoutError
        began = asyncio.get_running_loop().time()
        answer: object
        if inspect.iscoroutinefunction(self._redact):
            answer = self._redact(item)
        else:
            answer = await self._worker.run(lambda: self._redact(item), secs)
        if inspect.isawaitable(answer):
            left = secs - (asyncio.get_running_loop().time() - began)
            answer = await _within(answer, left)
        return answer


async def _within(answer: Awaitable[object], secs: float) -> object:
    """Return an answer that comes in time, even if it is one that can't be cancelled."""
    task = asyncio.ensure_future(answer)
    try:
        await asyncio.wait([task], timeout=secs)
    finally:
        task.cancel()
    if not task.done():
        raise TimeoutError
    if task.cancelled():
        raise RuntimeError
    return task.result()


def _items(report: CallReport) -> Iterator[tuple[Hashable, Item]]:
    """Yield each item with a key that stays the same unless its content changes.

    Turns of equal content are told apart by their order.
    """
    seen: Counter[Hashable] = Counter()
    items: list[Item] = [*report.turns, *report.tool_calls]
    for item in items:
        key: Hashable
        if isinstance(item, Turn):
            key = item.role, item.content, item.unheard, item.user_id
        else:
            results = tuple(result.content for result in item.results)
            key = item.tool_call_id, item.name, item.arguments, results
        seen[key] += 1
        yield (key, seen[key]), item


def _is_closed(item: Item, report: CallReport) -> bool:
    if report.ended_at is not None:
        return True
    return not item.open if isinstance(item, Turn) else item.outcome != "pending"


def _checked(item: Item, answer: object) -> Item:
    """Return what may be seen of an item.

    Raises:
        _UnusableError: If the function's answer says nothing about that.
    """
    if answer is None:
        return _emptied(item)
    texts: list[object]
    if isinstance(item, Turn) and isinstance(answer, Turn):
        names = (answer.user_id, answer.language)
        texts = [answer.content, answer.unheard, *(name for name in names if name is not None)]
        usable = type(answer.silenced) is bool
    elif isinstance(item, ToolCall) and isinstance(answer, ToolCall):
        results = answer.results if type(answer.results) is tuple else ()
        texts = [answer.arguments, *(getattr(result, "content", None) for result in results)]
        usable = len(results) == len(item.results) and type(answer.results) is tuple
    else:
        raise _UnusableError
    if not (usable and all(isinstance(text, str) for text in texts)):
        raise _UnusableError
    return answer


def _emptied(item: Item) -> Item:
    if isinstance(item, Turn):
        return replace(masked_turn(item), content="")
    return masked_tool_call(item, "")


def _masked(item: Item) -> Item:
    return masked_turn(item) if isinstance(item, Turn) else masked_tool_call(item, REDACTED)


def _judged_turn(turn: Turn, verdict: Item | None) -> Turn:
    """Return a turn with the content of its verdict, and with its own times."""
    if not isinstance(verdict, Turn):
        return masked_turn(turn)
    return replace(
        turn,
        content=verdict.content,
        unheard=verdict.unheard,
        user_id=verdict.user_id,
        language=verdict.language,
        silenced=verdict.silenced,
    )


def _judged_call(call: ToolCall, verdict: Item | None) -> ToolCall:
    if not isinstance(verdict, ToolCall):
        return masked_tool_call(call, REDACTED)
    results = tuple(
        replace(result, content=judged.content)
        for result, judged in zip(call.results, verdict.results, strict=True)
    )
    return replace(call, arguments=verdict.arguments, results=results)
