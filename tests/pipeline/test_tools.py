"""Tool calls of real pipelines, as they arrive at a local Roark."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from support.toolbox import Toolbox
from support.transcripts import held

if TYPE_CHECKING:
    from pipecat_roark.local import LocalRoark, StoredCall
    from support.calls import Call

pytestmark = [pytest.mark.live, pytest.mark.at_once]


def arrived(stored: StoredCall) -> list[tuple[str, str, str]]:
    """Return the records of tools that arrived: kind, id, and arguments or content."""
    assert stored.ended is not None
    return [
        (record["kind"], record["toolCallId"], record.get("arguments") or record.get("content"))
        for record in stored.ended["toolCalls"]
    ]


async def test_tools_are_recorded_once(local: LocalRoark) -> None:
    """Tools that run at a time, that are given up and that never answer (pipecat 3661, 5779)."""
    toolbox = Toolbox()

    async def script(call: Call) -> None:
        await toolbox.call("weather", '{"city": "Oslo"}')
        await toolbox.call("tables", {"at": float("nan")})
        await toolbox.call("history", {})
        await toolbox.call("transfer", None)
        await toolbox.give("tables", {"free": [1, 2]})
        await toolbox.give("weather", "clear")
        await toolbox.drop("history")
        await asyncio.sleep(0.2)
        await call.end()

    roark, stored = await held(local, script, toolbox)
    assert stored.ended is not None
    assert [
        (record["kind"], record["toolCallId"], record.get("arguments") or record.get("content"))
        for record in stored.ended["toolCalls"]
    ] == [
        ("tool_call", "id-weather", '{"city": "Oslo"}'),
        ("tool_result", "id-weather", "clear"),
        ("tool_call", "id-tables", '{"at":"nan"}'),
        ("tool_result", "id-tables", '{"free":[1,2]}'),
        ("tool_call", "id-history", "{}"),
        ("tool_result", "id-history", "CANCELLED"),
        ("tool_call", "id-transfer", "{}"),
    ]
    outcomes = [call.outcome for call in roark.report().tool_calls]
    assert outcomes == ["returned", "returned", "cancelled", "pending"]


OSLO, ROME = {"city": "Oslo"}, {"city": "Rome"}


@pytest.mark.parametrize(
    ("given", "first"),
    [(None, "weather"), ("", "weather"), (" ", "weather"), (0, "0"), ("get:0", "get:0")],
)
async def test_ids_may_be_missing_or_come_again(local: LocalRoark, given: Any, first: str) -> None:
    """Whatever a model gives as id, each call arrives with its own arguments and result."""
    toolbox = Toolbox()

    async def script(call: Call) -> None:
        for city, sky in ((OSLO, "rain"), (ROME, "sun")):
            await toolbox.call("weather", city, tool_call_id=given)
            await toolbox.give("weather", sky, city, tool_call_id=given)
        await asyncio.sleep(0.2)
        await call.end()

    _, stored = await held(local, script, toolbox)
    assert arrived(stored) == [
        ("tool_call", first, '{"city":"Oslo"}'),
        ("tool_result", first, "rain"),
        ("tool_call", f"{first}#2", '{"city":"Rome"}'),
        ("tool_result", f"{first}#2", "sun"),
    ]


@pytest.mark.parametrize(("name", "expected"), [(None, "unknown"), ("", "unknown"), (5, "5")])
async def test_a_name_may_be_missing(local: LocalRoark, name: Any, expected: str) -> None:
    """A tool without a usable name costs neither its call nor the event."""
    toolbox = Toolbox()

    async def script(call: Call) -> None:
        await toolbox.call(name, OSLO, tool_call_id="a")
        await toolbox.give(name, "rain", OSLO, tool_call_id="a")
        await asyncio.sleep(0.2)
        await call.end()

    _, stored = await held(local, script, toolbox)
    assert stored.ended is not None
    assert stored.ended["toolCalls"][0]["name"] == expected
    assert arrived(stored) == [
        ("tool_call", "a", '{"city":"Oslo"}'),
        ("tool_result", "a", "rain"),
    ]
