"""The address of the page says what it shows; the keyboard reaches everything."""

from __future__ import annotations

import re

import pytest

from browser.bridge import WAITING_TOPIC, Kafka
from browser.conftest import Faults
from browser.sync_api import Page, expect
from kafka_bridge.protocol.messages import JobState, Task

UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def dag(jobs: Kafka) -> str:
    """Give the name of a DAG with three jobs, one of which has succeeded."""
    for number in range(3):
        job = jobs.submit(
            "reports.make",
            topic=WAITING_TOPIC,
            task=Task("p", "weekly", "run 1", f"report-{number}"),
        )
        state = JobState.RUNNING if number else JobState.SUCCEEDED
        jobs.report(job, state, worker_id="reports-1")
    return "weekly"


def test_filters_are_in_the_address(page: Page, address: str, dag: str) -> None:
    """A copied address, a reload and the back button show the same."""
    page.goto(f"{address}?view=jobs")
    page.get_by_role("searchbox").fill(f'dag:{dag} run:"run 1"')
    expect(page.locator(".row")).to_have_count(3)
    page.get_by_role("button", name="succeeded").click()
    expect(page.locator(".row")).to_have_count(1)
    page.reload()
    expect(page.locator(".row")).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value(f'dag:{dag} run:"run 1"')
    expect(page.get_by_role("button", name="succeeded")).to_have_attribute("aria-pressed", "true")
    copied = page.url
    page.get_by_role("button", name="succeeded").click()
    expect(page.locator(".row")).to_have_count(3)
    page.go_back()
    expect(page.locator(".row")).to_have_count(1)
    page.goto(copied)
    expect(page.locator(".row")).to_have_count(1)


@pytest.mark.parametrize("quick", ["chip", "Enter"])
def test_text_of_a_search_is_kept_by_who_is_quicker_than_the_search(
    page: Page, address: str, dag: str, quick: str
) -> None:
    """Typing starts a search a moment later: a click or Enter before that takes the text along."""
    page.goto(f"{address}?view=jobs")
    expect(page.locator(".row").first).to_be_visible()
    at_once = page.evaluate(
        """([text, quick]) => {
            const field = document.getElementById("search");
            field.focus();
            field.value = text;
            field.dispatchEvent(new Event("input"));
            const enter = new KeyboardEvent("keydown", { key: "Enter", bubbles: true });
            if (quick === "Enter") field.dispatchEvent(enter);
            field.blur();
            if (quick === "chip") document.querySelector(".chip.succeeded").click();
            return location.href;
        }""",
        [f"dag:{dag}", quick],
    )
    states = "&state=SUCCEEDED" if quick == "chip" else ""
    assert at_once == f"{address}?view=jobs&q=dag%3A{dag}{states}"
    expect(page.get_by_role("searchbox")).to_have_value(f"dag:{dag}")
    expect(page.locator(".row")).to_have_count(1 if states else 3)


def test_page_of_a_job_has_an_address_and_leads_to_its_run(
    page: Page, address: str, dag: str
) -> None:
    """The row is a link; the job's facts lead back to all jobs of its run."""
    page.goto(f"{address}?view=jobs&q=dag:{dag}")
    page.locator(".row a").first.click()
    expect(page).to_have_url(re.compile(r"\?job=[0-9a-f-]{36}$"))
    page.reload()
    expect(page.locator("h1")).to_have_text("reports.make")
    page.get_by_role("link", name="run 1").click()
    expect(page.locator(".row")).to_have_count(3)


def test_keyboard_alone_finds_opens_and_leaves_a_job(page: Page, address: str, dag: str) -> None:
    """``/`` searches, Enter goes to the rows, j and Enter open one, Esc goes back."""
    page.goto(address)
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type(f"dag:{dag}")
    expect(page.locator(".row")).to_have_count(3)
    page.keyboard.press("Enter")
    page.keyboard.press("j")
    expect(page.locator(".row[aria-selected=true]")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("reports.make")
    page.keyboard.press("Escape")
    expect(page.locator(".row")).to_have_count(3)


def test_job_that_is_opened_while_a_search_is_typed_stays_open(
    page: Page, address: str, dag: str
) -> None:
    """The search begins a moment after the last key. It does not begin any more."""
    page.clock.install()
    page.goto(f"{address}?view=jobs&q=dag:{dag}")
    expect(page.locator(".row")).to_have_count(3)
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
    page.get_by_role("searchbox").fill("reports")
    page.locator(".row a").first.evaluate("(link) => link.click()")
    page.clock.run_for(1_000)
    expect(page).to_have_url(re.compile(r"\?job="))
    expect(page.locator("h1")).to_have_text("reports.make")


def test_tab_reaches_the_views_the_search_and_the_rows(page: Page, address: str, dag: str) -> None:
    """In the order in which they are read, each with a visible focus."""
    page.goto(f"{address}?view=jobs&q=dag:{dag}")
    expect(page.locator(".row")).to_have_count(3)
    reached: list[str] = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "() => { const each = document.activeElement;"
                " return each.getAttribute('aria-label') ?? each.textContent; }"
            )
        )
    wanted = ["Queues", "Jobs", "Workers", "Search jobs", "queued", "cancelled"]
    assert [each for each in reached if each in wanted][: len(wanted)] == wanted
    assert "reports.make" in " ".join(reached)


def test_unknown_job_says_why_it_may_be_missing(page: Page, address: str, faults: Faults) -> None:
    """An old bookmark is no dead end."""
    page.goto(f"{address}?job={UNKNOWN_JOB}")
    expect(page.get_by_role("alert")).to_contain_text("There is no such job")
    page.get_by_role("link", name="See all jobs").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    faults.forgive_refusals()


def test_search_without_a_match_says_what_to_do(page: Page, address: str, dag: str) -> None:
    """It names the key that helps, and has a link."""
    page.goto(f"{address}?view=jobs&q=dag:no-such-dag")
    expect(page.locator("main")).to_contain_text("No job fits this search. Press / to change it")
    page.get_by_role("link", name="see all jobs").click()
    expect(page.locator(".row").first).to_be_visible()
