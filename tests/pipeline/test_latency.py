"""The stages of an answer in a real pipeline, whose services stamp when they take each step."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import pytest

from pipecat_roark import RoarkObserver, compat
from support.calls import STOP_SECS, Call
from support.waits import (
    SILENT_SECS,
    STAMPS,
    Buffer,
    Loudspeaker,
    Microphone,
    Model,
    Recognizer,
    Stamps,
    Strategies,
    Voice,
)

if TYPE_CHECKING:
    from pipecat.observers.base_observer import BaseObserver, FramePushed
pytestmark = pytest.mark.live

NEAR_MS = 20
LATE_SECS = 1.0
STRATEGIES = "config: user turn strategies"
AGGREGATION = "config: text_aggregation_mode"
UNKNOWN = ("pipeline", "pipecat")
SHOWS_SENTENCES = any("context_id" in dir(kind) for kind in compat.AGGREGATED_TEXT)
"""Whether this Pipecat shows when a sentence is complete."""


class Late(RoarkObserver):
    """An observer whose callbacks all come a second late, as on a busy machine."""

    async def on_push_frame(self, data: FramePushed) -> None:
        loop, see = asyncio.get_running_loop(), super().on_push_frame
        loop.call_later(LATE_SECS, lambda: loop.create_task(see(data)))


@pytest.fixture(autouse=True)
def _no_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a text be complete when the model's answer is: old Pipecats ask the network otherwise."""
    aggregator = importlib.import_module("pipecat.utils.text.simple_text_aggregator")
    monkeypatch.setattr(aggregator, "match_endofsentence", lambda _: 0, raising=False)


async def hold(
    kind: type[RoarkObserver], params: dict[str, Any], *others: BaseObserver
) -> tuple[RoarkObserver, Stamps]:
    """Hold a call of one question and one answer."""
    roark, stamps = kind(agent_id="front-desk"), Stamps()
    STAMPS.set(stamps)
    call = Call(
        [roark, *others],
        [roark.audio_processor],
        [Recognizer(), Strategies(), Model(), Voice(), Buffer()],
        params,
        microphone_type=Microphone,
        loudspeaker_type=Loudspeaker,
    )

    async def script(call: Call) -> None:
        await call.user_sounds()
        await call.quiet()
        await asyncio.sleep(1.2 * LATE_SECS)
        await call.end()

    await call.hold(script)
    return roark, stamps


def lengths(stamps: Stamps, *, shows_sentence: bool) -> list[tuple[str, str, float]]:
    """Return the stages that the stamps tell, with their lengths in milliseconds."""
    model, voice = "Model", "Voice"
    aggregation = ("sentence_aggregation", AGGREGATION) if shows_sentence else UNKNOWN
    return [
        ("endpointing_wait", "config: VAD stop_secs", 1000 * STOP_SECS),
        ("transcription", "Recognizer", stamps.ms("silence detected", "transcribed")),
        ("turn_detection", STRATEGIES, stamps.ms("transcribed", "floor taken")),
        ("llm_inference", model, stamps.ms("asked", "tool called")),
        ("function_handler", "weather", stamps.ms("tool called", "tool returned")),
        ("llm_inference", model, stamps.ms("asked again", "first text")),
        (*aggregation, stamps.ms("first text", "sentence made")),
        ("speech_synthesis", voice, stamps.ms("sentence made", "first audio")),
        ("output_transport", "Loudspeaker", stamps.ms("first audio", "announced")),
        ("speech_synthesis", voice, 1000 * SILENT_SECS),
    ]


@pytest.mark.parametrize(
    ("kind", "metrics"),
    [
        (RoarkObserver, False),
        (Late, True),
        pytest.param(RoarkObserver, True, marks=pytest.mark.newest),
        pytest.param(Late, False, marks=pytest.mark.newest),
    ],
    ids=["in time", "late, with metrics", "in time, with metrics", "late"],
)
@pytest.mark.usefixtures("local")
async def test_stages_are_those_that_the_services_took(
    kind: type[RoarkObserver],
    metrics: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Each stage is as long as the services' own stamps say, also with late callbacks."""
    roark, stamps = await hold(kind, {"enable_metrics": metrics})
    answer = roark.report().turns[-1]
    stages = [one for one in answer.latency if one.key != "pipeline" or one.duration_ms > NEAR_MS]
    expected = lengths(stamps, shows_sentence=metrics or SHOWS_SENTENCES)
    owners = [one.owner.partition("#")[0] for one in stages]
    assert [(one.key, owner) for one, owner in zip(stages, owners, strict=True)] == [
        (key, owner) for key, owner, _ in expected
    ]
    for stage, (*_, length) in zip(stages, expected, strict=True):
        assert stage.duration_ms == pytest.approx(length, abs=NEAR_MS), stage.key
    assert sum(one.duration_ms for one in answer.latency) == answer.response_ms
    assert answer.latency[-1].end_ms == answer.start_ms


@pytest.mark.usefixtures("local")
async def test_stages_agree_with_pipecats_own() -> None:
    """What Pipecat names, too, is as long there; `conversation/latency.py` says what differs."""
    module = "pipecat.observers.user_bot_latency_observer"
    latency = pytest.importorskip(module, reason="since 0.0.102")
    if not hasattr(latency, "LatencyContribution"):
        pytest.skip("since 1.9.0")
    breakdowns: list[Any] = []
    theirs = latency.UserBotLatencyObserver()
    theirs.add_event_handler("on_latency_breakdown", lambda _, found: breakdowns.append(found))
    roark, _ = await hold(RoarkObserver, {"enable_metrics": True}, theirs)
    ours = {
        (stage.key, stage.owner, stage.kind): stage.duration_ms
        for stage in reversed(roark.report().turns[-1].latency)
    }
    theirs = {
        (one.key, one.owner, one.owner_kind): 1000 * one.duration_secs
        for one in breakdowns[-1].contributions
        if one.key != "pipeline"  # one sum there
    }
    assert {key for key, *_ in theirs} == {
        *("endpointing_wait", "transcription", "turn_detection", "function_handler"),
        *("sentence_aggregation", "speech_synthesis", "output_transport"),
    }
    assert {key: ours[key] for key in theirs} == pytest.approx(theirs, abs=NEAR_MS)
