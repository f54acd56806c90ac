"""What a call was: plain, frozen values for the user's own code, and the source of `call-ended`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipecat_roark.summary import CallSummary, summarize

if TYPE_CHECKING:
    from collections.abc import Container
    from datetime import datetime


class Word(NamedTuple):
    """A word, and where it lies in the recording.

    Attributes:
        text: The word, with its punctuation. In scripts without spaces, it is one syllable.
        start_ms: Its begin in the recording, in milliseconds.
        end_ms: Its end, in milliseconds; the pause behind a word counts as part of it.
        error_ms: How far `start_ms` may be off, in milliseconds. It is small if the speech service
            gave the word's time. Otherwise the word's place is estimated by the lengths of words.
    """

    text: str
    start_ms: int
    end_ms: int
    error_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyStage:
    """A part of the time that the assistant's answer took.

    Attributes:
        key: What the time was spent on, as in Pipecat's own `LatencyContribution`, such as
            `endpointing_wait` or `llm_inference`; `pipeline` if that can't be told.
        owner: What spent it: a processor's or a tool's name, or `config:` and the setting.
        kind: What kind of thing the owner is.
        start_ms: Its begin in the recording, in milliseconds; without a place of the turn in a
            recording, since the begin of the first stage. It is negative before sample 0.
        end_ms: Its end, which is the begin of the next stage.
    """

    key: str
    owner: str
    kind: Literal["service", "setting", "bot", "pipeline"]
    start_ms: int
    end_ms: int

    @property
    def duration_ms(self) -> int:
        """How long it took, in milliseconds."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one speaker said until the other's turn.

    Attributes:
        role: Who spoke.
        content: The words said; of the assistant, only those that were played. Of a text that was
            cut in the middle, these are estimated by the share of its audio that was played.
        started_at: Onset of audible speech, UTC.
        ended_at: Its offset, UTC; never before `started_at`.
        start_ms: The onset in the recording, in milliseconds. None if the turn isn't in there, as
            there is no recording, it was over before sample 0, or it was written, not spoken.
        end_ms: The offset in the recording; None where `start_ms` is.
        interrupted: Whether the user cut this turn of the assistant short; False for a user's turn.
        unheard: Words of the assistant that were generated for this turn but never played.
        user_id: The user's id, as the transport or the recognizer gave it.
        language: The language recognized (BCP-47).
        response_ms: Of an assistant's turn that answers the user, the time in milliseconds from
            the end of the user's speech to its own onset.
        latency: The stages of this time, in order; together they last `response_ms`. Of a turn
            that answers nobody, such as a greeting, the stages of the time since the client was
            connected or something to say was asked for, as far as that is known.
        detected: Whether it is known when it was spoken. It isn't if no detector reported the
            user's speech, so that the times are those at which its words came, or if words came so
            early that they may have been spoken before.
        open: Whether it may still change, because it goes on or late words may come.
        silenced: Whether its audio was replaced by silence, because your `redact` function said so
            or failed.
        words: The words of `content`, in order, with their places in the recording. Empty if the
            turn isn't in there. A turn with other content has none: they would tell the old one.
    """

    role: Literal["user", "assistant"]
    content: str
    started_at: datetime
    ended_at: datetime
    start_ms: int | None = None
    end_ms: int | None = None
    interrupted: bool = False
    unheard: str = ""
    user_id: str | None = None
    language: str | None = None
    response_ms: int | None = None
    latency: tuple[LatencyStage, ...] = ()
    detected: bool = True
    open: bool = False
    silenced: bool = False
    words: tuple[Word, ...] = ()

    def __post_init__(self) -> None:
        """Drop words that are not those of the content, such as a mask in their place."""
        content: object = self.content
        letters = "".join(content.split()) if self.words and isinstance(content, str) else ""
        if self.words and letters != "".join([word.text for word in self.words]):
            object.__setattr__(self, "words", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """One answer to a tool call; a streaming tool gives several.

    Attributes:
        content: The answer as text, structured values as JSON.
        returned_at: When it came, UTC.
        offset_ms: The same moment in the recording; None without a recording.
    """

    content: str
    returned_at: datetime
    offset_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that the model called.

    Attributes:
        tool_call_id: The id that pairs the call with its results, unique in the phone call. An id
            that the model gives again gets a number; one that it leaves out is made up.
        name: Name of the function; `unknown` if the model gave none.
        arguments: Its arguments as a JSON string; a string from the model is kept as it came.
        called_at: When it was called, UTC.
        offset_ms: The same moment in the recording; None without a recording.
        results: What came back, in order.
        outcome: `returned` once the last result came, `cancelled`, or `pending`.
    """

    tool_call_id: str
    name: str
    arguments: str
    called_at: datetime
    offset_ms: int | None = None
    results: tuple[ToolResult, ...] = ()
    outcome: Literal["returned", "cancelled", "pending"] = "pending"

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from the call to its last result, or None while there is none."""
        if not self.results:
            return None
        return round((self.results[-1].returned_at - self.called_at).total_seconds() * 1000)


def unique_id(wanted: str, taken: Container[str]) -> str:
    """Return an id for a tool call that no other has: the wanted one, or one made from it."""
    wanted = wanted if wanted.strip() else "tool-call"
    numbered = (f"{wanted}#{number}" for number in count(2))
    return next(name for name in chain([wanted], numbered) if name not in taken)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A time of which neither words nor audio leave the process.

    Attributes:
        started_at: When it began, UTC.
        ended_at: When it ended, UTC; None while it lasts.
        start_ms: Its begin in the recording, in milliseconds; None without a recording.
        end_ms: Its end in the recording; None while it lasts, too.
    """

    started_at: datetime
    ended_at: datetime | None = None
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """One call, as far as it is known.

    Attributes:
        pipecat_call_id: The call's identity at Roark.
        started_at: When the pipeline started, UTC; None before that.
        ended_at: When the call ended, UTC; None while it runs.
        ended_reason: Why it ended; None while it runs.
        agent_spoke_first: Whether the assistant spoke first; None while nobody has spoken.
        sample_rate: Of the recording, in Hz; None while nothing was recorded.
        num_channels: Of the recording.
        turns: In the order in which they began.
        tool_calls: In the order in which they were made.
        pauses: When nothing was captured, in order.
        settled_ms: No turn before this place of the recording changes any more. None without a
            recording, and when the call has ended.
    """

    pipecat_call_id: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: str | None = None
    agent_spoke_first: bool | None = None
    sample_rate: int | None = None
    num_channels: int | None = None
    turns: tuple[Turn, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    pauses: tuple[Pause, ...] = ()
    settled_ms: int | None = None

    @property
    def summary(self) -> CallSummary:
        """How fast the assistant answered, and how much each side spoke."""
        return summarize(self.turns)
