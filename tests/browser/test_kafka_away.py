"""What the page says while Kafka or the board itself does not answer, and that it recovers."""

from __future__ import annotations

from browser.bridge import TOPICS, board, kafka
from browser.conftest import Faults
from browser.sync_api import Page, expect
from kafka_bridge.testing import EmbeddedBroker
from kafka_bridge.testing.ports import free_port


def test_stopped_broker_is_said_and_the_page_recovers(page: Page) -> None:
    """What was known stays; new jobs come once the broker is back."""
    with (
        EmbeddedBroker(TOPICS, port=free_port()) as broker,
        board(broker.bootstrap_servers) as address,
    ):
        with kafka(broker.bootstrap_servers) as jobs:
            first = jobs.submit("first")
        page.goto(f"{address}?view=jobs")
        expect(page.locator(".row")).to_have_count(1)
        broker.close()
        expect(page.locator("#banner")).to_contain_text("Kafka")
        expect(page.locator(f".row a[href='?job={first}']")).to_be_visible()
        broker.start()
        expect(page.locator("#banner")).to_be_hidden()
        with kafka(broker.bootstrap_servers) as jobs:
            jobs.submit("second")
        expect(page.locator(".row")).to_have_count(2)
        page.goto("about:blank")  # before the board stops


def test_stopped_board_is_said(page: Page, faults: Faults) -> None:
    """The page does not pretend to be up to date."""
    with EmbeddedBroker(TOPICS) as broker, kafka(broker.bootstrap_servers) as jobs:
        with board(broker.bootstrap_servers) as address:
            jobs.submit("first")
            page.goto(f"{address}?view=jobs")
            expect(page.locator(".row")).to_have_count(1)
        expect(page.locator("#banner")).to_contain_text("The board's server does not answer")
        expect(page.locator(".row")).to_have_count(1)
    faults.forgive_refusals()
