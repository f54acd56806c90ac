"""The end of a recording that is in no chunk yet, on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pipecat_roark.channel import ChannelEnd, ChannelEnds
from pipecat_roark.spool.tail import Tail, replay
from support.tails import records_of, tail_of

if TYPE_CHECKING:
    from pipecat_roark.moments import Speaker

NOTHING = ChannelEnd()


def tail(user: ChannelEnd, bot: ChannelEnd = NOTHING) -> Tail:
    """Return the tail of the first chunk."""
    return Tail(0, ChannelEnds(user, bot))


def user_of(audio: bytes) -> bytes:
    """Return the user's channel."""
    return b"".join(audio[at : at + 2] for at in range(0, len(audio), 4))


def test_both_channels_are_laid_beside_each_other() -> None:
    """The shorter one ends in silence."""
    records = tail(ChannelEnd(0, b"aabbcc"), ChannelEnd(0, b"xx")).records(Tail())
    assert replay(records) == b"aaxxbb\0\0cc\0\0"
    assert replay(b"") == b""


def test_only_what_changed_is_written() -> None:
    """A channel that got nothing and lost nothing has no record; one that became shorter has."""
    first = tail(ChannelEnd(0, b"aabbcc", 4), ChannelEnd(0, b"xx", 2))
    records = first.records(Tail())
    second = tail(ChannelEnd(4, b"CCdd", 8), ChannelEnd(2, b"", 2))
    records += second.records(first)
    assert second.records(first) == tail(second.ends.user).records(Tail())
    assert replay(records) == b"aaxxbb\0\0CC\0\0dd\0\0"
    assert second.records(first.written()) == second.records(first)
    assert first.written().size == 12
    user_alone = first.written().next(0, "user", lambda *_: second.ends.user)
    assert user_alone.next(0, "bot", lambda *_: second.ends.bot) == second
    third = tail(ChannelEnd(4, b""), ChannelEnd(2, b""))
    assert replay(records + third.records(second)) == b"aaxxbb\0\0"
    assert third.records(third) == b""


def test_it_is_read_from_where_it_is_settled() -> None:
    """In a new chunk it is read from its beginning."""
    asked = []

    def read(speaker: Speaker, start: int) -> ChannelEnd:
        asked.append((speaker, start))
        return ChannelEnd(start, b"aa", start + 2)

    first = Tail().next(0, "user", read)
    second = first.next(0, "user", read).written()
    third = second.next(0, "bot", read)
    fourth = third.next(1, "user", read)
    assert asked == [("user", 0), ("user", 2), ("bot", 0), ("user", 0)]
    assert (first.size, second.size, third.size) == (4, 8, 8)
    assert third.records(second) == tail(NOTHING, third.ends.bot).records(Tail())
    assert (fourth.chunk, fourth.ends.bot) == (1, NOTHING)


@given(st.binary(max_size=40), st.integers(0, 200))
def test_a_tail_that_was_cut_short_counts_as_far_as_it_goes(audio: bytes, length: int) -> None:
    """Whole samples of a process that died while it wrote are there."""
    pcm = audio[: len(audio) // 4 * 4]
    records = records_of(pcm)
    assert replay(records) == pcm
    cut = replay(records[:length])
    assert user_of(pcm).startswith(user_of(cut))
    assert len(cut) % 4 == 0


def test_what_follows_a_gap_is_left_out() -> None:
    """The disk had no room for what was before, and the next tail is written whole."""
    lost = tail(ChannelEnd(0, b"aabb", 4))
    next_one = tail(ChannelEnd(4, b"cc", 6))
    assert replay(next_one.records(lost)) == b""
    assert replay(next_one.records(lost) + tail_of(b"aa\0\0").records(Tail())) == b"aa\0\0"


def test_a_strange_record_changes_nothing() -> None:
    """There is no third channel."""
    assert replay((7).to_bytes(4, "little") + bytes(8) + records_of(b"aaxx")) == b"aaxx"
