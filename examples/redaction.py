"""Three ways to say what may be seen of a call; each is a function for `RoarkObserver(redact=...)`.

- `without_card_numbers` finds card numbers by their digits, spoken or written as digits.
- `PersonalData` finds what Presidio finds: `pip install presidio-analyzer presidio-anonymizer`.
- `with_hashed_user` replaces the user's id with a hash that only you can make.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipecat_roark import ToolCall, Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from spacy.language import Language

CARD = re.compile(r"\d(?:[ -]?\d){12,18}")
"""Thirteen to nineteen digits, as people write and recognizers transcribe them."""


def without_card_numbers(item: Turn | ToolCall) -> Turn | ToolCall:
    """Mask card numbers, and silence the turns in which one was spoken."""
    return masked(item, lambda text: CARD.sub(_card, text))


def _card(found: re.Match[str]) -> str:
    return "[card]" if is_card_number(found[0]) else found[0]


def is_card_number(text: str) -> bool:
    """Return whether the digits of a text pass the check of Luhn, as those of a card do."""
    digits = [int(one) for one in text if one.isdigit()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


class PersonalData:
    """Masks what Presidio recognizes.

    Args:
        language: A pipeline of spaCy, such as `spacy.load("en_core_web_sm")`. With a blank one,
            Presidio finds what has a pattern, but no names and no places.
        entities: What to look for, by Presidio's names.
    """

    def __init__(self, language: Language, entities: list[str]) -> None:
        from presidio_analyzer import AnalyzerEngine  # noqa: PLC0415  # only who uses it needs it
        from presidio_analyzer.nlp_engine import SpacyNlpEngine  # noqa: PLC0415
        from presidio_anonymizer import AnonymizerEngine  # noqa: PLC0415

        self._language, self._entities = language.lang or "en", entities
        engine = SpacyNlpEngine(models=[{"lang_code": self._language, "model_name": "loaded"}])
        engine.nlp = {self._language: language}  # type: ignore[assignment]  # it is None at first
        self._analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=[self._language])
        self._anonymizer: Any = AnonymizerEngine()  # type: ignore[no-untyped-call]

    def __call__(self, item: Turn | ToolCall) -> Turn | ToolCall:
        """Mask what is recognized, and silence the turns in which it was spoken."""
        return masked(item, self._anonymized)

    def _anonymized(self, text: str) -> str:
        found = self._analyzer.analyze(text, language=self._language, entities=self._entities)
        return str(self._anonymizer.anonymize(text, found).text)


def with_hashed_user(key: bytes) -> Callable[[Turn | ToolCall], Turn | ToolCall]:
    """Return a function that hashes user ids with a secret key.

    The same user has the same hash in every call, and nobody without the key can try out ids.
    """

    def redact(item: Turn | ToolCall) -> Turn | ToolCall:
        if isinstance(item, ToolCall) or item.user_id is None:
            return item
        return replace(item, user_id=hmac.new(key, item.user_id.encode(), "sha256").hexdigest())

    return redact


def masked(item: Turn | ToolCall, mask: Callable[[str], str]) -> Turn | ToolCall:
    """Mask every text of an item; a turn of which the words changed is silent in the recording."""
    if isinstance(item, ToolCall):
        results = tuple(replace(one, content=mask(one.content)) for one in item.results)
        return replace(item, arguments=mask(item.arguments), results=results)
    content, unheard = mask(item.content), mask(item.unheard)
    silenced = item.silenced or content != item.content
    return replace(item, content=content, unheard=unheard, silenced=silenced)
