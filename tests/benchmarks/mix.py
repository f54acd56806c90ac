"""The frames of a real call: their kinds, order, sizes, and ways through the pipeline.

    uv run --extra demo tests/benchmarks/mix.py

holds the call of the demo and writes `mix.json` anew. Of each frame the file holds one row: when it
was pushed first, in milliseconds; its kind; the processor that made it, and the last one that it
reached, as positions in the pipeline; and its audio, as bytes and samples a second. It holds no
sound and no words.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from loguru import logger
from pipecat.frames.frames import CancelFrame, EndFrame, StartFrame, StopFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection

if TYPE_CHECKING:
    from pipecat.pipeline.worker import PipelineWorker

    from pipecat_roark import RoarkObserver

STORED = Path(__file__).with_suffix(".json")
POSITIONS = 8
"""Processors of the demo's pipeline, the recorder among them."""
_LIFE = (StartFrame, EndFrame, CancelFrame, StopFrame)


class Step(NamedTuple):
    """A frame of the call.

    Attributes:
        at_ms: When it was pushed first.
        kind: The name of its type.
        upstream: Whether it went upstream.
        origin: The position of the processor that pushed it first.
        last: The last position that it reached.
        size: Bytes of its audio.
        rate: Samples a second of its audio.
    """

    at_ms: int
    kind: str
    upstream: bool
    origin: int
    last: int
    size: int = 0
    rate: int = 0


def stored() -> list[Step]:
    """Return the call's frames in their order."""
    mix = json.loads(STORED.read_text(encoding="utf-8"))
    kinds = mix["kinds"]
    return [Step(at, kinds[kind], bool(up), *rest) for at, kind, up, *rest in mix["steps"]]


class Notes(BaseObserver):
    """Notes each frame's way through a pipeline.

    Args:
        processors: Those of the pipeline, in order.
    """

    def __init__(self, processors: list[Any]) -> None:
        super().__init__()
        self._places = {processor: place for place, processor in enumerate(processors)}
        self._steps: dict[int, Step] = {}

    async def on_push_frame(self, data: FramePushed) -> None:
        """Note one hop."""
        frame, upstream = data.frame, data.direction is FrameDirection.UPSTREAM
        if isinstance(frame, _LIFE):
            return
        ends = (POSITIONS - 1, 0) if upstream else (0, POSITIONS - 1)
        origin = self._places.get(data.source, ends[0])
        last = self._places.get(data.destination, ends[1])
        step = self._steps.get(frame.id)
        if step is None:
            audio = len(getattr(frame, "audio", b"")), getattr(frame, "sample_rate", 0)
            at_ms = data.timestamp // 1_000_000
            step = Step(at_ms, type(frame).__name__, upstream, origin, last, *audio)
        self._steps[frame.id] = step._replace(last=last)

    def text(self) -> str:
        """Return what was noted, as JSON with one row a line."""
        steps = sorted(self._steps.values(), key=lambda step: step.at_ms)
        kinds = sorted({step.kind for step in steps})
        rows = [
            [step.at_ms - steps[0].at_ms, kinds.index(step.kind), int(step.upstream), *step[3:]]
            for step in steps
        ]
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        return f'{{"kinds": {json.dumps(kinds)},\n"steps": [\n{lines}\n]}}\n'


async def main() -> None:
    """Hold the demo's call, and store its frames."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
    import demo  # noqa: PLC0415  # both need the demo's extra
    import demo_bot  # noqa: PLC0415

    logger.remove()
    notes: list[Notes] = []

    def create(*args: Any, **kwargs: Any) -> tuple[PipelineWorker, RoarkObserver]:
        worker, roark = demo_bot.create_bot(*args, **kwargs)
        # The task's own pipeline holds it, and each adds a source and a sink to its processors.
        bot = next(part for part in worker.pipeline.processors if isinstance(part, Pipeline))
        notes.append(Notes(bot.processors[1:-1]))
        worker.add_observer(notes[0])
        return worker, roark

    with patch.object(demo, "create_bot", create), tempfile.TemporaryDirectory() as folder:
        await demo.hold_call(Path(folder))
    STORED.write_text(notes[0].text(), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
