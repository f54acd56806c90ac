"""A conversation: speech and words, in the order in which they happened, made into turns.

A turn is one speaker's words until the other's turn. It is in the report only if it has words, or
words that were cut. `user_side`, `bot_side` and `written_side` have the rules.

An interruption cuts what is being said, and only if something is being said; so does the end of the
call. `Playback` knows which words were heard by then. Edges are those of audible speech, without
the delay of the detector that noticed it.

Pure and in order: `CallState` sorts what comes late. Times are pipeline nanoseconds.
"""

from __future__ import annotations

from copy import deepcopy

from pipecat_roark.conversation.bot_side import BotSide
from pipecat_roark.conversation.user_side import UserSide
from pipecat_roark.conversation.written_side import WrittenSide


class Conversation(UserSide, BotSide, WrittenSide):
    """The turns of one call; its verbs, one for each event, are called in the order of time."""

    def fork(self) -> Conversation:
        """Return an independent copy; it shares the turns that cannot change any more."""
        return deepcopy(self)
