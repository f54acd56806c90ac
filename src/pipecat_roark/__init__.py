"""Delivers every call of a Pipecat voice agent to Roark.

The names in `__all__` are the public API; `pipecat_roark.local` has its own. Everything else is
private to the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.receipt import Loss, Receipt, Tally
from pipecat_roark.report import CallReport, LatencyStage, Pause, ToolCall, ToolResult, Turn, Word
from pipecat_roark.summary import CallSummary

__all__ = [
    "CallReport",
    "CallSummary",
    "LatencyStage",
    "Loss",
    "Pause",
    "Receipt",
    "RoarkObserver",
    "Tally",
    "ToolCall",
    "ToolResult",
    "Turn",
    "Word",
    "__version__",
]

__version__ = "0.3.0"

if TYPE_CHECKING:
    from pipecat_roark.observer import RoarkObserver
else:
    # Hidden from type checkers, which would accept any name once they see a `__getattr__`.

    def __getattr__(name: str) -> object:
        """Load `RoarkObserver` on first use: importing a pure module must not load Pipecat."""
        if name == "RoarkObserver":
            from pipecat_roark.observer import RoarkObserver  # noqa: PLC0415

            return RoarkObserver
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, `RoarkObserver` even before its first use."""
    return sorted({*globals(), *__all__})
