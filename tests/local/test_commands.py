"""The command `pipecat-roark local`, where it does more than serve."""

from __future__ import annotations

import os
import signal
import webbrowser
from typing import TYPE_CHECKING

from pipecat_roark.cli import main
from pipecat_roark.local import LocalRoark

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_open_opens_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--open`, the browser of the system gets the page's address."""
    opened: list[str] = []

    def open_page(url: str) -> bool:
        opened.append(url)
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)
    assert main(["local", "--port", "0", "--folder", str(tmp_path), "--open"]) == 0
    (url,) = opened
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/")


def test_address_of_a_call_leads_to_its_page(tmp_path: Path) -> None:
    """An id with any letters is in the address, so that the page finds it."""
    roark = LocalRoark(tmp_path, port=7)
    assert roark.page_of("a/b#1") == "http://127.0.0.1:7/#/call/a%252Fb%25231"
