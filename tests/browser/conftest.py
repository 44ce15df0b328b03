"""A broker, a worker and a board that the tests share, and a new page of the browser for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import skip_or_fail

from browser.bridge import TOPICS, Kafka, board, kafka, worker
from kafka_bridge.testing import EmbeddedBroker
from website.chromium import CHROMIUM, launch

if TYPE_CHECKING:
    from browser.sync_api import Browser, Dialog, Page

PATIENCE_MS = 60_000.0
"""How long a page may take for what it must show."""
REFUSED = "Failed to load resource"
"""What the browser itself writes about an answer that is an error, or that does not come."""


class Faults:
    """What the browser complained of: errors of scripts and of the policy, and dialogs."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def watch(self, page: Page) -> None:
        """Collect the faults of a page."""
        page.on("console", lambda each: self._take(each.type, each.text))
        page.on("pageerror", lambda error: self.found.append(f"pageerror: {error}"))
        page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Dialog) -> None:
        self.found.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _take(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.found.append(text)

    def forgive_refusals(self) -> None:
        """Leave out that the server refused or did not answer, which the test wanted."""
        self.found = [each for each in self.found if REFUSED not in each]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Give the system's Chromium."""
    from browser.sync_api import expect, sync_playwright

    if not Path(CHROMIUM).exists():
        skip_or_fail(f"no Chromium at {CHROMIUM}: install it, or set CHROMIUM to where it is")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def faults() -> Faults:
    """Give what the browser complains of."""
    return Faults()


@pytest.fixture
def page(chromium: Browser, faults: Faults) -> Iterator[Page]:
    """Give a new page. At the end, the browser has complained of nothing."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    found = context.new_page()
    faults.watch(found)
    yield found
    context.close()
    assert faults.found == []


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """Share one broker on which a worker runs."""
    with EmbeddedBroker(TOPICS) as found, worker(found.bootstrap_servers):
        yield found


@pytest.fixture(scope="session")
def jobs(broker: EmbeddedBroker) -> Iterator[Kafka]:
    """Share what writes to the topics."""
    with kafka(broker.bootstrap_servers) as found:
        yield found


@pytest.fixture(scope="session")
def address(broker: EmbeddedBroker) -> Iterator[str]:
    """Share one board; give its address."""
    with board(broker.bootstrap_servers) as found:
        yield found
