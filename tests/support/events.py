"""A call as a list of events, each at a second of the call, and the report on it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zlib import crc32

from pipecat_roark.conversation.state import CallState
from pipecat_roark.conversation.text import SpokenText
from pipecat_roark.conversation.turns import Conversation
from pipecat_roark.moments import Edge

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Concatenate, ParamSpec

    from pipecat_roark import CallReport
    from pipecat_roark.moments import Step

    Event = Callable[[CallState], None]
    P = ParamSpec("P")

EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)


def ns(seconds: float) -> int:
    """Return seconds of the call as pipeline time."""
    return round(seconds * 1_000_000_000)


def wall(at: int) -> datetime:
    """Return pipeline time as UTC; the call began with the year."""
    return EPOCH + timedelta(microseconds=at // 1000)


def event(
    at: float,
    verb: Callable[Concatenate[Conversation, P], None],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Event:
    """Return that something happened at a second of the call."""
    return lambda state: state.note("event", ns(at), verb, *args, **kwargs)


def user_started_speaking(at: float) -> Event:
    """Return that a detector found speech of the user."""
    return event(at, Conversation.user_started_speaking, Edge(ns(at)))


def user_stopped_speaking(at: float) -> Event:
    """Return that a detector found its end."""
    return event(at, Conversation.user_stopped_speaking, Edge(ns(at)))


def user_turn_started(at: float) -> Event:
    """Return that the pipeline began a turn of the user."""
    return event(at, Conversation.user_turn_started, ns(at))


def user_turn_stopped(at: float) -> Event:
    """Return that the pipeline ended it."""
    return event(at, Conversation.user_turn_stopped, ns(at))


def user_muted(at: float) -> Event:
    """Return that the pipeline stopped listening to the user."""
    return event(at, Conversation.user_muted)


def user_unmuted(at: float) -> Event:
    """Return that the pipeline listens again."""
    return event(at, Conversation.user_unmuted)


def user_is_saying(at: float, user: str | None = None) -> Event:
    """Return that an interim transcription came."""
    return event(at, Conversation.user_is_saying, ns(at), user)


def user_said(
    at: float, text: str, *, spaced: bool = False, user: str | None = None, lang: str | None = None
) -> Event:
    """Return that a final transcription came."""
    return event(at, Conversation.user_said, SpokenText(text, spaced), ns(at), user, lang)


def bot_started_speaking(at: float, voice: str | None = None) -> Event:
    """Return that the output announced speech of the bot."""
    return event(at, Conversation.bot_started_speaking, ns(at), voice)


def bot_stopped_speaking(at: float, voice: str | None = None) -> Event:
    """Return that the output announced its end."""
    return event(at, Conversation.bot_stopped_speaking, ns(at), voice)


def bot_onset(at: float, edge: Edge) -> Event:
    """Return that speech of the bot was found in the audio."""
    return event(at, Conversation.bot_onset, edge)


def bot_offset(at: float, edge: Edge) -> Event:
    """Return that its end was found in the audio."""
    return event(at, Conversation.bot_offset, edge)


def reached(at: float, step: Step, owner: str = "") -> Event:
    """Return that a step on the way to the bot's speech was taken."""
    return event(at, Conversation.reached, step, ns(at), owner)


def tts_started(at: float) -> Event:
    """Return that the speech service began an utterance."""
    return event(at, Conversation.tts_started)


def tts_stopped(at: float, secs: float | None = None) -> Event:
    """Return that the speech service has made all of it, and how much that is."""
    return event(at, Conversation.tts_stopped, secs)


def audio_made(at: float, secs: float) -> Event:
    """Return that the speech service made audio."""
    return event(at, Conversation.audio_made, secs, ns(at))


def audio_played(at: float, secs: float) -> Event:
    """Return that the output played audio, until then."""
    return event(at, Conversation.audio_played, secs, ns(at))


def audio_streamed(at: float, secs: float) -> Event:
    """Return that the output played audio of a stream, until then."""
    return event(at, Conversation.audio_streamed, secs, ns(at))


def text_announced(at: float, text: str) -> Event:
    """Return that the speech service was asked to speak a text."""
    return event(at, Conversation.text_announced, text)


def _words(
    text: str, sounds_at: float | None, *, spaced: bool, interruptible: bool = True
) -> SpokenText:
    return SpokenText(text, spaced, None if sounds_at is None else ns(sounds_at), interruptible)


def text_made(  # noqa: PLR0913  # all that a text may bring along
    at: float,
    text: str,
    *,
    key: int | None = None,
    spaced: bool = False,
    sounds_at: float | None = None,
    interruptible: bool = True,
) -> Event:
    """Return that the speech service made a text into speech."""
    words = _words(text, sounds_at, spaced=spaced, interruptible=interruptible)
    return event(at, Conversation.text_made, key or crc32(text.encode()), words)


def text_played(
    at: float,
    text: str,
    *,
    key: int | None = None,
    spaced: bool = False,
    sounds_at: float | None = None,
) -> Event:
    """Return that the output released a text."""
    words = _words(text, sounds_at, spaced=spaced)
    return event(at, Conversation.text_played, key or crc32(text.encode()), words, ns(at))


def interrupted(at: float) -> Event:
    """Return that the output dropped what waited."""
    return event(at, Conversation.interrupted, ns(at))


def ended(at: float) -> Event:
    """Return that the call ended."""
    return lambda state: state.ended(ns(at), "agent-ended")


def bot_spoke(at: float, text: str, secs: float = 1.0) -> list[Event]:
    """Return that the bot spoke a sentence, whole."""
    return [
        bot_started_speaking(at),
        audio_made(at, secs),
        text_made(at, text),
        audio_played(at + secs, secs),
        text_played(at + secs, text),
        bot_stopped_speaking(at + secs),
    ]


def user_spoke(
    at: float, text: str, secs: float = 1.0, *, words_at: float | None = None
) -> list[Event]:
    """Return that the user spoke a sentence, whole, with every frame there is."""
    return [
        user_started_speaking(at),
        user_turn_started(at),
        user_stopped_speaking(at + secs),
        *([] if words_at else [user_said(at + secs, text)]),
        user_turn_stopped(at + secs),
        *([user_said(words_at, text)] if words_at else []),
    ]


def state_of(*events: Event) -> CallState:
    """Return the state of a call to which this happened."""
    state = CallState("call-1")
    for event in events:
        event(state)
    return state


def report_of(*events: Event, now: float = 60.0) -> CallReport:
    """Return the report on such a call."""
    return state_of(*events).report(ns(now), wall=wall)


def lines(*events: Event) -> list[str]:
    """Return the turns of such a call, a line each."""
    return [f"{turn.role}: {turn.content}" for turn in report_of(*events).turns]


def spans(*events: Event) -> list[tuple[float, float]]:
    """Return the edges of its turns, in seconds."""
    return [
        ((turn.started_at - EPOCH).total_seconds(), (turn.ended_at - EPOCH).total_seconds())
        for turn in report_of(*events).turns
    ]
