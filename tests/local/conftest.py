"""A real browser for the tests of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from pipecat_roark.local import ThreadedRoark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000
"""What the page does at once may take long on a busy machine."""
expect.set_options(timeout=PATIENCE_MS)


# Of a module, as the browser's own event loop must be gone before an async test runs.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Run the Chromium of the system."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def roark(tmp_path: Path) -> Iterator[ThreadedRoark]:
    """Run a local Roark beside the test."""
    with ThreadedRoark(tmp_path / "calls") as roark:
        yield roark


@pytest.fixture
def page(browser: Browser, roark: ThreadedRoark) -> Iterator[Page]:  # noqa: ARG001 - it closes first
    """Open a page in which every error fails the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield page
    page.close()
    assert not errors
