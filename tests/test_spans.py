"""Spans of time, such as pauses."""

from __future__ import annotations

from pipecat_roark.spans import Spans


def test_spans_follow_each_other() -> None:
    """A second begin or end in a row changes nothing; one without a length is none."""
    spans = Spans()
    assert not spans.open
    spans.end(1)
    for begin, end in ((2, 4), (6, 6), (8, 7), (9, 12)):
        spans.begin(begin)
        spans.begin(begin + 1)
        assert spans.open
        spans.end(end)
        spans.end(end + 1)
        assert not spans.open
    spans.begin(20)
    assert [*spans] == [(2, 4), (9, 12), (20, None)]


def test_parts_lie_within() -> None:
    """The one that goes on lasts at least until the end."""
    spans = Spans()
    for begin, end in ((2, 4), (9, 12)):
        spans.begin(begin)
        spans.end(end)
    spans.begin(20)
    assert spans.within(0, 30) == [(2, 4), (9, 12), (20, 30)]
    assert spans.within(3, 10) == [(3, 4), (9, 10)]
    assert spans.within(4, 9) == spans.within(12, 20) == []
