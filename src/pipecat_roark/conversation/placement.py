"""Where turns and tool calls lie, in wall time and in the recording."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from pipecat_roark.conversation.latency import latency
from pipecat_roark.conversation.text import heard, unheard
from pipecat_roark.conversation.user_turn import UserTurn
from pipecat_roark.conversation.words import (
    BOT_SHARE,
    USER_SHARE,
    Anchor,
    anchors,
    placed,
    unpacked,
)
from pipecat_roark.moments import MILLISECOND, ClockPlaces
from pipecat_roark.report import Pause, Turn, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from pipecat_roark.conversation.bot_turn import BotTurn
    from pipecat_roark.conversation.steps import ToolSpan
    from pipecat_roark.conversation.written_side import Message
    from pipecat_roark.moments import Edge, OffsetMs, Places, Speaker
    from pipecat_roark.report import LatencyStage


class Placement:
    """Gives the moments of a call their places.

    Args:
        now: Pipeline time, which ends whatever has no end yet, and is the latest moment.
        wall: Converts pipeline nanoseconds to UTC.
        origin: Pipeline time of the recording's first sample; None without a recording.
        offset_ms: Returns the place of a sample in the recording; None if that is unknown.
        places: Gives moments their place in the recording; None without a recording.
        is_open: Returns whether a turn may still change.
        words: Whether turns have their words with their places, and their latency.
        tools: The tools that ran, in the order of their begins.
    """

    def __init__(  # noqa: PLR0913  # what a moment is converted by
        self,
        now: int,
        wall: Callable[[int], datetime],
        origin: int | None,
        offset_ms: OffsetMs | None,
        places: Places | None,
        *,
        is_open: Callable[[UserTurn | BotTurn], bool],
        words: bool = True,
        tools: Sequence[ToolSpan] = (),
    ) -> None:
        self._now = now
        self._wall = wall
        self._origin = origin
        self._offset_ms = offset_ms
        self._places = places
        self._is_open = is_open
        self._with_words = words
        self._tools = tools

    @property
    def exact(self) -> bool:
        """Whether what happened long ago has its place for good."""
        return self._places is None or isinstance(self._places, ClockPlaces)

    @property
    def origin(self) -> int | None:
        """Pipeline time of the recording's first sample; None without a recording."""
        return self._origin

    def wall(self, at: int) -> datetime:
        """Return the wall time of a moment.

        Audio that waits while a machine stands still may lie behind the end of its call.
        """
        return self._wall(min(at, self._now))

    def ms(self, at: int) -> int | None:
        """Return the place of a moment in the recording."""
        return self._places.place_ms(at) if self._places else None

    def start(self, turn: UserTurn | BotTurn) -> int:
        """Return the pipeline time at which a turn starts."""
        start = self._at(turn.role, turn.start)
        if isinstance(turn, UserTurn) and turn.answer:
            return min(start, self.start(turn.answer))
        return start

    def turns(
        self, turns: list[UserTurn | BotTurn], asked: int | None = None
    ) -> Iterator[tuple[list[Turn], int | None]]:
        """Yield the report of each turn, and the end of the question that is not answered by then.

        Args:
            turns: In the order of their starts.
            asked: When the question ended that is not answered before them.
        """
        for turn, (start, end) in zip(turns, self._spans(turns), strict=True):
            if isinstance(turn, UserTurn):
                asked = end
                yield [*self._user_turns(turn, start, end)], asked
            else:
                reported = self._bot_turn(turn, start, end, asked)
                asked = None
                yield [reported], asked

    def message(self, message: Message, *, ended: bool) -> Turn:
        """Return the report of a written message, which is nowhere in the recording."""
        return Turn(
            role="user" if message.speaker == "user" else "assistant",
            content=message.text.strip(),
            started_at=self.wall(message.at),
            ended_at=self.wall(message.end),
            open=message.open and not ended,
        )

    def pause(self, begin: int, end: int | None) -> Pause:
        """Return the report of a pause."""
        return Pause(
            started_at=self.wall(begin),
            ended_at=None if end is None else self.wall(end),
            start_ms=self.ms(begin),
            end_ms=None if end is None else self.ms(end),
        )

    def _spans(self, turns: list[UserTurn | BotTurn]) -> list[tuple[int, int]]:
        """Return where turns start and end; a turn ends before the same speaker's next."""
        spans: list[tuple[int, int]] = []
        limits: dict[Speaker, int] = {}
        for turn in reversed(turns):
            start, end = self.start(turn), self._end(turn)
            spans.append((start, max(start, min(end, limits.get(turn.role, end)))))
            limits[turn.role] = start
        return spans[::-1]

    def _at(self, speaker: Speaker, edge: Edge, *, end: bool = False) -> int:
        """Return the pipeline time of an edge: of its sample in the recording, if it is known."""
        if self._origin is None or edge.index is None or self._offset_ms is None:
            return edge.at
        return self._origin + MILLISECOND * self._offset_ms(speaker, edge.index, end)

    def _span(self, speaker: Speaker, start: int, end: int) -> tuple[int, int | None, int | None]:
        """Return where speech begins, and its place in the recording if it is in there."""
        span = self._places.span_ms(speaker, start, end) if self._places else None
        if span is None:
            return start, None, None
        return max(start, self._origin or start), *span

    def _end(self, turn: UserTurn | BotTurn) -> int:
        if isinstance(turn, UserTurn) and turn.answer:
            return self.start(turn.answer)
        return self._now if turn.end is None else self._at(turn.role, turn.end, end=True)

    def _user_turns(self, turn: UserTurn, start: int, end: int) -> Iterator[Turn]:
        """Yield a turn for each user who spoke in it.

        Nothing tells when one user stopped and the next began, except that words come after they
        were spoken, and that long words take longer than short ones.
        """
        parts = turn.parts()
        lengths = [*accumulate(len(part.words.text) for part in parts)]
        since = start
        for part, length in zip(parts, lengths, strict=True):
            share = start + (end - start) * length // lengths[-1]
            until = end if part is parts[-1] else max(since, min(share, part.at))
            begin, start_ms, end_ms = self._span("user", since, until)
            yield Turn(
                role="user",
                content=part.words.text,
                started_at=self.wall(begin),
                ended_at=self.wall(until),
                start_ms=start_ms,
                end_ms=end_ms,
                user_id=part.user_id,
                language=part.language,
                detected=turn.detected,
                open=self._is_open(turn),
                words=self._words(part.words.text, start_ms, end_ms),
            )
            since = until

    def _bot_turn(self, turn: BotTurn, start: int, end: int, asked: int | None) -> Turn:
        begin, start_ms, end_ms = self._span("bot", start, end)
        content = heard(turn.fragments)
        return Turn(
            role="assistant",
            content=content,
            started_at=self.wall(begin),
            ended_at=self.wall(end),
            start_ms=start_ms,
            end_ms=end_ms,
            interrupted=turn.interrupted,
            unheard=unheard(turn.fragments),
            response_ms=None if asked is None else max(0, round((start - asked) / MILLISECOND)),
            latency=self._latency(turn, asked, start, start_ms),
            open=self._is_open(turn),
            words=self._words(content, start_ms, end_ms, turn),
        )

    def _latency(
        self, turn: BotTurn, asked: int | None, heard: int, place_ms: int | None
    ) -> tuple[LatencyStage, ...]:
        if not self._with_words:
            return ()
        return latency(turn.marks, self._tools, asked=asked, heard=heard, place_ms=place_ms)

    def _words(
        self, text: str, start_ms: int | None, end_ms: int | None, turn: BotTurn | None = None
    ) -> tuple[Word, ...]:
        """Return the words of a text with their places; of a user nothing tells when each was."""
        if start_ms is None or end_ms is None or not self._with_words:
            return ()
        known: list[Anchor] = []
        if turn and self._places:
            place_ms = self._places.place_ms
            # The audio may lie a little beside the clock.
            beside = self._at("bot", turn.start) - turn.start.at
            known = [
                (char, place_ms(at + beside) or 0, timed)
                for char, at, timed in unpacked(anchors(turn.fragments))
            ]
        return placed(text, known, start_ms, end_ms, share=BOT_SHARE if turn else USER_SHARE)
