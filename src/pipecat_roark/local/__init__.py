"""A local Roark for development and tests.

It takes the requests that the library sends to Roark, checks them strictly against the wire
contract, and stores each call as plain files. It imports nothing of the rest of the library.
"""

from pipecat_roark.local.server import LocalRoark
from pipecat_roark.local.store import StoredCall

__all__ = ["LocalRoark", "StoredCall"]
