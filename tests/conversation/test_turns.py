"""Turns that are made from events."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from support.events import (
    audio_made,
    audio_played,
    bot_spoke,
    bot_started_speaking,
    bot_stopped_speaking,
    interrupted,
    lines,
    report_of,
    spans,
    text_announced,
    text_made,
    text_played,
    tts_started,
    tts_stopped,
    user_is_saying,
    user_muted,
    user_said,
    user_spoke,
    user_started_speaking,
    user_stopped_speaking,
    user_turn_started,
    user_turn_stopped,
    user_unmuted,
)

if TYPE_CHECKING:
    from support.events import Event


USER_TURNS: dict[str, tuple[list[Event], list[str]]] = {
    "every frame": (user_spoke(1, "Hello."), ["user: Hello."]),
    "turn frames alone (pipecat 3862)": (
        [user_turn_started(1), user_said(1.5, "Hello."), user_turn_stopped(2)],
        ["user: Hello."],
    ),
    "a detector's frames alone": (
        [user_started_speaking(1), user_stopped_speaking(2), user_said(2.5, "Hello.")],
        ["user: Hello."],
    ),
    "words alone (pipecat 5311)": ([user_said(1, "Hello.")], ["user: Hello."]),
    "segments of one turn": (
        [
            user_started_speaking(1),
            user_turn_started(1),
            user_said(2, "I would like"),
            user_stopped_speaking(2),
            user_started_speaking(2.5),
            user_said(3, " a table. "),
            user_stopped_speaking(3),
            user_turn_stopped(3.5),
            user_said(3.6, "Please."),
        ],
        ["user: I would like a table. Please."],
    ),
    "segments that bring their spaces": (
        [
            user_turn_started(1),
            user_said(1.1, "I would ", spaced=True),
            user_said(1.2, "like", spaced=True),
            user_said(1.3, " that.", spaced=True),
            user_turn_stopped(2),
        ],
        ["user: I would like that."],
    ),
    "segments of an unannounced user": (
        [user_said(1, "I would"), user_said(2, "like that."), *bot_spoke(3, "Sure.")],
        ["user: I would like that.", "assistant: Sure."],
    ),
    "words after the user stopped (pipecat 859)": (
        user_spoke(1, "Hello.", words_at=3.5),
        ["user: Hello."],
    ),
    "words after the assistant began (pipecat 4279)": (
        [*user_spoke(1, "Hello.", words_at=3.5), *bot_spoke(3, "Hi.")],
        ["user: Hello.", "assistant: Hi."],
    ),
    "a last segment after the assistant began (pipecat 5056)": (
        [*user_spoke(1, "Hello."), *bot_spoke(3, "Hi."), user_said(3.2, "It is me.")],
        ["user: Hello. It is me.", "assistant: Hi."],
    ),
    "a last segment after the next turn began": (
        [
            *user_spoke(1, "Hello."),
            user_started_speaking(2.5),
            user_said(2.8, "It is me."),
            user_stopped_speaking(3),
        ],
        ["user: Hello. It is me."],
    ),
    "words after the next turn began": (
        [*user_spoke(1, "Hello.", words_at=2.8), *user_spoke(2.5, "Anyone?")],
        ["user: Hello.", "user: Anyone?"],
    ),
    "words that come in the next turn, after an answer": (
        [
            *user_spoke(1, "Is it open?", 0.8, words_at=3.6),
            *[bot_started_speaking(2), text_played(2.5, "It is."), interrupted(3)],
            *[bot_stopped_speaking(3), *user_spoke(3, "And tomorrow?", 2)],
        ],
        ["user: Is it open?", "assistant: It is.", "user: And tomorrow?"],
    ),
    "words in segments that come in the next turn, after an answer": (
        [
            *[user_started_speaking(1), user_stopped_speaking(1.8)],
            *[bot_started_speaking(2), text_played(2.5, "It is."), interrupted(3)],
            *[bot_stopped_speaking(3), user_started_speaking(3), user_said(4.8, "Is it")],
            *[user_said(4.9, "open?"), user_stopped_speaking(6), user_said(6.2, "And tomorrow?")],
        ],
        ["user: Is it open?", "assistant: It is.", "user: And tomorrow?"],
    ),
    "words after a sound that was no turn, and speech of the assistant": (
        [
            *[user_started_speaking(1), user_stopped_speaking(1.3), *bot_spoke(1.5, "Hi.")],
            *[user_started_speaking(3), user_said(4, "Hello."), user_stopped_speaking(5)],
        ],
        ["assistant: Hi.", "user: Hello."],
    ),
    "words long after the beginning of the next turn": (
        [
            *[user_started_speaking(1), user_stopped_speaking(2), *bot_spoke(2.2, "Hi.")],
            *[user_started_speaking(3.5), user_said(6, "Hello."), user_stopped_speaking(6.5)],
        ],
        ["assistant: Hi.", "user: Hello."],
    ),
    "words at the end of a short turn": (
        [*user_spoke(1, "Hello."), *user_spoke(2.5, "You.", 0.4)],
        ["user: Hello.", "user: You."],
    ),
    "words long after the turn, which has its own": (
        [*user_spoke(1, "Hello."), user_said(8, "Anyone?")],
        ["user: Hello.", "user: Anyone?"],
    ),
    "turns without an answer between": (
        [*user_spoke(1, "Hello."), *user_spoke(3, "Anyone?")],
        ["user: Hello.", "user: Anyone?"],
    ),
    "utterances without turn frames": (
        [
            *[user_started_speaking(1), user_stopped_speaking(2), user_said(2.1, "Hello.")],
            *[user_started_speaking(2.5), user_stopped_speaking(3), user_said(3.1, "Anyone?")],
        ],
        ["user: Hello.", "user: Anyone?"],
    ),
    "a detector that flaps": (
        [
            user_started_speaking(1),
            user_stopped_speaking(2),
            user_started_speaking(2.5),
            user_stopped_speaking(3),
            user_said(3.1, "Hello."),
        ],
        ["user: Hello."],
    ),
    "speech before the pipeline gives the floor": (
        [
            *user_spoke(1, "Hello."),
            *[user_started_speaking(10), user_stopped_speaking(10.5), user_said(10.6, "I mean")],
            *[
                user_started_speaking(11),
                user_turn_started(11.1),
                user_stopped_speaking(12),
                user_said(12, "the other one."),
            ],
            user_turn_stopped(12.1),
        ],
        ["user: Hello.", "user: I mean the other one."],
    ),
    "words that make the pipeline give the floor": (
        [
            *[user_turn_started(1), user_said(1.5, "Hello."), user_turn_stopped(2)],
            *bot_spoke(2.5, "Hi."),
            *[
                user_said(4.5, "A table.", user="bo", lang="de"),
                user_turn_started(4.55),
                user_turn_stopped(5),
            ],
        ],
        ["user: Hello.", "assistant: Hi.", "user: A table."],
    ),
    "words into the greeting that make the pipeline give the floor": (
        [
            *[
                bot_started_speaking(1),
                text_played(2, "Hi."),
                user_said(3, "Wait."),
                user_turn_started(3.05),
            ],
            *[interrupted(3.06), bot_stopped_speaking(3.06), user_turn_stopped(3.5)],
        ],
        ["assistant: Hi.", "user: Wait."],
    ),
    "late segments in the moment in which the pipeline gives the floor": (
        [
            *[user_turn_started(1), user_turn_stopped(2), *bot_spoke(2.5, "Hi.")],
            *[user_said(4.4, "I would"), user_said(4.5, "like that."), user_turn_started(4.5)],
            *[user_turn_stopped(5), user_said(5, "Now.")],
        ],
        ["user: I would like that.", "assistant: Hi.", "user: Now."],
    ),
    "the next turn right after the last words": (
        [
            *[user_turn_started(1), user_said(2, "A table."), user_turn_stopped(2)],
            *[user_turn_started(2.1), user_said(2.1, "For two."), user_turn_stopped(2.2)],
        ],
        ["user: A table.", "user: For two."],
    ),
    "turns whose words come a moment after their ends": (
        [
            *[user_turn_started(1), user_turn_stopped(2), user_said(2.001, "A table.")],
            *[user_turn_started(2.1), user_turn_stopped(2.1), user_said(2.101, "For two.")],
        ],
        ["user: A table.", "user: For two."],
    ),
    "words of which the assistant had none yet": (
        [*user_spoke(1, "Hello.", words_at=2.2), user_turn_started(2.4), user_turn_stopped(3)],
        ["user: Hello."],
    ),
    "words without their speech": (
        [
            *bot_spoke(1, "Hi."),
            *user_spoke(3, "Hello."),
            *bot_spoke(5, "Yes?"),
            user_said(20, "A table."),
        ],
        ["assistant: Hi.", "user: Hello.", "assistant: Yes?", "user: A table."],
    ),
    "speech before any words of it, and long after": (
        [*user_spoke(1, "", words_at=1.5), *user_spoke(20, "Hello.")],
        ["user: Hello."],
    ),
    "words that come very late, after an answer": (
        [
            user_started_speaking(1),
            user_stopped_speaking(2),
            *bot_spoke(9, "Hi."),
            user_said(9.5, "Hello."),
        ],
        ["user: Hello.", "assistant: Hi."],
    ),
    "the pipeline never takes the floor back": (
        [
            *[user_turn_started(1), user_said(2, "Hello."), *bot_spoke(2.5, "Hi.")],
            *[user_turn_started(5), user_said(6, "A table."), *bot_spoke(6.5, "When?")],
            *[user_turn_started(9), user_said(10, "Today."), *bot_spoke(10.5, "Fine.")],
        ],
        [
            *["user: Hello.", "assistant: Hi.", "user: A table.", "assistant: When?"],
            *["user: Today.", "assistant: Fine."],
        ],
    ),
    "a detector never tells the end of speech": (
        [
            *[user_started_speaking(1), user_said(2, "Hello."), *bot_spoke(2.5, "Hi.")],
            *[user_started_speaking(5), user_said(6, "A table."), *bot_spoke(6.5, "When?")],
        ],
        ["user: Hello.", "assistant: Hi.", "user: A table.", "assistant: When?"],
    ),
    "a user is muted in the middle of speech": (
        [
            *[user_started_speaking(1), user_turn_started(1), user_said(2, "Hello.")],
            *[user_muted(2.1), *bot_spoke(2.5, "Hi."), user_unmuted(4), *user_spoke(5, "A table.")],
        ],
        ["user: Hello.", "assistant: Hi.", "user: A table."],
    ),
    "neither a start nor an end is told any more": (
        [
            *[user_turn_started(1), user_said(2, "Hello."), *bot_spoke(2.5, "Hi.")],
            *[user_said(9, "A table."), *bot_spoke(10, "When?")],
        ],
        ["user: Hello.", "assistant: Hi.", "user: A table.", "assistant: When?"],
    ),
    "a last segment of a turn that was never taken": (
        [
            user_turn_started(1),
            user_said(2, "Hello."),
            *bot_spoke(2.5, "Hi."),
            user_said(3, "It is me."),
        ],
        ["user: Hello. It is me.", "assistant: Hi."],
    ),
    "a turn that is taken but was never given": (
        [
            user_started_speaking(1),
            user_stopped_speaking(2),
            user_turn_stopped(2),
            user_said(2, "Hello."),
        ],
        ["user: Hello."],
    ),
}


@pytest.mark.parametrize("case", USER_TURNS)
def test_user_turns(case: str) -> None:
    """The user's words are in the turn that they were spoken in."""
    events, turns = USER_TURNS[case]
    assert lines(*events) == turns


def test_words_that_open_a_turn_bring_who_spoke_them() -> None:
    """Words that made the pipeline give the floor keep their speaker and language."""
    events, _ = USER_TURNS["words that make the pipeline give the floor"]
    last = report_of(*events).turns[-1]
    assert (last.user_id, last.language) == ("bo", "de")


SPEAKERS: dict[str, tuple[list[Event], list[tuple[str | None, str | None, str]]]] = {
    "users in one turn": (
        [
            *[user_started_speaking(1), user_turn_started(1), user_said(2, "Shall we?", user="S1")],
            *[user_said(3, "Yes,", user="S2"), user_said(3.5, "on Monday.", user="S2")],
            *[user_said(4, "Good.", user="S1"), user_stopped_speaking(4), user_turn_stopped(4)],
        ],
        [("S1", None, "Shall we?"), ("S2", None, "Yes, on Monday."), ("S1", None, "Good.")],
    ),
    "users whose speech nothing announces": (
        [
            user_said(1, "Hello.", user="ann", lang="es"),
            user_said(2.6, "And me.", user="bob", lang="fr"),
        ],
        [("ann", "es", "Hello."), ("bob", "fr", "And me.")],
    ),
    "a user who changes the language": (
        [
            *[user_turn_started(1), user_said(2, "Hola.", lang="es")],
            user_said(3, "Hello", lang="en"),
        ],
        [(None, "es", "Hola."), (None, "en", "Hello")],
    ),
    "a language that is told more or less closely": (
        [
            *[user_said(1, "I", user="bo"), user_said(1.1, "would", lang="en-US", user="bo")],
            *[user_said(1.2, "like", lang="en"), user_said(1.3, "that.")],
        ],
        [("bo", "en-US", "I would like that.")],
    ),
    "words of nobody known between those of two users": (
        [user_said(1, "A", user="S1"), user_said(1.1, "b"), user_said(1.2, "C", user="S2")],
        [("S1", None, "A b"), ("S2", None, "C")],
    ),
    "users who speak at the same time": (
        [
            *[user_turn_started(1), user_is_saying(1.1, "S1"), user_is_saying(2, "S2")],
            *[user_is_saying(2.5, "S1"), user_said(3, "Yes.", user="S2")],
            *[user_said(4, "Shall we meet?", user="S1"), user_turn_stopped(4)],
            *[user_is_saying(4.1, "S2"), user_said(5, "On Monday.", user="S2")],
        ],
        [("S1", None, "Shall we meet?"), ("S2", None, "Yes. On Monday.")],
    ),
    "late words of another user": (
        [
            *user_spoke(1, "", words_at=1.5),
            *[user_said(2.1, "Hello.", user="S1"), *bot_spoke(2.5, "Hi.")],
            user_said(3, "And me.", user="S2"),
        ],
        [("S1", None, "Hello."), ("S2", None, "And me.")],
    ),
}


@pytest.mark.parametrize("case", SPEAKERS)
def test_words_stand_under_their_own_speaker(case: str) -> None:
    """Another user or another language begins another turn, and it lasts as long as its words."""
    events, expected = SPEAKERS[case]
    turns = [turn for turn in report_of(*events).turns if turn.role == "user"]
    assert [(turn.user_id, turn.language, turn.content) for turn in turns] == expected
    for earlier, later in pairwise(turns):
        assert earlier.started_at <= earlier.ended_at == later.started_at <= later.ended_at


def test_only_so_many_users_speak_at_the_same_time() -> None:
    """Users who are never transcribed for good are forgotten, and a room stays bounded."""
    crowd = [user_is_saying(1 + n / 1000, f"S{n}") for n in range(65)]
    words = [user_said(2, "First.", user="S0"), user_said(3, "Second.", user="S1")]
    assert lines(user_turn_started(1), *crowd, *words) == ["user: Second.", "user: First."]


def test_users_share_the_time_of_a_turn() -> None:
    """A user's part ends when the words of it came at the latest, and by its share of the text."""
    events, _ = SPEAKERS["users in one turn"]
    assert [end for _, end in spans(*events)] == pytest.approx([1.93, 3.48, 4.0], abs=0.01)
    # Half of the text, but its words came earlier.
    early = [user_turn_started(1), user_said(2, "Yes.", user="S1"), user_said(5, "No!!", user="S2")]
    assert spans(*early, user_turn_stopped(5)) == [(1, 2), (2, 5)]
    assert spans(
        *user_spoke(1, "", words_at=3.5, secs=2),
        *[user_said(4, "Yes.", user="S1"), user_said(4.1, "No!!", user="S2")],
    ) == [(1, 2), (2, 3)]


def test_old_turns_keep_their_speakers() -> None:
    """Turns of several users are the same long after, when only their text is kept."""
    events, expected = SPEAKERS["users in one turn"]
    later = [event for number in range(20) for event in user_spoke(10 * number + 10, "Well.")]
    turns = report_of(*events, *later, now=300).turns[:3]
    assert [(turn.user_id, turn.language, turn.content) for turn in turns] == expected


REALTIME: dict[str, tuple[list[Event], list[str]]] = {
    "the user spoke first": (
        [
            bot_started_speaking(2),
            user_said(2.5, "Hello."),
            text_played(3, "Hi."),
            bot_stopped_speaking(3),
        ],
        ["user: Hello.", "assistant: Hi."],
    ),
    "the assistant greeted": (
        [
            *bot_spoke(1, "Hi."),
            bot_started_speaking(4),
            user_said(4.5, "Hello."),
            text_played(5, "Yes?"),
        ],
        ["assistant: Hi.", "user: Hello.", "assistant: Yes?"],
    ),
    "the words come in parts": (
        [
            bot_started_speaking(2),
            user_said(2.5, "Hel"),
            user_said(2.6, "lo."),
            text_played(3, "Hi."),
        ],
        ["user: Hel lo.", "assistant: Hi."],
    ),
    "the user spoke into the answer": (
        [
            user_said(1, "Hello."),
            bot_started_speaking(2),
            text_played(3, "Hi."),
            user_said(4, "Wait."),
        ],
        ["user: Hello.", "assistant: Hi.", "user: Wait."],
    ),
    "the user interrupted the greeting": (
        [bot_started_speaking(1), text_played(2, "Hi."), interrupted(2.5), user_said(2.6, "Wait.")],
        ["assistant: Hi.", "user: Wait."],
    ),
    "the assistant has spoken for long": (
        [
            bot_started_speaking(1),
            text_played(2, "Hi."),
            user_said(9, "Wait."),
            text_played(9.5, "Yes?"),
        ],
        ["assistant: Hi. Yes?", "user: Wait."],
    ),
}


@pytest.mark.parametrize("case", REALTIME)
def test_words_that_no_speech_announced(case: str) -> None:
    """Where no frame tells when the user speaks, words that came late precede their answer."""
    events, turns = REALTIME[case]
    assert lines(*events) == turns


MUTE: dict[str, tuple[list[Event], list[str]]] = {
    "speech of a muted user (pipecat 3458)": (
        [user_muted(0), *user_spoke(1, "Echo."), user_unmuted(3), *user_spoke(4, "Hello.")],
        ["user: Hello."],
    ),
    "empty words (pipecat 5005)": ([*user_spoke(1, " "), *user_spoke(3, "")], []),
    "words of speech before the mute (pipecat 3361)": (
        [
            user_started_speaking(1),
            user_stopped_speaking(2),
            user_muted(2),
            user_said(2.5, "Hello."),
            user_unmuted(4),
        ],
        ["user: Hello."],
    ),
    "words long after speech before the mute": (
        [user_started_speaking(1), user_stopped_speaking(2), user_muted(2), user_said(9, "Echo.")],
        [],
    ),
    "a mute in the middle of speech": (
        [
            user_started_speaking(1),
            user_turn_started(1),
            user_muted(1.5),
            user_stopped_speaking(2),
            user_said(3, "Hello."),
        ],
        ["user: Hello."],
    ),
    "a noise, and silence": (
        [user_started_speaking(1), user_stopped_speaking(1.2), *bot_spoke(2, "Hi.")],
        ["assistant: Hi."],
    ),
}


@pytest.mark.parametrize("case", MUTE)
def test_nothing_that_nobody_listened_to_makes_a_turn(case: str) -> None:
    """Muted or empty speech leaves no turn behind."""
    events, turns = MUTE[case]
    assert lines(*events) == turns


BOT_TURNS: dict[str, tuple[list[Event], list[str]]] = {
    "a sentence": (bot_spoke(1, "Hi."), ["assistant: Hi."]),
    "the output flaps inside one answer (pipecat 453, 1439)": (
        [*bot_spoke(1, "Hi."), *bot_spoke(2.3, "How are you?"), *bot_spoke(4, "Well?")],
        ["assistant: Hi. How are you? Well?"],
    ),
    "silence that the output takes for speech (pipecat 2704)": (
        [
            *bot_spoke(1, "Hi."),
            bot_started_speaking(3.5),
            bot_stopped_speaking(3.6),
            *user_spoke(5, "Hello."),
        ],
        ["assistant: Hi.", "user: Hello."],
    ),
    "a start without a stop": (
        [
            bot_started_speaking(1),
            text_played(2, "Hi."),
            bot_started_speaking(2.5),
            text_played(3, "Yes?"),
        ],
        ["assistant: Hi. Yes?"],
    ),
    "a stop that never comes, and a turn of the user": (
        [
            *[bot_started_speaking(1), text_played(2, "Hi."), *user_spoke(3, "Hello.")],
            *[bot_started_speaking(5), text_played(6, "Yes?"), bot_stopped_speaking(6)],
        ],
        ["assistant: Hi.", "user: Hello.", "assistant: Yes?"],
    ),
    "a long pause": (
        [*bot_spoke(1, "Hi."), *bot_spoke(9, "Are you there?")],
        ["assistant: Hi.", "assistant: Are you there?"],
    ),
    "a turn of the user between": (
        [*bot_spoke(1, "Hi."), *user_spoke(2.1, "Yes.", 0.3), *bot_spoke(2.6, "Great.")],
        ["assistant: Hi.", "user: Yes.", "assistant: Great."],
    ),
    "a turn of the user between whose words come late": (
        [
            *bot_spoke(1, "Hi."),
            *user_spoke(2.1, "Yes.", 0.3, words_at=3),
            *bot_spoke(2.6, "Great."),
        ],
        ["assistant: Hi.", "user: Yes.", "assistant: Great."],
    ),
    "words before the announcement": (
        [
            text_played(1, "Hi."),
            bot_started_speaking(1.1),
            text_played(2, "Yes?"),
            bot_stopped_speaking(2),
        ],
        ["assistant: Hi. Yes?"],
    ),
    "words long before the announcement": (
        [
            *bot_spoke(1, "Hi."),
            *user_spoke(3, "Hello."),
            text_played(5, "Yes?"),
            bot_started_speaking(8),
            bot_stopped_speaking(9),
        ],
        ["assistant: Hi.", "user: Hello.", "assistant: Yes?"],
    ),
    "no announcement at all": (
        [
            text_played(1, "Hi."),
            text_played(9, "Yes?"),
            *user_spoke(10, "Hello."),
            text_played(12, "Well?"),
        ],
        ["assistant: Hi. Yes?", "user: Hello.", "assistant: Well?"],
    ),
    "empty text": ([*bot_spoke(1, " "), *bot_spoke(2, "Hi.")], ["assistant: Hi."]),
    "fragments that bring their spaces": (
        [
            bot_started_speaking(1),
            text_played(1.1, "Hel", spaced=True),
            text_played(1.2, "lo", spaced=True),
            text_played(1.3, " there.", spaced=True),
        ],
        ["assistant: Hello there."],
    ),
    "fragments of two utterances that bring their spaces": (
        [
            *[tts_started(1), text_made(1, "Hello.", spaced=True), tts_stopped(1)],
            *[tts_started(1), text_made(1, "Who is", spaced=True), tts_stopped(1)],
            *[bot_started_speaking(1), text_played(2, "Hello.", spaced=True)],
            text_played(3, "Who is", spaced=True),
        ],
        ["assistant: Hello. Who is"],
    ),
    "words released in the wrong order (pipecat 1355, 1361)": (
        [
            bot_started_speaking(1),
            *[text_made(1, word, sounds_at=2) for word in ("One", "moment,")],
            *[text_made(1, word, sounds_at=1.5) for word in ("please.",)],
            text_played(1.5, "please.", sounds_at=1.5),
            *[text_played(2, word, sounds_at=2) for word in ("One", "moment,")],
        ],
        ["assistant: One moment, please."],
    ),
    "words sent twice (pipecat 4316)": (
        [
            bot_started_speaking(1),
            *[text_made(1, word, key=k, sounds_at=2) for k, word in enumerate(("no", "no"), 1)],
            *[text_played(2, "no", key=k, sounds_at=2) for k in (1, 2)],
            text_played(3, "no", key=3, sounds_at=3),
        ],
        ["assistant: no no"],
    ),
    "equal words at the same moment, as the text has them": (
        [
            *[bot_started_speaking(1), text_announced(1, "No, no no way, no.")],
            *[
                event
                for key, word in enumerate(["No,", "no", "no", "way,", "no."], 1)
                for event in (
                    text_made(1, word, key=key, sounds_at=1 + key // 4),
                    text_played(1 + key // 4, word, key=key, sounds_at=1 + key // 4),
                )
            ],
        ],
        ["assistant: No, no no way, no."],
    ),
    "a timed word that comes late": (
        [
            *[bot_started_speaking(1), tts_started(1), audio_made(1, 1)],
            *[text_made(1, word, sounds_at=at) for word, at in (("Hi", 1), ("there.", 3.2))],
            *[text_played(1, "Hi", sounds_at=1), audio_played(2, 1), bot_stopped_speaking(2)],
            *[*user_spoke(2.2, "Hello.", 0.5), text_played(3.2, "there.", sounds_at=3.2)],
        ],
        ["assistant: Hi there.", "user: Hello."],
    ),
    "two destinations": (
        [
            *[
                bot_started_speaking(1),
                bot_started_speaking(1.1, "fr"),
                text_played(2, "Hi."),
                bot_stopped_speaking(2),
            ],
            *[
                text_played(5, "Salut.", key=7),
                bot_stopped_speaking(5, "fr"),
                bot_stopped_speaking(5, "fr"),
            ],
        ],
        ["assistant: Hi. Salut."],
    ),
}


@pytest.mark.parametrize("case", BOT_TURNS)
def test_assistant_turns(case: str) -> None:
    """The assistant's turn holds what was played, until somebody else's turn."""
    events, turns = BOT_TURNS[case]
    assert lines(*events) == turns
