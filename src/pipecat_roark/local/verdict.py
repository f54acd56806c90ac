"""The verdict on a call that has ended: what is right about it, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipecat_roark.local.contract import CALL_ENDED, OFFSET_FIELDS, SAMPLE_BYTES, offsets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipecat_roark.local.schema import Row
    from pipecat_roark.local.sequence import RequestSequence

_TOLERANCE_MS = 100
"""A transport may cut the end of a recording to whole frames, so the last edge may lie outside."""
_LONGEST_LISTING = 10


class Finding(NamedTuple):
    """One thing that was checked, whether it is right, and a sentence about it."""

    is_right: bool
    sentence: str


def judge(ended: Row, sequence: RequestSequence) -> Iterator[Finding]:
    """Judge a call by its well-formed call-ended and by the requests that came before it."""
    yield _start(sequence)
    yield from _chunks(sequence)
    yield from _recording(ended, sequence.sizes)
    yield from _turns(ended, sequence.sizes)
    yield from _tools(ended)


def _start(sequence: RequestSequence) -> Finding:
    if sequence.started:
        return Finding(is_right=True, sentence="call-started came first")
    return Finding(is_right=False, sentence=f"{CALL_ENDED}: no call-started came before it")


def _chunks(sequence: RequestSequence) -> Iterator[Finding]:
    expected = max(sequence.requested, default=-1) + 1
    missing = [i for i in range(expected) if i not in sequence.sizes]
    if missing:
        listing = ", ".join(map(str, missing[:_LONGEST_LISTING]))
        more = ", ..." if len(missing) > _LONGEST_LISTING else ""
        sentence = f"{len(missing)} of {_count(expected, 'chunk')} missing: {listing}{more}"
        yield Finding(is_right=False, sentence=sentence)
    elif expected:
        yield Finding(is_right=True, sentence=f"{_count(expected, 'chunk')}, none missing")


def _recording(ended: Row, sizes: dict[int, int]) -> Iterator[Finding]:
    if "recordingSampleRate" not in ended:
        if sizes:
            sentence = f"{CALL_ENDED}: recordingSampleRate missing although chunks came"
            yield Finding(is_right=False, sentence=sentence)
        return
    if not sizes:
        sentence = f"{CALL_ENDED}: recordingSampleRate given although no chunk came"
        yield Finding(is_right=False, sentence=sentence)
        return
    rate, channels = ended["recordingSampleRate"], ended["recordingNumChannels"]
    ragged = [i for i in sorted(sizes) if sizes[i] % (SAMPLE_BYTES * channels)]
    for i in ragged[:_LONGEST_LISTING]:
        sentence = f"chunk {i}: ends within a frame of {_count(channels, 'channel')}"
        yield Finding(is_right=False, sentence=sentence)
    if not ragged:
        seconds = _length_ms(ended, sizes) / 1000
        sentence = f"recording {seconds:.2f} s, {rate} Hz, {_count(channels, 'channel')}"
        yield Finding(is_right=True, sentence=sentence)


def _turns(ended: Row, sizes: dict[int, int]) -> Iterator[Finding]:
    length_ms = _length_ms(ended, sizes)
    beyond = [(path, ms) for path, ms in offsets(ended) if ms > length_ms + _TOLERANCE_MS]
    for path, ms in beyond if length_ms else ():
        sentence = f"{CALL_ENDED}: {path}: {ms - length_ms:.0f} ms beyond the recording's end"
        yield Finding(is_right=False, sentence=sentence)
    turns = ended.get("transcript", ())
    if turns:
        all_placed = all(field in turn for turn in turns for field in OFFSET_FIELDS)
        all_inside = all_placed and length_ms and not beyond
        inside = ", every edge inside the recording" if all_inside else ""
        yield Finding(is_right=True, sentence=f"{_count(len(turns), 'turn')} in order{inside}")


def _tools(ended: Row) -> Iterator[Finding]:
    kinds = [entry["kind"] for entry in ended.get("toolCalls", ())]
    if kinds:
        calls = _count(kinds.count("tool_call"), "tool call")
        results = _count(kinds.count("tool_result"), "result")
        sentence = f"{calls} and {results} in order, no result without its call"
        yield Finding(is_right=True, sentence=sentence)


def _length_ms(ended: Row, sizes: dict[int, int]) -> float:
    """Return the length of the recording in milliseconds, or 0.0 if there is none."""
    if "recordingSampleRate" not in ended:
        return 0.0
    frames: int = sum(sizes.values()) // (SAMPLE_BYTES * ended["recordingNumChannels"])
    rate: int = ended["recordingSampleRate"]
    return 1000 * frames / rate


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
