"""A Roark of one's own: takes the same requests, checks them strictly, keeps each call as files."""

from pipecat_roark.local.server import LocalRoark
from pipecat_roark.local.store import StoredCall

__all__ = ["LocalRoark", "StoredCall"]
