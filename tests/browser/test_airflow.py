"""The board inside a real Airflow: login, places, rights, theme and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from browser.airflow_pages import (
    NAVIGATION,
    TASK,
    Airflow,
    framed,
    log_in,
    login_of,
    running_airflow,
)
from browser.bridge import Kafka
from browser.conftest import Faults, watched_page
from browser.sync_api import Browser, FrameLocator, Page, Route, expect
from kafka_bridge.testing import EmbeddedBroker

if TYPE_CHECKING:
    from conftest import Eventually

RUN = "manual__2026-03-01T00:00:00+00:00"
"""What Airflow's own ids of runs look like: in an address, the plus would be a space."""
CANCELLED_RUN = "a-run-to-cancel"
BACKGROUND = "each => getComputedStyle(each).backgroundColor.match(/\\d+/g).map(Number)[0]"
CANCEL = """(_, job) => fetch(`api/jobs/${job}/cancel`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Kafka-Bridge": "1" },
    body: "{}",
}).then((answer) => answer.status)"""


@pytest.fixture(scope="module")
def url(broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Share one Airflow; give its address."""
    home = tmp_path_factory.mktemp("airflow")
    with running_airflow(home, broker.bootstrap_servers) as found:
        yield found


@pytest.fixture(scope="module")
def logins(chromium: Browser, url: str) -> dict[str, Any]:
    """Log three users in."""
    return {user: login_of(chromium, url, user) for user in ("ann", "vic", "tim")}


@pytest.fixture(scope="module")
def airflow(
    chromium: Browser, url: str, logins: dict[str, Any], eventually: Eventually
) -> Iterator[Airflow]:
    """Begin all runs that the tests look at."""
    context = chromium.new_context(storage_state=logins["ann"])
    found = Airflow(url, context.request, eventually)
    for dag, run in [("steps", RUN), ("steps", CANCELLED_RUN), ("fails", RUN), ("echo", RUN)]:
        found.trigger(dag, run)
    yield found
    context.close()


@pytest.fixture
def faults() -> Faults:
    """Give what the browser complains of in the board's own frames. Airflow's are its own."""
    return Faults("/kafka-bridge/")


@pytest.fixture
def ann(chromium: Browser, faults: Faults, logins: dict[str, Any]) -> Iterator[Page]:
    """Give a new page of an administrator."""
    with watched_page(chromium, faults, storage_state=logins["ann"]) as found:
        yield found


@pytest.fixture
def vic(chromium: Browser, faults: Faults, logins: dict[str, Any]) -> Iterator[Page]:
    """Give a new page of a user that may read everything of DAGs, and change nothing."""
    with watched_page(chromium, faults, storage_state=logins["vic"]) as found:
        yield found


@pytest.fixture
def tim(chromium: Browser, faults: Faults, logins: dict[str, Any]) -> Iterator[Page]:
    """Give a new page of a user that may change DAGs, except one: that is another team's."""
    with watched_page(chromium, faults, storage_state=logins["tim"]) as found:
        yield found


def test_login_is_airflows_and_leads_back(page: Page, url: str, faults: Faults) -> None:
    """Without it, the API answers 401. When it ends, the page leads to it again."""
    address = f"{url}/kafka-bridge/?view=jobs&q=dag:nightly"
    assert page.request.get(f"{url}/kafka-bridge/api/jobs").status == 401
    page.goto(address)
    expect(page).to_have_url(re.compile(r"/auth/login\?next="))
    log_in(page, "ann")
    expect(page).to_have_url(address)
    expect(page.get_by_role("searchbox")).to_have_value("dag:nightly")
    page.context.clear_cookies()
    page.get_by_role("link", name="Workers").click()
    expect(page.get_by_role("alert")).to_contain_text("Log in first")
    page.get_by_role("link", name="Log in to Airflow").click()
    log_in(page, "ann")
    expect(page).to_have_url(f"{url}/kafka-bridge/?view=workers")
    expect(page.get_by_role("heading", name="Workers")).to_be_visible()
    faults.forgive_refusals()


def test_navigation_leads_to_the_board_and_its_task_link_out_of_the_frame(
    ann: Page, airflow: Airflow
) -> None:
    """The board is inside Airflow's page; Airflow's page of a task takes the whole window."""
    job = airflow.until_job_runs("steps", RUN)
    ann.goto(airflow.url)
    ann.get_by_role("button", name="Browse").click()
    ann.get_by_role("menuitem", name=NAVIGATION).click()
    board = framed(ann, NAVIGATION)
    expect(board.get_by_role("heading", name="Queues")).to_be_visible()
    board.get_by_role("searchbox").fill(job)
    expect(board.get_by_role("heading", name="Jobs")).to_be_visible()
    board.get_by_role("link", name="steps", exact=True).click()
    board.get_by_title("Open the task in Airflow").click()
    expect(ann).to_have_url(airflow.task_page("steps", RUN))
    expect(ann.get_by_role("link", name=TASK, exact=True)).to_be_visible()
    expect(ann.locator("iframe")).to_have_count(0)


def open_tab(page: Page, airflow: Airflow, dag: str, run: str) -> FrameLocator:
    """Open the board's tab of a task."""
    page.goto(airflow.task_page(dag, run))
    page.get_by_role("link", name=TASK, exact=True).click()
    return framed(page, TASK)


def test_tab_of_a_running_task_shows_its_job_which_moves(ann: Page, airflow: Airflow) -> None:
    """The bar grows without a reload."""
    job = airflow.until_job_runs("steps", RUN)
    board = open_tab(ann, airflow, "steps", RUN)
    expect(board.locator(".id")).to_have_text(job)
    expect(board.locator(".title .state")).to_have_text("running")
    board.locator("body").evaluate("() => { window.isSameDocument = true; }")
    bar = board.locator(".bar")
    expect(bar).not_to_have_attribute("aria-label", bar.get_attribute("aria-label") or "")
    assert board.locator("body").evaluate("() => window.isSameDocument")


def test_cancel_in_the_tab_ends_the_job_and_its_task(ann: Page, airflow: Airflow) -> None:
    """The worker confirms it with an event that has the reason; the task fails."""
    job = airflow.until_job_runs("steps", CANCELLED_RUN)
    board = open_tab(ann, airflow, "steps", CANCELLED_RUN)
    expect(board.locator(".id")).to_have_text(job)
    board.get_by_role("button", name="Cancel the job …").click()
    dialog = board.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("wrong bucket")
    dialog.get_by_role("button", name="Cancel the job").click()
    expect(board.locator(".title .state")).to_have_text("cancelled")
    confirmed = board.locator(".timeline li", has_text="w-1").last
    expect(confirmed).to_contain_text("cancelled")
    expect(confirmed).to_contain_text("wrong bucket")
    airflow.until_task_is("failed", "steps", CANCELLED_RUN)


def test_tab_of_a_failed_task_lists_its_attempts_with_their_tracebacks(
    ann: Page, airflow: Airflow
) -> None:
    """The latest one is first; each has a page."""
    airflow.until_task_is("failed", "fails", RUN)
    board = open_tab(ann, airflow, "fails", RUN)
    expect(board.locator(".row")).to_have_count(2)
    expect(board.locator(".row").first).to_contain_text("try 2")
    board.locator(".row", has_not_text="try 2").get_by_role("link").click()
    failure = board.locator(".failure")
    expect(failure).to_contain_text("No space left on /data")
    expect(failure).to_contain_text("Traceback (most recent call last)")


def test_tab_finds_jobs_that_the_board_does_not_follow(ann: Page, airflow: Airflow) -> None:
    """As those of a task that ended before the time from which the board reads."""
    airflow.until_task_is("failed", "fails", RUN)
    nothing = {"jobs": [], "total": 0}

    def forget(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), **nothing})

    ann.route("**/kafka-bridge/api/jobs?*", forget)
    board = open_tab(ann, airflow, "fails", RUN)
    expect(board.locator(".row")).to_have_count(2)
    expect(board.locator(".row").last).to_contain_text("OSError: No space left on /data")


def test_extra_link_of_a_finished_task_leads_to_its_job(ann: Page, airflow: Airflow) -> None:
    """The board has the whole window then, with a way back."""
    airflow.until_task_is("success", "echo", RUN)
    ann.goto(airflow.task_page("echo", RUN, "/details"))
    ann.locator("a[href*='/kafka-bridge/?job=']", has_text=TASK).click()
    expect(ann.locator("h1")).to_have_text("echo")
    expect(ann.locator(".title .state")).to_have_text("succeeded")
    ann.get_by_role("link", name="‹ Airflow").click()
    expect(ann.get_by_role("button", name="Browse")).to_be_visible()


def test_viewer_sees_a_job_without_a_button_and_is_refused(
    vic: Page, airflow: Airflow, faults: Faults
) -> None:
    """The page offers no cancel; a request that it did not offer gets 403, and the job runs."""
    job = airflow.until_job_runs("steps", RUN)
    board = open_tab(vic, airflow, "steps", RUN)
    expect(board.locator(".id")).to_have_text(job)
    expect(board.locator("section", has_text="Payload and result")).to_be_visible()
    expect(board.get_by_role("button", name="Cancel the job …")).to_have_count(0)
    assert board.locator("body").evaluate(CANCEL, job) == 403
    expect(board.locator(".title .state")).to_have_text("running")
    faults.forgive_refusals()


def test_user_without_permission_for_a_dag_sees_and_changes_nothing_of_it(
    tim: Page, airflow: Airflow, faults: Faults
) -> None:
    """On the page and in the API, a job of another team's DAG is as one that does not exist."""
    hidden = airflow.until_job_runs("steps", RUN)
    airflow.until_task_is("success", "echo", RUN)
    board = f"{airflow.url}/kafka-bridge"
    tim.goto(f"{board}/?view=jobs")
    expect(tim.locator(".row", has_text="echo").first).to_be_visible()
    expect(tim.locator(".row", has_text="steps")).to_have_count(0)
    listed = tim.request.get(f"{board}/api/jobs").json()["jobs"]
    assert {each["task"]["dag_id"] for each in listed} == {"echo", "fails"}
    assert tim.request.get(f"{board}/api/jobs/{hidden}").status == 404
    assert tim.locator("body").evaluate(CANCEL, hidden) == 404
    tim.goto(f"{board}/?job={hidden}")
    expect(tim.get_by_role("alert")).to_contain_text("There is no such job")
    expect(tim.get_by_role("button", name="Cancel the job …")).to_have_count(0)
    assert airflow.until_job_runs("steps", RUN) == hidden
    faults.forgive_refusals()


def test_jobs_without_a_dag_are_not_for_viewers(
    ann: Page, vic: Page, airflow: Airflow, jobs: Kafka, faults: Faults
) -> None:
    """Who may not read the connection to Kafka sees nothing of them: as of a DAG without rights."""
    job = jobs.submit("echo", "from another program")
    ann.goto(f"{airflow.url}/kafka-bridge/?job={job}")
    expect(ann.locator(".title .state")).to_have_text("succeeded")
    vic.goto(f"{airflow.url}/kafka-bridge/?view=jobs&q={job}")
    expect(vic.locator("main")).to_contain_text("No job fits this search")
    vic.goto(f"{airflow.url}/kafka-bridge/?job={job}")
    expect(vic.get_by_role("alert")).to_contain_text("There is no such job")
    faults.forgive_refusals()


def test_board_is_as_dark_as_airflow(ann: Page, airflow: Airflow) -> None:
    """At once when a person chooses it, and from then on."""
    ann.goto(f"{airflow.url}/plugin/kafka-jobs")
    board = framed(ann, NAVIGATION)
    expect(board.get_by_role("heading", name="Queues")).to_be_visible()
    for mode, least, most in (("Dark", 0, 60), ("Light", 200, 255)):
        ann.get_by_role("button", name="User").click()
        ann.get_by_role("menuitem", name="Appearance").click()
        ann.get_by_role("menuitemradio", name=f"{mode} Mode").click()
        scheme = re.compile(mode.lower())
        expect(board.locator("html")).to_have_css("color-scheme", scheme)
        assert least <= board.locator("body").evaluate(BACKGROUND) <= most
        ann.reload()
        expect(board.locator("html")).to_have_css("color-scheme", scheme)
