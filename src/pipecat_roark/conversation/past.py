"""The report of the turns that nothing changes any more: it is made once.

A report is asked for again and again while a call runs, and must not take longer the longer it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.conversation.text import heard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipecat_roark.conversation.bot_turn import BotTurn
    from pipecat_roark.conversation.placement import Placement
    from pipecat_roark.conversation.user_turn import UserTurn
    from pipecat_roark.report import Turn


class PastTurns:
    """Keeps the report of past turns, and adds that of the others."""

    def __init__(self) -> None:
        self._origin: int | None = None
        self._count = 0
        self._reported: list[Turn] = []
        self._asked: int | None = None

    def report(
        self, turns: Sequence[UserTurn | BotTurn], settled: int, placement: Placement
    ) -> list[Turn]:
        """Return the report of all turns.

        Args:
            turns: All turns of the call.
            settled: How many of the first ones cannot change any more.
            placement: Gives them their places.
        """
        if placement.origin != self._origin or not placement.exact:
            self._origin, self._count, self._reported, self._asked = placement.origin, 0, [], None
        others = _in_order(turns[self._count :], placement)
        past = _in_order(turns[self._count : settled], placement)
        # They come first, unless a later turn began earlier than it seemed.
        keeps = placement.exact and others[: len(past)] == past
        fresh: list[Turn] = []
        for number, (reported, asked) in enumerate(placement.turns(others, self._asked)):
            if keeps and number < len(past):
                self._reported += reported
                self._asked = asked
            else:
                fresh += reported
        if keeps:
            self._count = max(self._count, settled)
        return self._reported + fresh


def _in_order(
    turns: Sequence[UserTurn | BotTurn], placement: Placement
) -> list[UserTurn | BotTurn]:
    """Return the turns that have words, in the order of their starts."""
    return sorted((turn for turn in turns if heard(turn.fragments)), key=placement.start)
