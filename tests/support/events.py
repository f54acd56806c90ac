"""A call as a list of events, told in seconds, and what its report makes of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zlib import crc32

from pipecat_roark.conversation.playback import SpokenText
from pipecat_roark.conversation.state import CallState
from pipecat_roark.moments import Edge

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipecat_roark import CallReport

    Event = Callable[[CallState], None]

EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)


def ns(seconds: float) -> int:
    """Return seconds of the call as pipeline time."""
    return round(seconds * 1_000_000_000)


def wall(at: int) -> datetime:
    """Return pipeline time as UTC; the call began with the year."""
    return EPOCH + timedelta(microseconds=at // 1000)


def user_starts(at: float) -> Event:
    """Return that a detector found speech of the user."""
    return lambda state: state.user_started_speaking(ns(at), Edge(ns(at)))


def user_stops(at: float) -> Event:
    """Return that a detector found its end."""
    return lambda state: state.user_stopped_speaking(ns(at), Edge(ns(at)))


def floor_given(at: float) -> Event:
    """Return that the pipeline began a turn of the user."""
    return lambda state: state.user_turn_started(ns(at))


def floor_taken(at: float) -> Event:
    """Return that the pipeline ended it."""
    return lambda state: state.user_turn_stopped(ns(at))


def muted(at: float) -> Event:
    """Return that the pipeline stopped listening to the user."""
    return lambda state: state.user_muted(ns(at))


def unmuted(at: float) -> Event:
    """Return that the pipeline listens again."""
    return lambda state: state.user_unmuted(ns(at))


def user_says(
    at: float, text: str, *, spaced: bool = False, user: str | None = None, lang: str | None = None
) -> Event:
    """Return that a final transcription came."""
    words = SpokenText(text, spaced)
    return lambda state: state.user_said(ns(at), words, user_id=user, language=lang)


def bot_starts(at: float, voice: str | None = None) -> Event:
    """Return that the output announced speech of the assistant."""
    return lambda state: state.bot_started_speaking(ns(at), voice)


def bot_stops(at: float, voice: str | None = None) -> Event:
    """Return that the output announced its end."""
    return lambda state: state.bot_stopped_speaking(ns(at), voice)


def bot_opens(at: float) -> Event:
    """Return that the speech service began an utterance."""
    return lambda state: state.bot_opened(ns(at))


def bot_closes(at: float) -> Event:
    """Return that the speech service has made all of it."""
    return lambda state: state.bot_closed(ns(at))


def audio_made(at: float, secs: float) -> Event:
    """Return that the speech service made audio."""
    return lambda state: state.bot_synthesized(ns(at), secs)


def audio_played(at: float, secs: float) -> Event:
    """Return that the output played audio, until then."""
    return lambda state: state.bot_played(ns(at), secs)


def text_announced(at: float, text: str) -> Event:
    """Return that the speech service was asked to speak a text."""
    return lambda state: state.bot_announced(ns(at), text)


def _words(text: str, sounds_at: float | None, *, spaced: bool) -> SpokenText:
    return SpokenText(text, spaced, None if sounds_at is None else ns(sounds_at))


def text_made(
    at: float,
    text: str,
    *,
    key: int | None = None,
    spaced: bool = False,
    sounds_at: float | None = None,
) -> Event:
    """Return that the speech service made a text into speech."""
    words = _words(text, sounds_at, spaced=spaced)
    return lambda state: state.bot_generated(ns(at), key or crc32(text.encode()), words)


def bot_says(
    at: float,
    text: str,
    *,
    key: int | None = None,
    spaced: bool = False,
    sounds_at: float | None = None,
) -> Event:
    """Return that the output released a text."""
    words = _words(text, sounds_at, spaced=spaced)
    return lambda state: state.bot_said(ns(at), key or crc32(text.encode()), words)


def interrupted(at: float) -> Event:
    """Return that the output dropped what waited."""
    return lambda state: state.interrupted(ns(at))


def ended(at: float) -> Event:
    """Return that the call ended."""
    return lambda state: state.ended(ns(at), "agent-ended")


def spoken(at: float, text: str, secs: float = 1.0) -> list[Event]:
    """Return that the assistant spoke a sentence, whole."""
    return [
        bot_starts(at),
        audio_made(at, secs),
        text_made(at, text),
        audio_played(at + secs, secs),
        bot_says(at + secs, text),
        bot_stops(at + secs),
    ]


def heard(at: float, text: str, secs: float = 1.0, *, words_at: float | None = None) -> list[Event]:
    """Return that the user spoke a sentence, whole, with every frame there is."""
    return [
        user_starts(at),
        floor_given(at),
        user_stops(at + secs),
        *([] if words_at else [user_says(at + secs, text)]),
        floor_taken(at + secs),
        *([user_says(words_at, text)] if words_at else []),
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
