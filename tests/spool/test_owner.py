"""To whom a call in the spool belongs."""

from __future__ import annotations

import pytest

from pipecat_roark.spool.owner import fingerprint

KEY, URL = "rk-private", "https://api.roark.ai"


def test_a_fingerprint_shows_no_key() -> None:
    """It is the same in every process, and made of digits alone."""
    owner = fingerprint(KEY, URL)
    assert owner == "93f84c13c629f1e309198d64bc516f4b"
    assert "private" not in owner


@pytest.mark.parametrize(
    ("key", "url", "same"),
    [
        (KEY, "https://API.Roark.ai/", True),
        ("rk-other", URL, False),
        (KEY, "https://staging.roark.ai", False),
        (KEY, "https://api.roark.ai:8443", False),
        (KEY, "http://api.roark.ai", False),
        (KEY, "https://api.roark.ai/eu", False),
    ],
)
def test_key_and_place_make_the_owner(key: str, url: str, *, same: bool) -> None:
    """Another of either is another owner; how a host is spelled makes no difference."""
    assert (fingerprint(key, url) == fingerprint(KEY, URL)) is same
