"""A list of ten thousand jobs is as light as one of twenty."""

from __future__ import annotations

import re

from browser.bridge import MANY_TOPIC, Kafka
from browser.sync_api import Page, expect

JOBS = 10_000
MOST_ROWS = 60
MOST_ELEMENTS = 2_000


def test_ten_thousand_jobs_do_not_slow_the_page(page: Page, address: str, jobs: Kafka) -> None:
    """Only the rows in view are elements, also after scrolling; typing asks once, at its end."""
    jobs.submit_many(JOBS, "crowd.member", MANY_TOPIC)
    page.goto(f"{address}?view=jobs&q=topic:{MANY_TOPIC}")
    expect(page.locator(".number")).to_have_text(f"{JOBS:,}")
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if "api/jobs?" in each.url else None)
    page.keyboard.press("/")
    page.keyboard.press("End")
    page.keyboard.type(" type:crowd.*")
    expect(page).to_have_url(re.compile(r"crowd\.\*$"))
    expect(page.locator(".number")).to_have_text(f"{JOBS:,}")
    assert len(asked) < len(" type:crowd.*")
    _is_light(page)
    page.locator(".rows").evaluate("(each) => { each.scrollTop = each.scrollHeight; }")
    last = page.locator(f".row[aria-posinset='{JOBS}']")
    expect(last).to_be_visible()
    _is_light(page)


def _is_light(page: Page) -> None:
    assert 0 < page.locator(".row").count() < MOST_ROWS
    assert page.evaluate("document.querySelectorAll('*').length") < MOST_ELEMENTS
