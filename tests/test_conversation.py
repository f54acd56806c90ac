"""What makes a turn, told event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from events import (
    audio_made,
    audio_played,
    bot_closes,
    bot_opens,
    bot_says,
    bot_starts,
    bot_stops,
    ended,
    floor_given,
    floor_taken,
    interrupted,
    lines,
    muted,
    ns,
    report_of,
    spans,
    state_of,
    text_announced,
    text_made,
    unmuted,
    user_says,
    user_starts,
    user_stops,
    wall,
)
from pipecat_roark.conversation import Edge

if TYPE_CHECKING:
    from events import Event

HELLO = "Hello there, how can I help you today?"
"""Its words end after 5, 12, 16, 20, 22, 27, 31 and 38 characters."""


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


USER_TURNS: dict[str, tuple[list[Event], list[str]]] = {
    "every frame": (heard(1, "Hello."), ["user: Hello."]),
    "turn frames alone (pipecat 3862)": (
        [floor_given(1), user_says(1.5, "Hello."), floor_taken(2)],
        ["user: Hello."],
    ),
    "a detector's frames alone": (
        [user_starts(1), user_stops(2), user_says(2.5, "Hello.")],
        ["user: Hello."],
    ),
    "words alone (pipecat 5311)": ([user_says(1, "Hello.")], ["user: Hello."]),
    "segments of one turn": (
        [
            user_starts(1),
            floor_given(1),
            user_says(2, "I would like"),
            user_stops(2),
            user_starts(2.5),
            user_says(3, " a table. "),
            user_stops(3),
            floor_taken(3.5),
            user_says(3.6, "Please."),
        ],
        ["user: I would like a table. Please."],
    ),
    "segments that bring their spaces": (
        [
            floor_given(1),
            user_says(1.1, "I would ", spaced=True),
            user_says(1.2, "like", spaced=True),
            user_says(1.3, " that.", spaced=True),
            floor_taken(2),
        ],
        ["user: I would like that."],
    ),
    "segments of an unannounced user": (
        [user_says(1, "I would"), user_says(2, "like that."), *spoken(3, "Sure.")],
        ["user: I would like that.", "assistant: Sure."],
    ),
    "words after the user stopped (pipecat 859)": (
        heard(1, "Hello.", words_at=3.5),
        ["user: Hello."],
    ),
    "words after the assistant began (pipecat 4279)": (
        [*heard(1, "Hello.", words_at=3.5), *spoken(3, "Hi.")],
        ["user: Hello.", "assistant: Hi."],
    ),
    "a last segment after the assistant began (pipecat 5056)": (
        [*heard(1, "Hello."), *spoken(3, "Hi."), user_says(3.2, "It is me.")],
        ["user: Hello. It is me.", "assistant: Hi."],
    ),
    "a last segment after the next turn began": (
        [*heard(1, "Hello."), user_starts(2.5), user_says(2.8, "It is me."), user_stops(3)],
        ["user: Hello. It is me."],
    ),
    "words after the next turn began": (
        [*heard(1, "Hello.", words_at=2.8), *heard(2.5, "Anyone?")],
        ["user: Hello.", "user: Anyone?"],
    ),
    "words at the end of a short turn": (
        [*heard(1, "Hello."), *heard(2.5, "You.", 0.4)],
        ["user: Hello.", "user: You."],
    ),
    "words long after the turn, which has its own": (
        [*heard(1, "Hello."), user_says(8, "Anyone?")],
        ["user: Hello.", "user: Anyone?"],
    ),
    "turns without an answer between": (
        [*heard(1, "Hello."), *heard(3, "Anyone?")],
        ["user: Hello.", "user: Anyone?"],
    ),
    "utterances without turn frames": (
        [
            *[user_starts(1), user_stops(2), user_says(2.1, "Hello.")],
            *[user_starts(2.5), user_stops(3), user_says(3.1, "Anyone?")],
        ],
        ["user: Hello.", "user: Anyone?"],
    ),
    "a detector that flaps": (
        [user_starts(1), user_stops(2), user_starts(2.5), user_stops(3), user_says(3.1, "Hello.")],
        ["user: Hello."],
    ),
    "speech before the pipeline gives the floor": (
        [
            *heard(1, "Hello."),
            *[user_starts(10), user_stops(10.5), user_says(10.6, "I mean")],
            *[user_starts(11), floor_given(11.1), user_stops(12), user_says(12, "the other one.")],
            floor_taken(12.1),
        ],
        ["user: Hello.", "user: I mean the other one."],
    ),
    "words that make the pipeline give the floor": (
        [
            *[floor_given(1), user_says(1.5, "Hello."), floor_taken(2)],
            *spoken(2.5, "Hi."),
            *[user_says(4.5, "A table.", user="bo", lang="de"), floor_given(4.55), floor_taken(5)],
        ],
        ["user: Hello.", "assistant: Hi.", "user: A table."],
    ),
    "words into the greeting that make the pipeline give the floor": (
        [
            *[bot_starts(1), bot_says(2, "Hi."), user_says(3, "Wait."), floor_given(3.05)],
            *[interrupted(3.06), bot_stops(3.06), floor_taken(3.5)],
        ],
        ["assistant: Hi.", "user: Wait."],
    ),
    "words of which the assistant had none yet": (
        [*heard(1, "Hello.", words_at=2.2), floor_given(2.4), floor_taken(3)],
        ["user: Hello."],
    ),
    "words without their speech": (
        [*spoken(1, "Hi."), *heard(3, "Hello."), *spoken(5, "Yes?"), user_says(20, "A table.")],
        ["assistant: Hi.", "user: Hello.", "assistant: Yes?", "user: A table."],
    ),
    "speech before any words of it, and long after": (
        [*heard(1, "", words_at=1.5), *heard(20, "Hello.")],
        ["user: Hello."],
    ),
    "words that come very late, after an answer": (
        [user_starts(1), user_stops(2), *spoken(9, "Hi."), user_says(9.5, "Hello.")],
        ["user: Hello.", "assistant: Hi."],
    ),
    "a turn that is taken but was never given": (
        [user_starts(1), user_stops(2), floor_taken(2), user_says(2, "Hello.")],
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


REALTIME: dict[str, tuple[list[Event], list[str]]] = {
    "the user spoke first": (
        [bot_starts(2), user_says(2.5, "Hello."), bot_says(3, "Hi."), bot_stops(3)],
        ["user: Hello.", "assistant: Hi."],
    ),
    "the assistant greeted": (
        [*spoken(1, "Hi."), bot_starts(4), user_says(4.5, "Hello."), bot_says(5, "Yes?")],
        ["assistant: Hi.", "user: Hello.", "assistant: Yes?"],
    ),
    "the words come in parts": (
        [bot_starts(2), user_says(2.5, "Hel"), user_says(2.6, "lo."), bot_says(3, "Hi.")],
        ["user: Hel lo.", "assistant: Hi."],
    ),
    "the user spoke into the answer": (
        [user_says(1, "Hello."), bot_starts(2), bot_says(3, "Hi."), user_says(4, "Wait.")],
        ["user: Hello.", "assistant: Hi.", "user: Wait."],
    ),
    "the user interrupted the greeting": (
        [bot_starts(1), bot_says(2, "Hi."), interrupted(2.5), user_says(2.6, "Wait.")],
        ["assistant: Hi.", "user: Wait."],
    ),
    "the assistant has spoken for long": (
        [bot_starts(1), bot_says(2, "Hi."), user_says(9, "Wait."), bot_says(9.5, "Yes?")],
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
        [muted(0), *heard(1, "Echo."), unmuted(3), *heard(4, "Hello.")],
        ["user: Hello."],
    ),
    "empty words (pipecat 5005)": ([*heard(1, " "), *heard(3, "")], []),
    "words of speech before the mute (pipecat 3361)": (
        [user_starts(1), user_stops(2), muted(2), user_says(2.5, "Hello."), unmuted(4)],
        ["user: Hello."],
    ),
    "words long after speech before the mute": (
        [user_starts(1), user_stops(2), muted(2), user_says(9, "Echo.")],
        [],
    ),
    "a mute in the middle of speech": (
        [user_starts(1), floor_given(1), muted(1.5), user_stops(2), user_says(3, "Hello.")],
        ["user: Hello."],
    ),
    "a noise, and silence": (
        [user_starts(1), user_stops(1.2), *spoken(2, "Hi.")],
        ["assistant: Hi."],
    ),
}


@pytest.mark.parametrize("case", MUTE)
def test_nothing_that_nobody_listened_to_makes_a_turn(case: str) -> None:
    """Muted or empty speech leaves no turn behind."""
    events, turns = MUTE[case]
    assert lines(*events) == turns


BOT_TURNS: dict[str, tuple[list[Event], list[str]]] = {
    "a sentence": (spoken(1, "Hi."), ["assistant: Hi."]),
    "the output flaps inside one answer (pipecat 453, 1439)": (
        [*spoken(1, "Hi."), *spoken(2.3, "How are you?"), *spoken(4, "Well?")],
        ["assistant: Hi. How are you? Well?"],
    ),
    "silence that the output takes for speech (pipecat 2704)": (
        [*spoken(1, "Hi."), bot_starts(3.5), bot_stops(3.6), *heard(5, "Hello.")],
        ["assistant: Hi.", "user: Hello."],
    ),
    "a start without a stop": (
        [bot_starts(1), bot_says(2, "Hi."), bot_starts(2.5), bot_says(3, "Yes?")],
        ["assistant: Hi. Yes?"],
    ),
    "a long pause": (
        [*spoken(1, "Hi."), *spoken(9, "Are you there?")],
        ["assistant: Hi.", "assistant: Are you there?"],
    ),
    "a turn of the user between": (
        [*spoken(1, "Hi."), *heard(2.1, "Yes.", 0.3), *spoken(2.6, "Great.")],
        ["assistant: Hi.", "user: Yes.", "assistant: Great."],
    ),
    "a turn of the user between whose words come late": (
        [*spoken(1, "Hi."), *heard(2.1, "Yes.", 0.3, words_at=3), *spoken(2.6, "Great.")],
        ["assistant: Hi.", "user: Yes.", "assistant: Great."],
    ),
    "words before the announcement": (
        [bot_says(1, "Hi."), bot_starts(1.1), bot_says(2, "Yes?"), bot_stops(2)],
        ["assistant: Hi. Yes?"],
    ),
    "words long before the announcement": (
        [*spoken(1, "Hi."), *heard(3, "Hello."), bot_says(5, "Yes?"), bot_starts(8), bot_stops(9)],
        ["assistant: Hi.", "user: Hello.", "assistant: Yes?"],
    ),
    "no announcement at all": (
        [bot_says(1, "Hi."), bot_says(9, "Yes?"), *heard(10, "Hello."), bot_says(12, "Well?")],
        ["assistant: Hi. Yes?", "user: Hello.", "assistant: Well?"],
    ),
    "empty text": ([*spoken(1, " "), *spoken(2, "Hi.")], ["assistant: Hi."]),
    "pieces that bring their spaces": (
        [
            bot_starts(1),
            bot_says(1.1, "Hel", spaced=True),
            bot_says(1.2, "lo", spaced=True),
            bot_says(1.3, " there.", spaced=True),
        ],
        ["assistant: Hello there."],
    ),
    "pieces of two utterances that bring their spaces": (
        [
            *[bot_opens(1), text_made(1, "Hello.", spaced=True), bot_closes(1)],
            *[bot_opens(1), text_made(1, "Who is", spaced=True), bot_closes(1)],
            *[bot_starts(1), bot_says(2, "Hello.", spaced=True)],
            bot_says(3, "Who is", spaced=True),
        ],
        ["assistant: Hello. Who is"],
    ),
    "words released in the wrong order (pipecat 1355, 1361)": (
        [
            bot_starts(1),
            *[text_made(1, word, sounds_at=2) for word in ("One", "moment,")],
            *[text_made(1, word, sounds_at=1.5) for word in ("please.",)],
            bot_says(1.5, "please.", sounds_at=1.5),
            *[bot_says(2, word, sounds_at=2) for word in ("One", "moment,")],
        ],
        ["assistant: One moment, please."],
    ),
    "words sent twice (pipecat 4316)": (
        [
            bot_starts(1),
            *[text_made(1, word, key=k, sounds_at=2) for k, word in enumerate(("no", "no"), 1)],
            *[bot_says(2, "no", key=k, sounds_at=2) for k in (1, 2)],
            bot_says(3, "no", key=3, sounds_at=3),
        ],
        ["assistant: no no"],
    ),
    "two destinations": (
        [
            *[bot_starts(1), bot_starts(1.1, "fr"), bot_says(2, "Hi."), bot_stops(2)],
            *[bot_says(5, "Salut.", key=7), bot_stops(5, "fr"), bot_stops(5, "fr")],
        ],
        ["assistant: Hi. Salut."],
    ),
}


@pytest.mark.parametrize("case", BOT_TURNS)
def test_assistant_turns(case: str) -> None:
    """The assistant's turn holds what was played, until somebody else's turn."""
    events, turns = BOT_TURNS[case]
    assert lines(*events) == turns


def behind(at: float, *sentences: str, secs: float = 2.0) -> list[Event]:
    """Return that sentences were made, each behind its audio."""
    made = [[audio_made(at, secs), text_made(at, sentence)] for sentence in sentences]
    return [bot_opens(at), *[event for pair in made for event in pair], bot_closes(at)]


def ahead(at: float, *texts: str, secs: float = 2.0) -> list[Event]:
    """Return that texts were made, and after them their audio."""
    audio = [audio_made(at, secs) for _ in texts]
    return [bot_opens(at), *[text_made(at, text) for text in texts], *audio, bot_closes(at)]


def plays(start: float, *, until: float) -> list[Event]:
    """Return that the output played audio between two moments."""
    return [bot_starts(start), audio_played(until, until - start)]


def cut(at: float) -> list[Event]:
    """Return that the output was interrupted, and fell silent."""
    return [interrupted(at), bot_stops(at)]


INTERRUPTIONS: dict[str, tuple[list[Event], tuple[str, str]]] = {
    "before a sentence ends": (
        [*behind(1, HELLO), *plays(1, until=2), *cut(2)],
        ("Hello there, how", "can I help you today?"),
    ),
    "before its first word ends": (
        [*behind(1, HELLO), *plays(1, until=1.2), *cut(1.2), bot_starts(3), bot_says(4, "Yes?")],
        ("Yes?", ""),
    ),
    "at its end, before it is released (pipecat 4996)": (
        [*behind(1, HELLO), *plays(1, until=3), *cut(3)],
        (HELLO, ""),
    ),
    "in the second sentence": (
        [
            *behind(1, "I am here.", HELLO, "Well?"),
            *plays(1, until=3),
            bot_says(3, "I am here."),
            audio_played(4, 1.0),
            *cut(4),
        ],
        ("I am here. Hello there, how", "can I help you today? Well?"),
    ),
    "in the second sentence, where chunks went missing": (
        [
            *behind(1, "I am here.", HELLO),
            *plays(1, until=2.7),
            bot_says(3, "I am here."),
            audio_played(4, 1.0),
            *cut(4),
        ],
        ("I am here. Hello there, how", "can I help you today?"),
    ),
    "in a sentence after a chunk that was filled up with silence": (
        [
            *[
                *behind(1, "I am here.", secs=0.5),
                *plays(1, until=1.5),
                bot_says(1.5, "I am here."),
            ],
            *[audio_played(1.6, 0.1), *behind(2, HELLO), audio_played(3, 1.0), *cut(3)],
        ],
        ("I am here. Hello there, how", "can I help you today?"),
    ),
    "just before a sentence ends": (
        [*behind(1, HELLO), *plays(1, until=2.95), *cut(2.95)],
        ("Hello there, how can I help you", "today?"),
    ),
    "in a sentence of which audio is still made": (
        [
            *[bot_opens(1), audio_made(1, 1), text_made(1, "I am here."), text_announced(1, HELLO)],
            *[audio_made(2, 0.5), *plays(1, until=2), bot_says(2, "I am here.")],
            *[audio_played(2.4, 0.4), *cut(2.4)],
        ],
        ("I am here.", HELLO),
    ),
    "in text ahead of its audio (pipecat 5426)": (
        [
            *[*ahead(1, HELLO, "Well?"), bot_says(1, HELLO), bot_says(1, "Well?")],
            *[*plays(1, until=3), *cut(3)],
        ],
        ("Hello there, how can", "I help you today? Well?"),
    ),
    "in text ahead of its audio, before any was played": (
        [
            *[*plays(0, until=0.5), bot_stops(0.5)],
            *[*ahead(1, HELLO), bot_says(1, HELLO), *plays(1, until=1.0), *cut(1)],
            *[bot_starts(3), bot_says(4, "Yes?")],
        ],
        ("Yes?", ""),
    ),
    "in text ahead of audio that is still made": (
        [
            *[bot_opens(1), text_made(1, "I am here."), text_made(1, HELLO), audio_made(1, 3)],
            *[bot_says(1, "I am here."), *plays(1, until=2), *cut(2)],
        ],
        ("I am here.", HELLO),
    ),
    "in text ahead of audio that nobody counts": (
        [*ahead(1, "I am here."), bot_starts(1), bot_says(1, "I am here."), *cut(2)],
        ("I am here.", ""),
    ),
    "in a text after one that made no sound": (
        [
            *[bot_opens(1), text_made(1, "*"), bot_closes(1), *behind(1, HELLO)],
            *[*plays(1, until=2), *cut(2)],
        ],
        ("* Hello there, how", "can I help you today?"),
    ),
    "among timed words": (
        [
            bot_opens(1),
            *[text_made(1, f"w{n}", sounds_at=1 + n) for n in range(5)],
            *[bot_starts(1), bot_says(1, "w0", sounds_at=1), bot_says(2, "w1", sounds_at=2)],
            *cut(3.1),
        ],
        ("w0 w1 w2", "w3 w4"),
    ),
    "in a script without spaces": (
        [*behind(1, "今日はいい天気です。"), *plays(1, until=2), *cut(2)],
        ("今日はいい", "天気です。"),
    ),
    "by the end of the call (pipecat 3757)": (
        [*behind(1, HELLO), *plays(1, until=2), ended(2)],
        ("Hello there, how", "can I help you today?"),
    ),
    "while the assistant is silent": (
        [*spoken(1, HELLO), interrupted(3), *spoken(3.2, "Well?")],
        (f"{HELLO} Well?", ""),
    ),
    "while the assistant is silent, after audio that ended a little short": (
        [*ahead(1, HELLO), bot_says(1, HELLO), *plays(1, until=2.96), bot_stops(3), interrupted(4)],
        (HELLO, ""),
    ),
    "before the assistant begins": (
        [text_announced(1, "I am."), text_made(1, "I"), interrupted(2), *spoken(3, HELLO)],
        (HELLO, ""),
    ),
    "of speech that goes on, as it may not be interrupted": (
        [*behind(1, HELLO), *plays(1, until=2), interrupted(2), bot_says(3, HELLO), bot_stops(3)],
        (HELLO, ""),
    ),
    "of another destination": (
        [bot_starts(1, "fr"), text_made(1, "I"), interrupted(2), bot_says(3, "Salut.")],
        ("Salut.", ""),
    ),
}


@pytest.mark.parametrize("case", INTERRUPTIONS)
def test_interruptions(case: str) -> None:
    """What was heard stays, and what was not is told apart from it."""
    events, expected = INTERRUPTIONS[case]
    last = report_of(*events).turns[-1]
    assert (last.content, last.unheard) == expected


def test_an_interruption_is_marked() -> None:
    """A turn that was cut says so, and what the assistant says next is another."""
    first, second = report_of(
        *behind(1, HELLO), *plays(1, until=2), *cut(2), *spoken(2.5, "Yes?")
    ).turns
    assert first.interrupted
    assert not second.interrupted


def test_a_lost_stop_ends_with_the_interruption() -> None:
    """Speech after an interrupted turn is the next, though its stop was never announced."""
    assert lines(
        bot_starts(1), bot_says(2, "Hi."), interrupted(3), bot_starts(4), bot_says(5, "Yes?")
    ) == ["assistant: Hi.", "assistant: Yes?"]


@pytest.mark.parametrize("case", ["silence", "end"])
def test_no_interruption_is_marked(case: str) -> None:
    """Neither the end of the call nor a user who speaks into silence interrupts a turn."""
    last_event = {"silence": interrupted(3), "end": ended(2)}[case]
    (turn,) = report_of(*spoken(1, HELLO), last_event).turns
    assert not turn.interrupted


SPANS: dict[str, tuple[list[Event], list[tuple[float, float]]]] = {
    "a detector's edges": (heard(1, "Hello."), [(1, 2)]),
    "turn frames, where no detector tells": (
        [floor_given(1), user_says(1.5, "Hello."), floor_taken(2)],
        [(1, 2)],
    ),
    "words, where nothing tells": ([user_says(1, "Hello."), user_says(2, "You.")], [(1, 2)]),
    "words that no speech announced before their answer": (
        [bot_starts(2), user_says(2.5, "Hello."), bot_says(3, "Hi."), bot_stops(3)],
        [(2, 2), (2, 3)],
    ),
    "an end that comes after the turn's": (
        [user_starts(1), floor_given(1), user_says(2, "Hello."), floor_taken(2.5), user_stops(2.6)],
        [(1, 2.6)],
    ),
    "an end in a turn that began with the words": (
        [floor_given(1), user_says(1, "Hello."), user_stops(1.5), floor_taken(2)],
        [(1, 1.5)],
    ),
    "an end that never comes": (
        [user_starts(1), user_says(2, "Hello."), *spoken(3, "Hi."), *heard(9, "You.")],
        [(1, 3), (3, 4), (9, 10)],
    ),
    "an end that comes in the next turn": (
        [
            *[user_starts(1), floor_given(1), user_says(2, "Hello."), floor_taken(3)],
            *[floor_given(4), user_says(4.5, "You."), user_stops(6)],
        ],
        [(1, 3), (4, 6)],
    ),
    "an assistant's audio rather than a late stop": (
        [bot_starts(1), audio_played(2, 1), bot_says(2, "Hi."), bot_stops(2.35)],
        [(1, 2)],
    ),
    "an assistant's announcements, where no audio tells": (
        [bot_starts(1), bot_says(2, "Hi."), bot_stops(2.35)],
        [(1, 2.35)],
    ),
    "words before the announcement": (
        [bot_says(1, "Hi."), bot_starts(1.2), bot_stops(2)],
        [(1.2, 2)],
    ),
    "words long before the announcement": (
        [*spoken(1, "Hi."), *heard(3, "Hello."), bot_says(5, "Yes?"), bot_starts(8), bot_stops(9)],
        [(1, 2), (3, 4), (8, 9)],
    ),
    "words without an announcement": ([bot_says(1, "Hi."), bot_says(2, "Yes?")], [(1, 2)]),
    "speech that goes on": ([bot_starts(1), bot_says(2, "Hi.")], [(1, 60)]),
    "a voice that speaks longer than another": (
        [bot_starts(1), bot_starts(1, "fr"), bot_says(2, "Hi."), bot_stops(2), bot_stops(3, "fr")],
        [(1, 3)],
    ),
}


@pytest.mark.parametrize("case", SPANS)
def test_edges(case: str) -> None:
    """A turn's edges are those of its speech, as well as they are known."""
    events, expected = SPANS[case]
    assert spans(*events) == expected


def test_an_end_is_never_before_its_start() -> None:
    """Edges that contradict each other give a turn without a length (pipecat 5286)."""
    state = state_of(user_starts(2), user_says(3, "Hello."))
    state.user_stopped_speaking(ns(3), Edge(ns(1)))
    (turn,) = state.report(ns(9), wall=wall).turns
    assert turn.started_at == turn.ended_at == wall(ns(2))


def test_turns_of_a_speaker_never_overlap() -> None:
    """A turn is over when the same speaker's next begins, though edges say otherwise."""
    state = state_of(*heard(1, "Hello.", 4))
    state.user_started_speaking(ns(6), Edge(ns(4)))
    user_stops(7)(state)
    user_says(7, "You.")(state)
    turns = state.report(ns(9), wall=wall).turns
    assert [turn.started_at for turn in turns] == [wall(ns(1)), wall(ns(4))]
    assert [turn.ended_at for turn in turns] == [wall(ns(4)), wall(ns(7))]


def test_audible_edges_count_before_announced_ones() -> None:
    """What was heard of the assistant in the audio sets the edges of its turn, pauses included."""
    state = state_of(bot_starts(1), audio_played(2, 1), bot_says(2, "Hi."))
    state.bot_audible_from(ns(1.02), Edge(ns(1.01)))
    state.bot_audible_until(ns(1.9), Edge(ns(1.8)))
    bot_stops(2)(state)
    bot_starts(2.5)(state)
    state.bot_audible_from(ns(2.6), Edge(ns(2.55)))
    state.bot_audible_until(ns(2.9), Edge(ns(2.8)))
    bot_stops(3)(state)
    (turn,) = state.report(ns(9), wall=wall).turns
    assert (turn.started_at, turn.ended_at) == (wall(ns(1.01)), wall(ns(2.8)))


def test_audible_edges_of_nobody_are_ignored() -> None:
    """An edge of the assistant's speech without a turn of it changes nothing."""
    state = state_of(user_says(1, "Hello."))
    state.bot_audible_from(ns(2), Edge(ns(2)))
    state.bot_audible_until(ns(3), Edge(ns(3)))
    audio_played(3, 1)(state)
    bot_stops(3)(state)
    assert [turn.role for turn in state.report(ns(9), wall=wall).turns] == ["user"]


def test_response_time_runs_to_the_onset() -> None:
    """An answer tells how long the user waited for it, and other speech doesn't."""
    turns = report_of(
        *spoken(1, "Hi."), *heard(3, "Hello."), *spoken(4.25, "Yes?"), *spoken(20, "Anyone?")
    ).turns
    assert [turn.response_ms for turn in turns] == [None, None, 250, None]
