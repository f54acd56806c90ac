"""Consent: the first decision counts, and nothing of a call leaves before it."""

from __future__ import annotations

import asyncio

import pytest

from pipecat_roark.privacy.consent import Consent


def test_it_is_there_if_nobody_asks_for_it() -> None:
    """A call without the option just goes."""
    consent = Consent(required=False)
    assert consent.given
    assert not consent.refuse()
    assert consent.given


@pytest.mark.parametrize("given", [True, False])
async def test_the_first_decision_counts(given: bool) -> None:  # noqa: FBT001
    """Who waits for it is told, and later ones change nothing."""
    consent = Consent(required=True)
    waiting = asyncio.create_task(consent.wait())
    await asyncio.sleep(0)
    assert (consent.given, consent.refused, waiting.done()) == (False, False, False)
    assert consent.missing.why == "nobody consented"
    first, second = (consent.give, consent.refuse) if given else (consent.refuse, consent.give)
    assert first()
    assert (first(), second()) == (False, False)
    assert await waiting is given
    assert (consent.given, consent.refused) == (given, not given)
    assert consent.missing.why == ("nobody consented" if given else "consent was refused")
    assert consent.missing.reason == "no-consent"
