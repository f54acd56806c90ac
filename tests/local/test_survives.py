"""The local Roark survives whatever a bot sends: what the contract accepts can be shown."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pipecat_roark.local import StoredCall, draw_call
from pipecat_roark.local.contract import EVENT, EVENTS
from pipecat_roark.local.sequence import RequestSequence
from pipecat_roark.local.store import join_recording, read_call, save_call, save_chunk
from pipecat_roark.local.verdict import judge
from pipecat_roark.local.view import as_text, detail, summary
from pipecat_roark.local.waveform import Waveforms
from support import pages

ENDED = pages.ended("call-1")
STRANGE: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, -1, 2, 10**18, 10**400, 768_000, 1e308, "", "\ud800", "\0", "<b>"]),
    st.text(),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", pages.at(0)]),
    st.lists(st.integers(), max_size=2),
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything in a JSON value."""
    found = [path]
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        found += [inner for key, each in items for inner in paths(each, (*path, key))]
    return found


PATHS = paths(ENDED)[1:]
FAR = [("transcript", 6, "audioOffsetMs"), ("transcript", 6, "endAudioOffsetMs")]


def replace(body: Any, path: tuple[Any, ...], value: Any) -> None:
    """Replace what is at a path, if something still is."""
    try:
        for key in path[:-1]:
            body = body[key]
        if body[path[-1]] != value:
            body[path[-1]] = value
    except (TypeError, KeyError, IndexError):
        pass  # something above it was replaced


@given(st.dictionaries(st.sampled_from(PATHS), STRANGE, max_size=4), st.integers(0, 5000))
@example({("recordingSampleRate",): 1}, 5000)
@example({("recordingSampleRate",): 1, ("recordingNumChannels",): 1}, 5000)
@example(dict.fromkeys(FAR, 10**400), 5000)
@example(dict.fromkeys(FAR[1:], 10**400), 5000)
@example({("transcript", 0, "content"): "\ud800\0"}, 5000)
@example(
    {("toolCalls", 0, "audioOffsetMs"): 10**400, ("toolCalls", 1, "audioOffsetMs"): 10**400}, 5
)
def test_what_is_accepted_can_be_shown(changes: dict[tuple[Any, ...], Any], frames: int) -> None:
    """An end with strange values is refused, or it is judged, stored, read, drawn and described."""
    body = copy.deepcopy(ENDED)
    for path, value in changes.items():
        replace(body, path, value)
    body = json.loads(json.dumps(body))
    if [*EVENT(body, "")] or body["event"] not in EVENTS:
        return
    with TemporaryDirectory() as name:
        call = StoredCall("call-1", Path(name), {body["event"]: body})
        sequence = RequestSequence()
        pcm = pages.recording(pages.TALK[:1], length=4)[: 4 * frames]
        if pcm and "recordingSampleRate" in body:
            sequence.add_chunk(0, pcm)
            call.chunks[0] = save_chunk(call, 0, pcm)
            rate, channels = body["recordingSampleRate"], body["recordingNumChannels"]
            call.recording = join_recording(call, rate, channels)
        call.problems = tuple(finding.sentence for finding in judge(body, sequence))
        save_call(call)
        read = read_call(call.folder)
        assert read is not None
        waveform = Waveforms().read(read)
        shown = [detail(read, waveform, is_live=False), summary(read, is_live=False)]
        assert json.loads(json.dumps(shown, default=as_text))
        assert draw_call(read)
        if waveform is not None:
            assert len(waveform.peaks) < 100_000
