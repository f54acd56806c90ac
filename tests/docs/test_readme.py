"""Every Python block of the README runs, and the calls that it describes arrive.

Blocks find the names of `_names`. A block below `<!-- continues -->` goes on where the one before
it ended. Then the call of `roark` and `task` (or `worker`) is held and the caller hangs up, unless
the block made an observer without a task for it.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.filters.identity_filter import IdentityFilter

from pipecat_roark import RoarkObserver
from support.transport import ScriptedTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipecat_roark.local import LocalRoark
    from support.calls import Call

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^(<!-- continues -->\n+)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _scripts(text: str) -> list[str]:
    """Return the blocks as scripts, continued ones in one piece, with the README's line numbers."""
    scripts: list[str] = []
    for block in BLOCK.finditer(text):
        if not block[1]:
            scripts.append("")
        start = text.count("\n", 0, block.start(2))
        scripts[-1] += "\n" * (start - scripts[-1].count("\n")) + block[2]
    return scripts


def _id(script: str) -> str:
    return f"line-{len(script) - len(script.lstrip()) + 1}"


def _names() -> dict[str, Any]:
    """Return the names that a block may use: those of a bot before its start, without a network."""
    transport = ScriptedTransport()
    services = {
        name: IdentityFilter()
        for name in ("stt", "user_aggregator", "llm", "tts", "assistant_aggregator")
    }
    roark = RoarkObserver(agent_id="front-desk")
    *before_output, assistant_aggregator = services.values()
    pipeline = Pipeline(
        [
            transport.input(),
            *before_output,
            transport.output(),
            roark.audio_processor,
            assistant_aggregator,
        ]
    )
    task = PipelineTask(pipeline, observers=[roark])
    return {
        **services,
        "Pipeline": Pipeline,
        "PipelineTask": PipelineTask,
        "transport": transport,
        "roark": roark,
        "pipeline": pipeline,
        "task": task,
        "runner_args": SimpleNamespace(session_id="session-7", handle_sigint=False),
    }


async def _execute(script: str, names: dict[str, Any]) -> None:
    """Run a script that may await at its top level."""
    code = compile(script, README, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = FunctionType(code, names)()
    if inspect.isawaitable(result):
        await result


async def _hold(names: dict[str, Any]) -> None:
    """Hold the call that the names describe."""
    transport, task = names["transport"], names.get("worker", names["task"])

    async def talk(call: Call) -> None:
        await call.bot_says("Welcome.", secs=0.2)
        await call.quiet()
        await call.user_says("Hello.", secs=0.2)
        await transport.hang_up()
        await asyncio.sleep(0.2)  # Whoever handles that does.
        await task.cancel()

    await transport.call(task).hold(talk)


@pytest.fixture
def errors() -> Iterator[list[str]]:
    """Collect the errors that are logged: Pipecat only logs those of event handlers."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="ERROR")
    yield lines
    logger.remove(sink)


@pytest.mark.live
@pytest.mark.parametrize("script", _scripts(README.read_text()), ids=_id)
async def test_block_runs(
    script: str,
    local: LocalRoark,
    errors: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A block raises no error, and its call arrives with both turns and the recording."""
    monkeypatch.chdir(tmp_path)
    given = _names()
    names = dict(given)
    await _execute(script, names)
    own_roark = names["roark"] is not given["roark"]
    own_task = names["task"] is not given["task"] or "worker" in names
    if own_roark and not own_task:
        return
    await _hold(names)
    stored = await local.wait_for_end(names["roark"].pipecat_call_id)
    assert stored.complete, stored.problems
    assert stored.ended is not None
    assert [turn["content"] for turn in stored.ended["transcript"]] == ["Welcome.", "Hello."]
    assert stored.recording
    assert not errors


@pytest.mark.live
@pytest.mark.filterwarnings("ignore:Field 'observers' is deprecated:DeprecationWarning")
async def test_the_quick_start_works_in_the_old_wiring(local: LocalRoark) -> None:
    """An observer that is passed in `PipelineParams`, which Pipecat may ignore, loses nothing."""
    quick_start = _scripts(README.read_text())[0]
    old_wiring = quick_start.replace(
        "observers=[roark]", "params=PipelineParams(observers=[roark])"
    )
    assert old_wiring != quick_start
    names = {**_names(), "PipelineParams": PipelineParams}
    await _execute(old_wiring, names)
    await _hold(names)
    stored = await local.wait_for_end(names["roark"].pipecat_call_id)
    assert stored.complete, stored.problems
    assert stored.ended is not None
    assert [turn["content"] for turn in stored.ended["transcript"]] == ["Welcome.", "Hello."]


def test_readme_has_blocks_and_all_are_run() -> None:
    """The README has Python blocks, and each of them is run."""
    text = README.read_text()
    assert 0 < len(BLOCK.findall(text)) == len(re.findall(r"(```|~~~) *py", text))


BLOCKS = """
```python
import asyncio
one = 1
```
<!-- continues -->
```python
await asyncio.sleep(0)
two = one + 1
```
```sh
not python
```
```python
raise RuntimeError
```
"""


async def test_blocks_are_run_as_they_are_marked() -> None:
    """Marked blocks share their names, others don't, and an error has its line in the README."""
    together, apart = _scripts(BLOCKS)
    names: dict[str, Any] = {}
    await _execute(together, names)
    assert names["two"] == 2
    with pytest.raises(RuntimeError) as raised:
        await _execute(apart, names)
    assert raised.traceback[-1].lineno == BLOCKS.split("\n").index("raise RuntimeError")
