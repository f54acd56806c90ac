"""How much of what the bot is made to say has been heard.

The output may release a text long before anybody hears it. Speech services order their text and
their audio in three ways:

1. *Timed words* carry the moment at which they sound, and are heard from then on.
2. *A text behind its audio* is released when all of its audio was played.
3. *Text ahead of its audio* (services without word times on a websocket, realtime models) is
   released before anybody heard it.

So audio is counted, in seconds, as the output gets it and as the output plays it. The counts show
which span of the audio speaks which text. When speech is cut short, a text of the last two kinds is
cut at the share of its span that was played, measured in characters and rounded down to whole
words. The speed of speech varies within a span, so the cut in a sentence may be wrong by about one
word. While the length of a span is not known yet, it is at least as long as the audio made so far.

Between the service and the output, text and audio may part: a video avatar keeps the audio and
plays its own, later. The length of an utterance is then the one that the service made.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from copy import copy, deepcopy
from dataclasses import dataclass, field

from pipecat_roark.conversation.sounding import TAIL_SECS, Sounding
from pipecat_roark.conversation.text import Fragment, SpokenText, whole_words
from pipecat_roark.moments import SECOND

_LIMIT = 512
"""How many texts may wait to be played; if there are more, the oldest are never going to be."""
_LATE_NS = 10 * SECOND
"""How long after an interruption a text that it dropped may still be played."""
_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class _SpokenSpan:
    """A span of the made audio, and the text that it speaks.

    Attributes:
        begin: Where it begins, in seconds of all made audio.
        end: Where it ends; None while it grows.
        fragments: Its text.
        failed: Whether the service made no audio for it.
    """

    begin: float
    end: float | None
    fragments: list[Fragment] = field(default_factory=list)
    failed: bool = False

    def __deepcopy__(self, memo: dict[int, object]) -> _SpokenSpan:
        return _SpokenSpan(self.begin, self.end, deepcopy(self.fragments, memo), self.failed)

    @property
    def interruptible(self) -> bool:
        """Whether an interruption drops it."""
        return all(fragment.words.interruptible for fragment in self.fragments)

    def is_over(self, played: float) -> bool:
        """Return whether all of it was played and released."""
        return (
            self.end is not None
            and self.end <= played + TAIL_SECS
            and all(fragment.released for fragment in self.fragments)
        )

    def fail(self) -> None:
        """Note that no audio was made for it: nobody heard the words in it."""
        self.failed = True
        for fragment in self.fragments:
            if _WORD.search(fragment.words.text):
                fragment.cut = 0

    def cut(self, played: float, made: float, *, measured: bool) -> None:
        """Mark how much of the text was heard, if only `played` of the `made` seconds were.

        Args:
            played: Seconds of audio that were played.
            made: Seconds of audio that were made.
            measured: Whether the seconds tell anything about text that was released.
        """
        end = made if self.end is None else self.end
        if played <= self.begin:
            share = 0.0
        elif end > self.begin:
            share = min(1.0, (played - self.begin) / (end - self.begin))
        else:
            share = 1.0
        budget = share * sum(len(fragment.words.text) for fragment in self.fragments)
        for fragment in [] if self.failed else self.fragments:
            if not fragment.released:
                known = self.end is not None
                fragment.cut = whole_words(fragment.words.text, budget if known else 0.0)
            elif measured:
                fragment.cut = whole_words(fragment.words.text, budget)
            budget -= len(fragment.words.text)


class Playback:
    """The bot's text and audio on their way from the speech service to the listener."""

    def __init__(self) -> None:
        self._made = self._played = 0.0
        self._measured = False
        self._since = self._utterance = 0.0
        """Where the next span begins, and where the utterance began."""
        self._owed = 0.0
        """Seconds that count as made, and whose audio is still to come."""
        self._spans: deque[_SpokenSpan] = deque(maxlen=_LIMIT)
        self._announced: str | None = None
        self._expected: Counter[str] = Counter()
        self._waiting: dict[int, Fragment] = {}
        self._dropped: dict[int, Fragment] = {}
        self._dropped_at = 0
        self._number = 0
        self._opens = self._within = False
        """Whether no text of the utterance came yet, and whether it goes on."""
        self._sounding = Sounding()

    def __deepcopy__(self, memo: dict[int, object]) -> Playback:
        twin = copy(self)
        vars(twin).update(
            _spans=deque((deepcopy(span, memo) for span in self._spans), _LIMIT),
            _expected=copy(self._expected),
            _waiting=deepcopy(self._waiting, memo),
            _dropped=deepcopy(self._dropped, memo),
            _sounding=deepcopy(self._sounding, memo),
        )
        return twin

    @property
    def idle(self) -> bool:
        """Whether all audio that was made has been played."""
        return self._measured and self._made - self._played <= TAIL_SECS

    @property
    def plays_on(self) -> bool:
        """Whether an interruption left speech that cannot be interrupted."""
        return bool(self._spans or self._waiting)

    def tts_started(self) -> None:
        """Note that the speech service began an utterance."""
        self.tts_stopped(None)
        if self.idle:
            self._played = self._made
        self._since = self._utterance = self._made
        self._sounding.begins(self._made, self._played)
        self._opens = self._within = True

    def tts_stopped(self, seconds: float | None) -> None:
        """Note that the speech service made all of an utterance: so many seconds, if known."""
        got = self._made - self._utterance
        if seconds and got <= seconds / 2:
            self._made += seconds - got
            self._owed += seconds - got
        if self._spans and self._spans[-1].end is None:
            self._spans[-1].end = self._since = self._made
            self._sounding.mark(self._made, self._spans[-1].fragments[-1], ends=True)
            if seconds == 0 and got == 0:
                self._spans[-1].fail()
        self._utterance, self._within = self._made, False

    def audio_made(self, seconds: float, at: int) -> None:
        """Note that the output got audio of this length, from a pipeline time on."""
        self._sounding.made(at)
        owed = min(self._owed, seconds)
        self._owed -= owed
        self._made += seconds - owed

    def audio_played(self, seconds: float, at: int) -> None:
        """Note that the output played audio of this length, until a pipeline time."""
        self._measured = True
        self._move_to(self._played + seconds, at)

    def text_announced(self, text: str) -> None:
        """Note that a text is going to be spoken; it is made before or after its audio."""
        self._announced = text
        self._expected.update(_tokens(text))

    def text_made(self, key: int, words: SpokenText) -> None:
        """Note that a text was made into speech; `key` names it when the output releases it."""
        fragment = self._waiting[key] = self._enter(words)
        if len(self._waiting) > _LIMIT:
            del self._waiting[next(iter(self._waiting))]
        if words.sounds_at is not None:
            self._sounding.time(fragment)
            return
        last = self._spans[-1] if self._spans else None
        if last and last.end is None:
            last.fragments.append(fragment)
            return
        self._sounding.mark(self._since, fragment)
        if self._made > self._since:
            self._spans.append(_SpokenSpan(self._since, self._made, [fragment]))
            self._sounding.mark(self._made, fragment, ends=True)
            self._since = self._made
        else:
            self._spans.append(_SpokenSpan(self._since, None, [fragment]))

    def text_played(self, key: int, words: SpokenText, at: int) -> Fragment | None:
        """Note that the output released a text at a pipeline time.

        Returns:
            The fragment. None if a turn already has it, because it seemed to have been dropped.
        """
        if dropped := self._dropped.pop(key, None):
            dropped.cut = None
            return None
        fragment = self._waiting.pop(key, None)
        if fragment is None:
            return self._enter(words)
        fragment.released = True
        if words.sounds_at is None and not self._owed:
            # It passes the output in line with the audio, so the audio was played up to here.
            self._move_to(fragment.place, at)
        return fragment

    def cut(self, at: int, *, speaks: bool, ends: bool = False) -> list[Fragment]:
        """Cut speech short: drop what waits to be played, unless it cannot be interrupted.

        Args:
            at: Pipeline time in nanoseconds.
            speaks: Whether the bot is speaking, so that a turn takes the dropped fragments. If one
                of them is played all the same, it is marked as heard there.
            ends: Whether the call ends, which drops everything.

        Returns:
            The dropped fragments, marked with how much of them was heard.
        """
        rest = [span for span in self._spans if not (ends or span.interruptible)]
        measured = self._measured or (self._made > 0 and not speaks)
        for span in self._spans:
            unmade = self._within and span.end is None and self._made <= span.begin
            if span not in rest:
                if span.begin < self._played:
                    end = self._made if span.end is None else span.end
                    self._sounding.expect_end(end, span.fragments[-1])
                span.cut(self._played, self._made, measured=measured or unmade)
        dropped = {
            key: one for key, one in self._waiting.items() if ends or one.words.interruptible
        }
        for fragment in dropped.values():
            if (fragment.words.sounds_at or 0) > at:
                fragment.cut = 0
        fragments = [*dropped.values()]
        if self._announced:
            fragments.append(Fragment(SpokenText(self._announced), self._number + 1, cut=0))
        if speaks:
            if at - self._dropped_at > _LATE_NS:
                self._dropped.clear()
            self._dropped_at = at
            self._dropped.update(dropped)
            for key in [*self._dropped][:-_LIMIT]:
                del self._dropped[key]
        self._waiting = {key: one for key, one in self._waiting.items() if key not in dropped}
        self._begin_again(rest, at)
        return fragments

    def _begin_again(self, rest: list[_SpokenSpan], at: int) -> None:
        """Count anew: only the audio of what cannot be interrupted is still to be played."""
        self._sounding.restart(at)
        made, played, total = 0.0, self._played, self._made
        for span in rest:
            length = (total if span.end is None else span.end) - span.begin
            made -= max(0.0, played - span.begin)
            for fragment in span.fragments:
                fragment.place += made - span.begin
            span.begin, made = made, made + length
            span.end = None if span.end is None else made
            if span.begin >= 0:
                self._sounding.mark(span.begin, span.fragments[0])
        self._made, self._played, self._since, self._utterance = made, 0.0, made, made
        self._owed = 0.0
        self._announced = None
        self._expected.clear()
        self._spans = deque(rest, _LIMIT)

    def _enter(self, words: SpokenText) -> Fragment:
        if self._opens and words.spaced:
            words = words._replace(text=f" {words.text.lstrip()}")
        self._opens, self._announced = False, None
        self._number += 1
        tokens = _tokens(words.text)
        expected = bool(tokens) and all(self._expected[token] > 0 for token in tokens)
        self._expected -= Counter(tokens)
        return Fragment(words, self._number, self._made, expected=expected)

    def _move_to(self, played: float, at: int) -> None:
        # The output may fill up its last chunk with silence, so more is played than was made.
        self._played = min(played, self._made)
        self._sounding.plays(self._played, at)
        while self._spans and self._spans[0].is_over(self._played):
            self._spans.popleft()


def _tokens(text: str) -> list[str]:
    """Return the words of a text as they can be compared."""
    return _WORD.findall(text.casefold())
