"""What the outputs tell, so that an observer need not be shown each frame at every hop."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pipecat.frames.frames import (
    BotSpeakingFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    TTSAudioRawFrame,
)
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.filters.identity_filter import IdentityFilter

from pipecat_roark import RoarkObserver, compat
from pipecat_roark.guard import ErrorBoundary
from pipecat_roark.outputs import Outputs
from support.calls import OUT_RATE, Call, run, spoken
from support.stage import Sink
from support.transcripts import said

if TYPE_CHECKING:
    from pipecat.observers.base_observer import FramePushed

    from pipecat_roark.local import LocalRoark
    from pipecat_roark.report import CallReport
    from pipecat_roark.sighting import Sighting

pytestmark = [
    pytest.mark.at_once,
    pytest.mark.skipif(
        not compat.SHOWS_FRAMES_ONCE, reason="before 1.12.0, each frame is shown at every hop"
    ),
]


class Counting(RoarkObserver):
    """An observer that counts how often it is shown each frame.

    Args:
        each_hop: Whether it asks for every hop, whatever it needs.
    """

    def __init__(self, *, each_hop: bool = False, **options: Any) -> None:
        super().__init__(agent_id="front-desk", **options)
        self._each_hop = each_hop
        self._shown: Counter[tuple[type, int]] = Counter()

    @property
    def observe_every_push(self) -> bool:
        return self._each_hop or super().observe_every_push

    async def on_push_frame(self, data: FramePushed) -> None:
        self._shown[type(data.frame), data.frame.id] += 1
        await super().on_push_frame(data)

    def most(self, kind: type) -> int:
        """Return how often a frame of a type was shown, the one that was shown most."""
        return max(count for (shown, _), count in self._shown.items() if shown is kind)


async def interrupted_call(call: Call) -> None:
    """Hold a call in which the user interrupts the assistant in the middle of a sentence."""
    await call.bot_says("Hello there.", secs=0.4)
    await call.quiet()
    await call.user_says("Tell me a story.", secs=0.3)
    await call.bot_says("Once upon a time", "there was a king.", secs=1.0)
    await asyncio.sleep(1.5)
    await call.push(InterruptionFrame())
    await call.user_says("Stop.", secs=0.3)
    await call.bot_says("Sorry.", secs=0.3)
    await call.quiet()
    await call.end()


async def short_call(call: Call) -> None:
    """Hold a call of a few words."""
    await call.push(BotSpeakingFrame())
    await call.bot_says("Hello there.", secs=0.2)
    await call.quiet()
    await call.user_says("Hello.", secs=0.3)
    await call.end()


def heard(report: CallReport) -> list[tuple[Any, ...]]:
    """Return what a report tells of each turn."""
    return [(turn.role, turn.content, turn.unheard, turn.interrupted) for turn in report.turns]


def edges_ms(report: CallReport) -> list[int | None]:
    """Return where the turns begin and end in the recording."""
    return [edge for turn in report.turns for edge in (turn.start_ms, turn.end_ms)]


@pytest.mark.live
async def test_less_is_shown_and_nothing_less_is_known(local: LocalRoark) -> None:
    """An observer that sees frames once reports what one reports that sees all of their hops."""
    once, each = Counting(), Counting(each_hop=True)
    behind = [once.audio_processor, each.audio_processor, IdentityFilter()]
    call = Call([once, each], behind, before_output=[IdentityFilter(), IdentityFilter()])
    await call.hold(interrupted_call)

    assert once.most(InputAudioRawFrame) == once.most(TTSAudioRawFrame) == 1
    assert each.most(InputAudioRawFrame) > each.most(TTSAudioRawFrame) > 1
    assert heard(once.report()) == heard(each.report())
    assert heard(once.report()) == [
        ("assistant", "Hello there.", "", False),
        ("user", "Tell me a story.", "", False),
        ("assistant", "Once upon a time there", "was a king.", True),
        ("user", "Stop.", "", False),
        ("assistant", "Sorry.", "", False),
    ]
    # Each has a recorder of its own, and they stand one behind the other.
    assert edges_ms(once.report()) == pytest.approx(edges_ms(each.report()), abs=5)
    for roark in (once, each):
        assert local.calls[roark.pipecat_call_id].complete
        assert roark.receipt.whole


@pytest.mark.live
async def test_without_its_recorder_an_observer_sees_each_hop(local: LocalRoark) -> None:
    """Then nothing else shows where a frame gets."""
    roark = Counting()
    await Call([roark], [IdentityFilter()]).hold(short_call)
    assert roark.most(InputAudioRawFrame) > 1
    ended = local.calls[roark.pipecat_call_id].ended
    assert ended is not None
    assert [turn["content"] for turn in ended["transcript"]] == ["Hello there.", "Hello."]


@pytest.mark.live
async def test_with_a_borrowed_recorder_an_observer_sees_each_hop(local: LocalRoark) -> None:
    """That one lays what it gets where nobody tells, so its frames must be followed."""
    roark = Counting(audio_buffer_processor=AudioBufferProcessor(num_channels=2))
    await Call([roark], [roark.audio_processor]).hold(short_call)
    assert roark.most(InputAudioRawFrame) > 1
    assert local.calls[roark.pipecat_call_id].complete


@pytest.mark.live
async def test_of_two_pipelines_an_observer_sees_each_hop(local: LocalRoark) -> None:
    """A second pipeline with the same observer has outputs of its own."""
    roark = Counting()
    call = Call([roark], [roark.audio_processor])
    helper = Call([roark], [])
    each_hop: list[bool] = []

    async def script(call: Call) -> None:
        await call.user_says("Alone.", secs=0.3)
        each_hop.append(roark.observe_every_push)
        helping = asyncio.create_task(run(helper.task))
        await asyncio.sleep(0.2)
        each_hop.append(roark.observe_every_push)
        await helper.push(spoken("From elsewhere."))
        await asyncio.sleep(0.2)
        await helper.push(EndFrame())
        await helping
        await call.end()

    await call.hold(script)
    assert each_hop == [False, True]
    ended = local.calls[roark.pipecat_call_id].ended
    assert ended is not None
    said_by = [(turn["role"], turn["content"]) for turn in ended["transcript"]]
    assert said_by == [("user", "Alone."), ("assistant", "From elsewhere.")]


async def test_an_output_may_play_the_frame_that_it_got() -> None:
    """The chunks that it makes are shown to the observer, and it tells of other audio itself."""
    output = Sink()  # stands for such an output
    told: list[tuple[Frame, Sighting]] = []
    known: list[Frame] = []
    boundary = ErrorBoundary("call")
    outputs = Outputs(boundary, lambda: 7, lambda *one: told.append(one), lambda one: one in known)
    outputs.add(output)
    outputs.listen()
    audio, chunk = (TTSAudioRawFrame(bytes(320), OUT_RATE, 1) for _ in range(2))
    words, others = spoken("Hello."), [said("Hi."), InputAudioRawFrame(b"", OUT_RATE, 1)]
    known.append(audio)
    for frame in (audio, chunk, words, *others):
        await output._call_event_handler("on_before_process_frame", frame)  # noqa: SLF001
        await output._call_event_handler("on_before_push_frame", frame)  # noqa: SLF001
    steps = [(frame, seen.handed, seen.played) for frame, seen in told]
    assert steps == [
        *[(audio, True, False), (audio, False, True)],
        (chunk, True, False),
        *[(words, True, False), (words, False, True)],
    ]
    assert {seen.at for _, seen in told} == {7}
