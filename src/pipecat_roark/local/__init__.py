"""A local Roark for development and tests.

It takes the requests that the library sends to Roark, checks them strictly against the wire
contract, stores each call as plain files, and shows them on a page. It imports nothing of the rest
of the library but what can be found in a bot's wiring.
"""

from pipecat_roark.local.drawing import draw_call
from pipecat_roark.local.finished import FinishedCall
from pipecat_roark.local.server import LocalRoark
from pipecat_roark.local.store import StoredCall
from pipecat_roark.local.story import StoredStage, StoredTool, StoredTurn, StoredWord
from pipecat_roark.local.threaded import ThreadedRoark
from pipecat_roark.local.waveform import Waveform

__all__ = [
    "FinishedCall",
    "LocalRoark",
    "StoredCall",
    "StoredStage",
    "StoredTool",
    "StoredTurn",
    "StoredWord",
    "ThreadedRoark",
    "Waveform",
    "draw_call",
]
