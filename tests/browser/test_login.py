"""A board with a token lets nobody in without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser.bridge import WAITING_TOPIC, Kafka, board
from browser.conftest import Faults
from browser.sync_api import Browser, Page, expect
from kafka_bridge.testing import EmbeddedBroker

TOKEN = "a-token-that-is-long-enough"


@pytest.fixture(scope="module")
def guarded(broker: EmbeddedBroker) -> Iterator[str]:
    """Give the address of a board with a token."""
    with board(broker.bootstrap_servers, token=TOKEN) as found:
        yield found


def test_right_token_opens_what_the_address_names(
    page: Page, guarded: str, jobs: Kafka, faults: Faults
) -> None:
    """A wrong one is refused with a reason. The login is kept for the next visit."""
    job = jobs.submit("fail", "no disk")
    page.goto(f"{guarded}?job={job}")
    page.get_by_label("The token of this board").fill("a-token-that-is-wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("This is not the token of this board")
    page.get_by_label("The token of this board").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".failure")).to_contain_text("no disk")
    page.reload()
    expect(page.locator(".failure")).to_contain_text("no disk")
    faults.forgive_refusals()


def test_programs_need_the_token_and_other_sites_are_refused(
    page: Page, chromium: Browser, guarded: str, jobs: Kafka
) -> None:
    """401 without the token, 200 with it, 403 for what a page of another site sends."""
    job = jobs.submit("waits", topic=WAITING_TOPIC)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    send = page.context.request
    assert send.get(f"{guarded}api/jobs").status == 401
    assert send.get(f"{guarded}api/jobs", headers=bearer).status == 200
    cancel = f"{guarded}api/jobs/{job}/cancel"
    foreign = {**bearer, "Sec-Fetch-Site": "cross-site", "X-Kafka-Bridge": "1"}
    assert send.post(cancel, headers=foreign, data={}).status == 403
    assert send.post(cancel, headers=bearer, data={}).status == 403
