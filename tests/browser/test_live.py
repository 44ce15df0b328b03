"""Jobs move on the page while somebody looks: no reload is needed."""

from __future__ import annotations

from browser.bridge import WAITING_TOPIC, Kafka
from browser.sync_api import Page, expect


def test_bar_of_a_running_job_moves_without_a_reload(page: Page, address: str, jobs: Kafka) -> None:
    """In the list and on the page of the job."""
    job = jobs.submit("steps")
    for view in (f"?view=jobs&q={job}", f"?job={job}"):
        page.goto(address + view)
        page.evaluate("window.isSameDocument = true")
        bar = page.locator(".bar")
        expect(bar).to_be_visible()
        expect(bar).not_to_have_attribute("aria-label", bar.get_attribute("aria-label") or "")
        assert page.evaluate("window.isSameDocument")


def test_queue_shows_how_many_jobs_wait_and_each_its_place(
    page: Page, address: str, jobs: Kafka
) -> None:
    """A new one is counted while the page is open. Its page says how many are before it."""
    first = jobs.submit("waits", topic=WAITING_TOPIC)
    page.goto(f"{address}?view=queues")
    waiting = page.locator(".row", has_text=WAITING_TOPIC).locator("[data-label=waiting]")
    expect(waiting).to_be_visible()
    before = int(waiting.inner_text())
    second = jobs.submit("waits", topic=WAITING_TOPIC)
    expect(waiting).to_have_text(str(before + 1))
    for job, others in ((first, before - 1), (second, before)):
        page.goto(f"{address}?job={job}")
        name = "1 job" if others == 1 else f"{others} jobs"
        fact = page.locator("dl div", has_text="Waits behind")
        expect(fact.get_by_role("link", name=name, exact=True)).to_be_visible()


def test_failure_shows_the_services_own_traceback(page: Page, address: str, jobs: Kafka) -> None:
    """With its message, the line that failed, and whether another try may help."""
    job = jobs.submit("fail", "No space left on /data")
    page.goto(f"{address}?job={job}")
    failure = page.locator(".failure")
    expect(failure).to_contain_text("No space left on /data")
    expect(failure).to_contain_text("Traceback (most recent call last)")
    expect(failure).to_contain_text("in fail")
    expect(failure).to_contain_text("Another try may succeed.")


def test_cancel_on_the_page_ends_the_job(page: Page, address: str, jobs: Kafka) -> None:
    """The worker confirms it with an event, which has the reason; then there is no button."""
    job = jobs.submit("steps")
    page.goto(f"{address}?job={job}")
    expect(page.locator(".title .state")).to_have_text("running")
    page.get_by_role("button", name="Cancel the job …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("wrong bucket")
    dialog.get_by_role("button", name="Cancel the job").click()
    expect(page.locator(".title .state")).to_have_text("cancelled")
    expect(page.get_by_role("dialog")).to_have_count(0)
    confirmed = page.locator(".timeline li", has_text="w-1").last
    expect(confirmed).to_contain_text("cancelled")
    expect(confirmed).to_contain_text("wrong bucket")
    expect(page.get_by_role("button", name="Cancel the job …")).to_have_count(0)


def test_job_can_be_kept_in_the_dialog(page: Page, address: str, jobs: Kafka) -> None:
    """Escape and the other button send nothing."""
    job = jobs.submit("steps")
    page.goto(f"{address}?job={job}")
    page.get_by_role("button", name="Cancel the job …").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Cancel the job …").click()
    page.get_by_role("button", name="Keep it running").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".timeline", has_text="cancel")).to_have_count(0)
