"""Tool calls whose ids are missing or come again."""

from __future__ import annotations

import pytest

from pipecat_roark.conversation.state import CallState
from support.events import ns, wall

OSLO, ROME = '{"city":"Oslo"}', '{"city":"Rome"}'


class Model:
    """A model that calls tools, and what becomes of its calls."""

    def __init__(self) -> None:
        self.state = CallState("call-1")
        self._now = 0
        self._frame = 0

    def calls(self, tool_call_id: str, name: str, arguments: str, *, sights: int = 3) -> None:
        """Call a tool; its frame is seen at several hops."""
        self._frame += 2
        for _ in range(sights):
            self._now += 1
            self.state.tool_called(ns(self._now), tool_call_id, name, arguments, frame=self._frame)

    def gets(self, tool_call_id: str, name: str, arguments: str, content: str) -> None:
        """Get the result of a call, whose frame names the call again."""
        self._now += 1
        self.state.tool_called(ns(self._now), tool_call_id, name, arguments)
        self.state.tool_returned(
            ns(self._now),
            tool_call_id,
            content,
            final=True,
            called_name=name,
            called_arguments=arguments,
        )

    def drops(self, tool_call_id: str, name: str) -> None:
        """Give a call up."""
        self._now += 1
        self.state.tool_cancelled(ns(self._now), tool_call_id, called_name=name)

    def seen(self) -> list[tuple[str, str, str, list[str], str]]:
        """Return all tool calls of the report."""
        report = self.state.report(ns(self._now), wall=wall)
        return [
            (
                call.tool_call_id,
                call.name,
                call.arguments,
                [result.content for result in call.results],
                call.outcome,
            )
            for call in report.tool_calls
        ]


def test_an_id_that_comes_again_is_another_call() -> None:
    """Each call keeps its arguments and gets its own results, though the model counts anew."""
    model = Model()
    for city, sky in ((OSLO, "rain"), (ROME, "sun"), (OSLO, "rain")):
        model.calls("weather:0", "weather", city)
        model.gets("weather:0", "weather", city, sky)
    assert model.seen() == [
        ("weather:0", "weather", OSLO, ["rain"], "returned"),
        ("weather:0#2", "weather", ROME, ["sun"], "returned"),
        ("weather:0#3", "weather", OSLO, ["rain"], "returned"),
    ]


@pytest.mark.parametrize("given", ["", " ", "0"])
def test_calls_at_a_time_may_share_an_id(given: str) -> None:
    """A result finds its call by the tool and its arguments, in whatever order results come."""
    model = Model()
    model.calls(given, "weather", OSLO)
    model.calls(given, "weather", ROME)
    model.calls(given, "tables", "{}")
    model.gets(given, "tables", "{}", "free")
    model.gets(given, "weather", ROME, "sun")
    model.gets(given, "weather", OSLO, "rain")
    first = given.strip() or "weather"
    last = "0#3" if given.strip() else "tables"
    assert model.seen() == [
        (first, "weather", OSLO, ["rain"], "returned"),
        (f"{first}#2", "weather", ROME, ["sun"], "returned"),
        (last, "tables", "{}", ["free"], "returned"),
    ]


def test_calls_that_are_all_alike_get_a_result_each() -> None:
    """Where nothing tells two calls apart, the first result is that of the first."""
    model = Model()
    model.calls("", "now", "{}")
    model.calls("", "now", "{}")
    model.gets("", "now", "{}", "12:00")
    model.gets("", "now", "{}", "12:01")
    assert [call[3] for call in model.seen()] == [["12:00"], ["12:01"]]


def test_an_id_that_comes_again_after_a_cancelled_call() -> None:
    """A cancelled call keeps its record, and a late result of it is not the next one's."""
    model = Model()
    model.calls("0", "weather", OSLO)
    model.drops("0", "weather")
    model.calls("0", "weather", ROME)
    model.gets("0", "weather", OSLO, "rain")
    model.gets("0", "weather", ROME, "sun")
    assert model.seen() == [
        ("0", "weather", OSLO, ["CANCELLED", "rain"], "returned"),
        ("0#2", "weather", ROME, ["sun"], "returned"),
    ]


def test_a_cancellation_finds_its_call_by_name() -> None:
    """Of calls that share an id, the one of the named tool is cancelled."""
    model = Model()
    model.calls("", "weather", OSLO)
    model.calls("", "tables", "{}")
    model.drops("", "tables")
    assert [call[4] for call in model.seen()] == ["pending", "cancelled"]


def test_a_made_up_id_is_no_other_call_s() -> None:
    """An id that the model gives is not one that another call got."""
    model = Model()
    model.calls("a", "weather", OSLO)
    model.calls("a", "weather", ROME)
    model.calls("a#2", "weather", OSLO)
    model.calls("", "", "{}")
    model.calls("", "", "{}")
    assert [call[0] for call in model.seen()] == ["a", "a#2", "a#2#2", "tool-call", "tool-call#2"]
    assert [call[1] for call in model.seen()][3:] == ["unknown", "unknown"]


def test_a_result_of_a_call_that_nobody_saw_brings_it_along() -> None:
    """A result tells which call it belongs to; it opens one where no other waits for it."""
    model = Model()
    model.calls("0", "weather", OSLO)
    model.gets("0", "weather", OSLO, "rain")
    model.gets("0", "weather", ROME, "sun")
    model.gets("0", "weather", ROME, "sun")
    assert model.seen() == [
        ("0", "weather", OSLO, ["rain"], "returned"),
        ("0#2", "weather", ROME, ["sun", "sun"], "returned"),
    ]
