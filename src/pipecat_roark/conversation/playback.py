"""How much of what the bot is made to say has been heard.

The output may release a text long before anybody hears it. Speech services order their text and
their audio in three ways:

1. *Timed words* carry the moment at which they sound, and are heard from then on.
2. *A text behind its audio* is released when all of its audio was played.
3. *Text ahead of its audio* (services without word times on a websocket, realtime models) is
   released before anybody heard it.

So audio is counted, in seconds, as it is made and as it is played. The counts show which span of
the audio speaks which text. When speech is cut short, a text of the last two kinds is cut at the
share of its span that was played, measured in characters and rounded down to whole words. The speed
of speech varies within a span, so the cut in a sentence may be wrong by about one word. If the
length of a span is not known yet, only the released texts of it are heard.
"""

from __future__ import annotations

from collections import deque
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace

from pipecat_roark.conversation.text import Fragment, SpokenText, whole_words

_LIMIT = 512
"""How many texts may wait to be played; if there are more, the oldest are never going to be."""
_TAIL_SECS = 0.1
"""The last chunk may be missing from what was played; no word fits into so short a time."""


@dataclass(slots=True)
class _SpokenSpan:
    """A span of the made audio, and the text that it speaks."""

    begin: float
    end: float | None
    fragments: list[Fragment] = field(default_factory=list)

    def __deepcopy__(self, memo: dict[int, object]) -> _SpokenSpan:
        return _SpokenSpan(self.begin, self.end, deepcopy(self.fragments, memo))

    def is_over(self, played: float) -> bool:
        """Return whether all of it was played and released."""
        return (
            self.end is not None
            and self.end <= played + _TAIL_SECS
            and all(fragment.released for fragment in self.fragments)
        )

    def cut(self, played: float, *, measured: bool) -> None:
        """Mark how much of the text was heard, if only `played` seconds of all audio were."""
        share: float | None = None
        if played <= self.begin:
            share = 0.0
        elif self.end is not None:
            length = self.end - self.begin
            share = min(1.0, (played - self.begin) / length) if length else 1.0
        budget = (share or 0.0) * sum(len(fragment.words.text) for fragment in self.fragments)
        for fragment in self.fragments:
            if not fragment.released or (measured and share is not None):
                fragment.cut = whole_words(fragment.words.text, budget)
            budget -= len(fragment.words.text)


class Playback:
    """The bot's text and audio on their way from the speech service to the listener."""

    def __init__(self) -> None:
        self._made = self._played = 0.0
        self._measured = False
        self._since = 0.0
        self._spans: deque[_SpokenSpan] = deque(maxlen=_LIMIT)
        self._announced: str | None = None
        self._waiting: dict[int, Fragment] = {}
        self._dropped: dict[int, Fragment] = {}
        self._number = 0
        self._opens = False

    def __deepcopy__(self, memo: dict[int, object]) -> Playback:
        twin = copy(self)
        vars(twin).update(
            _spans=deque((deepcopy(span, memo) for span in self._spans), _LIMIT),
            _waiting=deepcopy(self._waiting, memo),
            _dropped=deepcopy(self._dropped, memo),
        )
        return twin

    def tts_started(self) -> None:
        """Note that the speech service began an utterance."""
        self.tts_stopped()
        self._since = self._made
        self._opens = True

    def tts_stopped(self) -> None:
        """Note that the speech service made all of an utterance."""
        if self._spans and self._spans[-1].end is None:
            self._spans[-1].end = self._since = self._made

    def audio_made(self, seconds: float) -> None:
        """Note that the speech service made audio of this length."""
        self._made += seconds

    def audio_played(self, seconds: float) -> None:
        """Note that the output played audio of this length."""
        self._measured = True
        self._move_to(self._played + seconds)

    def text_announced(self, text: str) -> None:
        """Note that a text is going to be spoken; it is made before or after its audio."""
        self._announced = text

    def text_made(self, key: int, words: SpokenText) -> None:
        """Note that a text was made into speech; `key` names it when the output releases it."""
        fragment = self._waiting[key] = self._enter(words)
        if len(self._waiting) > _LIMIT:
            del self._waiting[next(iter(self._waiting))]
        if words.sounds_at is not None:
            return
        last = self._spans[-1] if self._spans else None
        if last and last.end is None:
            last.fragments.append(fragment)
        elif self._made > self._since:
            self._spans.append(_SpokenSpan(self._since, self._made, [fragment]))
            self._since = self._made
        else:
            self._spans.append(_SpokenSpan(self._since, None, [fragment]))

    def text_played(self, key: int, words: SpokenText) -> Fragment | None:
        """Note that the output released a text.

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
        if words.sounds_at is None:
            # It passes the output in line with the audio, so the audio was played up to here.
            self._move_to(fragment.place)
        return fragment

    def cut(self, at: int, *, keep: bool) -> list[Fragment]:
        """Cut speech short: drop what waits to be played.

        Args:
            at: Pipeline time in nanoseconds.
            keep: Whether a turn takes the dropped fragments. If one of them is played all the
                same, because it cannot be interrupted, it is marked as heard there.

        Returns:
            The dropped fragments, marked with how much of them was heard.
        """
        for span in self._spans:
            span.cut(self._played, measured=self._measured)
        for fragment in self._waiting.values():
            if (fragment.words.sounds_at or 0) > at:
                fragment.cut = 0
        dropped = [*self._waiting.values()]
        if self._announced:
            dropped.append(Fragment(SpokenText(self._announced), self._number + 1, cut=0))
        if keep:
            self._dropped.update(self._waiting)
            for key in [*self._dropped][:-_LIMIT]:
                del self._dropped[key]
        self._waiting, self._announced = {}, None
        self._spans.clear()
        self._made = self._played = self._since = 0.0
        return dropped

    def _enter(self, words: SpokenText) -> Fragment:
        if self._opens and words.spaced:
            words = replace(words, text=f" {words.text.lstrip()}")
        self._opens, self._announced = False, None
        self._number += 1
        return Fragment(words, self._number, self._made)

    def _move_to(self, played: float) -> None:
        # The output may fill up its last chunk with silence, so more is played than was made.
        self._played = min(played, self._made)
        while self._spans and self._spans[0].is_over(self._played):
            self._spans.popleft()
