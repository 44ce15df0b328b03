"""A broker, a worker and a board that the tests share, and a new page of the browser for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import skip_or_fail

from browser.bridge import TOPICS, Kafka, board, kafka, worker
from kafka_bridge.testing import EmbeddedBroker
from website.chromium import CHROMIUM, launch

if TYPE_CHECKING:
    from browser.sync_api import Browser, ConsoleMessage, Dialog, Error, Page

PATIENCE_MS = 60_000.0
"""How long a page may take for what it must show."""
AROUND = "An iframe which has both allow-scripts and allow-same-origin"
"""What the browser writes about the frame that Airflow makes, under the address of the board."""
REFUSED = "Failed to load resource"
"""What the browser itself writes about an answer that is an error, or that does not come."""


class Faults:
    """What the browser complained of: errors of scripts and of the policy, and dialogs.

    :param path: only of addresses with this in them, and of what has no address
    """

    def __init__(self, path: str = "") -> None:
        self.found: list[str] = []
        self._path = path

    def watch(self, page: Page) -> None:
        """Collect the faults of a page and its frames."""
        page.on("console", self._take)
        page.on("pageerror", self._take_error)
        page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Dialog) -> None:
        self.found.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _take(self, message: ConsoleMessage) -> None:
        place = message.location["url"]
        is_ours = not place or self._path in place
        if message.type in {"error", "warning"} and is_ours and AROUND not in message.text:
            self.found.append(f"{message.text} ({place})")

    def _take_error(self, error: Error) -> None:
        if self._path in (error.stack or self._path):
            self.found.append(f"pageerror: {error} {error.stack}")

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


@contextmanager
def watched_page(chromium: Browser, faults: Faults, **options: Any) -> Iterator[Page]:
    """Give a new page. At the end, the browser has complained of nothing.

    :param options: of the browser's context
    """
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, locale="en-GB", **options
    )
    context.set_default_timeout(PATIENCE_MS)
    found = context.new_page()
    faults.watch(found)
    yield found
    context.close()
    assert faults.found == []


@pytest.fixture
def page(chromium: Browser, faults: Faults) -> Iterator[Page]:
    """Give a new page of a visitor that is not logged in."""
    with watched_page(chromium, faults) as found:
        yield found


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
