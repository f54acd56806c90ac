"""Every Pipecat voice call, whole, at Roark."""

from importlib.metadata import version

from pipecat_roark.observer import RoarkObserver
from pipecat_roark.receipt import Loss, Receipt, Tally
from pipecat_roark.report import CallReport, ToolCall, ToolResult, Turn

__all__ = [
    "CallReport",
    "Loss",
    "Receipt",
    "RoarkObserver",
    "Tally",
    "ToolCall",
    "ToolResult",
    "Turn",
    "__version__",
]

__version__ = version("pipecat-roark")
