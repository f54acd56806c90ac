"""The functions of examples/redaction.py find what they say that they find."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from privacy.test_masks import tool, turn
from redaction import is_card_number, with_hashed_user, without_card_numbers

ROOT = Path(__file__).parents[2]
CARDS = ["4111111111111111", "4111 1111 1111 1111", "3782-822463-10005", "4222222222222"]
NO_CARDS = ["4111111111111112", "411111111111", "0123 4567 8901 2345", "2026-11-29 18:00:00"]


@pytest.mark.parametrize("number", CARDS)
def test_card_numbers_are_masked(number: str) -> None:
    """Whoever says one, however it is grouped, heard or not, and in what a tool took and gave."""
    said = turn(1, 2, content=f"It is {number}, thanks.", unheard=f"Was it {number}?")
    assert without_card_numbers(said) == replace(
        said, content="It is [card], thanks.", unheard="Was it [card]?", silenced=True
    )
    called = replace(tool(1, 2), arguments=f'{{"card": "{number}"}}')
    results = (replace(called.results[0], content=f"{number} is paid"),)
    assert without_card_numbers(replace(called, results=results)) == replace(
        called,
        arguments='{"card": "[card]"}',
        results=(replace(results[0], content="[card] is paid"),),
    )


@pytest.mark.parametrize("text", NO_CARDS)
def test_other_numbers_stay(text: str) -> None:
    """Their check digit is wrong, or they are too short."""
    said = turn(1, 2, content=text)
    assert without_card_numbers(said) == said
    assert not (len(text) > 12 and text.isdigit() and is_card_number(text))


def test_user_ids_are_hashed() -> None:
    """The same for the same user and key, and different for others."""
    first, second = (with_hashed_user(key) for key in (b"one", b"two"))
    hashes = [redact(turn(1, 2, user_id=who)) for redact in (first, second) for who in ("a", "b")]
    assert len({one.user_id for one in hashes if not hasattr(one, "name")}) == 4
    assert first(turn(1, 2, user_id="a")) == hashes[0]
    assert first(turn(1, 2)) == turn(1, 2)
    assert first(tool(1)) == tool(1)


@pytest.mark.process
def test_presidio_recognizes_personal_data() -> None:
    """In a process of its own: its libraries warn of many things."""
    script = """
import spacy
from redaction import PersonalData
from privacy.test_masks import turn
redact = PersonalData(spacy.blank("en"), ["CREDIT_CARD", "US_SSN", "IP_ADDRESS"])
said = redact(turn(1, 2, content="Pay with 4111 1111 1111 1111.", unheard="From 10.1.2.3"))
print(said.content, said.unheard, said.silenced)
said = redact(turn(1, 2, content="Hello.", unheard="It is 10.1.2.3"))
print(said.content, said.unheard, said.silenced)
"""
    shown = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script],
        env={"PYTHONPATH": f"{ROOT / 'examples'}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    assert shown.splitlines()[-2:] == [
        "Pay with <CREDIT_CARD>. From <IP_ADDRESS> True",
        "Hello. It is <IP_ADDRESS> False",
    ]
