"""One run of the suite: how long it measures, who takes part, and what a spool adds."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.launch import OURS, Environment, MeasuringError
from pipecat_roark.local import LocalRoark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aiohttp.typedefs import Middleware


@dataclass
class Bench:
    """A run of the suite.

    Attributes:
        short: Whether a few rounds are enough: to see that everything runs.
        peers: The peers that can be run here.
        old: This library on an old Pipecat, if that can be run here.
        spool: By goal, how much more it costs with a spool, as a ratio.
        failures: What must not be, whatever the machine.
    """

    short: bool
    peers: list[Environment] = field(default_factory=list)
    old: Environment | None = None
    spool: dict[int, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def pick(self, short: Any, full: Any) -> Any:
        """Return what fits the form of this run."""
        return short if self.short else full

    def peer(self, *contenders: str) -> list[Environment]:
        """Return the peers that are one of these contenders."""
        return [peer for peer in self.peers if peer.contender in contenders]

    async def ours(self, noun: str, *middlewares: Middleware, **options: Any) -> Any:
        """Measure in this environment, with a Roark in another process than the measured one."""
        async with roark(*middlewares) as url:
            return await OURS.measure(noun, {"ROARK_BASE_URL": url}, **options)

    async def each(
        self, peers: Iterable[Environment], noun: str, *middlewares: Middleware, **options: Any
    ) -> dict[str, Any]:
        """Measure peers one after another; one that fails is left out, and a line says so.

        The name `peer` among the contenders stands for the peer.
        """
        figures = {}
        for peer in peers:
            names = [peer.contender if name == "peer" else name for name in options["contenders"]]
            async with roark(*middlewares) as url:
                try:
                    figures[peer.name] = await peer.measure(
                        noun, {"ROARK_BASE_URL": url}, **options | {"contenders": names}
                    )
                except MeasuringError as error:
                    print(f"left out: {error}")
        return figures


@contextlib.asynccontextmanager
async def roark(*middlewares: Middleware) -> AsyncIterator[str]:
    """Serve a Roark, and yield its base URL. What it stores goes when it stops."""
    with tempfile.TemporaryDirectory() as folder:
        async with LocalRoark(Path(folder), middlewares=middlewares) as local:
            yield local.url
