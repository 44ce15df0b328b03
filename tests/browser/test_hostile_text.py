"""Whoever may write to a topic decides what its texts are. They stay texts."""

from __future__ import annotations

import pytest

from browser.bridge import WAITING_TOPIC, Kafka
from browser.sync_api import Page, expect
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress, Reference, Task

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"
ODD = f"\x1b[31mred\x1b[0m \u202egnp.exe\u202c {MARKUP}"
LARGE = 900_000


@pytest.fixture
def job(jobs: Kafka) -> str:
    """Give a job, all of whose texts are hostile."""
    task = Task("production", ODD, ODD, ODD, url="javascript:alert(3)")
    jobs.bury(ODD)
    found = jobs.submit(ODD, {"text": ODD, "large": "<b>" * (LARGE // 3)}, WAITING_TOPIC, task=task)
    fields = {"worker_id": ODD, "message": ODD, "external_id": ODD}
    jobs.report(found, JobState.RUNNING, progress=Progress(1, 2, ODD), **fields)
    jobs.report(
        found,
        JobState.FAILED,
        sequence=1,
        error=JobFailure(ODD, ODD, retryable=False, details=f"{ODD}\n" * 500),
        result=b"<html><script>alert(4)</script>" * 1000,
        result_type="text/html",
        **fields,
    )
    return found


def test_hostile_texts_are_shown_as_texts(page: Page, address: str, job: str) -> None:
    """No element, no dialog, no code and no mark comes of them, in any view."""
    for view in ("view=workers", "view=dead-letters", f"view=jobs&q={job}", f"job={job}"):
        page.goto(f"{address}?{view}")
        expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
        _is_harmless(page)


def test_address_that_is_no_web_page_is_no_link(page: Page, address: str, job: str) -> None:
    """A link to a script would run it."""
    page.goto(f"{address}?job={job}")
    expect(page.locator("dl")).to_contain_text("Task")
    assert page.locator("a[href^='javascript']").count() == 0


def test_payload_of_almost_a_megabyte_is_shown_in_part_and_then_whole(
    page: Page, address: str, job: str
) -> None:
    """The page stays small until somebody wants all of it."""
    page.goto(f"{address}?job={job}")
    page.get_by_role("button", name="Show (payload").click()
    data = page.locator("section", has_text="Payload and result")
    block = data.locator("pre").first
    expect(block).to_contain_text("gnp.exe")
    assert len(block.inner_text()) < 10_000
    data.get_by_role("button", name="Show all").first.click()
    expect(data.get_by_role("button", name="Show all")).to_have_count(1)  # that of the result
    assert len(block.text_content() or "") > LARGE
    _is_harmless(page)


def test_result_elsewhere_is_a_link_only_to_the_web(page: Page, address: str, jobs: Kafka) -> None:
    """An address of a store is shown as text."""
    sha = "0" * 64
    for uri, links in (("https://store.example/a", 1), ("s3://bucket/a", 0)):
        job = jobs.submit("waits", topic=WAITING_TOPIC)
        jobs.report(job, JobState.SUCCEEDED, result_ref=Reference(uri, sha, 1))
        page.goto(f"{address}?job={job}")
        expect(page.locator(".timeline")).to_contain_text(uri)
        assert page.locator(".timeline a[rel~=noopener]").count() == links


def _is_harmless(page: Page) -> None:
    assert page.locator("main :is(script, img, iframe, object, style)").count() == 0
    text = page.locator("body").inner_text()
    assert [each for each in "\x1b\u202e\u202c" if each in text] == []
