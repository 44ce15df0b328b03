"""A real Airflow with its own pages, as the browser and its users see it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from conftest import skip_or_fail

from browser.sync_api import APIRequestContext, Browser, FrameLocator, Page

if TYPE_CHECKING:
    from conftest import Eventually

PYTHON = "AIRFLOW_PYTHON"
NAVIGATION, TASK = "Kafka jobs", "Kafka job"
"""The board's places in Airflow."""


@contextmanager
def running_airflow(home: Path, servers: str) -> Iterator[str]:
    """Run an Airflow with the DAGs of these tests; give its address.

    These tests run without Airflow's packages. ``AIRFLOW_PYTHON`` names a Python that has them.
    """
    python = os.environ.get(PYTHON)
    if not python:
        skip_or_fail(f"{PYTHON} names no Python with Airflow: `make test-browser` does")
    script = Path(__file__).with_name("run_airflow.py")
    process = subprocess.Popen(
        [python, str(script), str(home), servers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, "Airflow does not start"
            yield url
        finally:
            process.stdin.close()


def log_in(page: Page, user: str) -> None:
    """Fill in Airflow's form, which the page shows."""
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(user)
    page.get_by_role("button", name="Sign in").click()


def login_of(chromium: Browser, url: str, user: str) -> Any:
    """Log a user in; return the cookies."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{url}/kafka-bridge/")
    log_in(page, user)
    page.get_by_role("heading", name="Queues").wait_for()
    state = context.storage_state()
    context.close()
    return state


def framed(page: Page, place: str) -> FrameLocator:
    """Return the board in Airflow's frame."""
    return page.frame_locator(f"iframe[title='{place}']")


class Airflow:
    """What the tests ask Airflow, as its administrator.

    :param send: sends requests with the administrator's login
    """

    def __init__(self, url: str, send: APIRequestContext, eventually: Eventually) -> None:
        self.url = url
        self._send = send
        self._eventually = eventually

    def trigger(self, dag: str, run: str) -> None:
        """Start a run."""
        body = {"dag_run_id": run, "logical_date": None}
        answer = self._send.post(f"{self.url}/api/v2/dags/{dag}/dagRuns", data=body)
        assert answer.ok, answer.text()

    def task_page(self, dag: str, run: str, tab: str = "") -> str:
        """Return the address of the page of a run's task."""
        return f"{self.url}/dags/{dag}/runs/{quote(run, safe='')}/tasks/work{tab}"

    def until_task_is(self, state: str, dag: str, run: str) -> None:
        """Wait until a run's task is in a state."""
        place = f"dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances/work"

        def is_so() -> bool:
            answer = self._send.get(f"{self.url}/api/v2/{place}")
            return answer.ok and bool(answer.json()["state"] == state)

        self._eventually(is_so, f"the task of {dag} is {state}")

    def until_job_runs(self, dag: str, run: str) -> str:
        """Wait until the job of a run's task is running; return its id."""
        found: list[str] = []

        def is_so() -> bool:
            query = {"dag_id": dag, "run_id": run, "state": "RUNNING"}
            answer = self._send.get(f"{self.url}/kafka-bridge/api/jobs", params=query)
            assert answer.ok, answer.text()
            found[:] = [each["correlation_id"] for each in answer.json()["jobs"]]
            return bool(found)

        self._eventually(is_so, f"the job of {dag} runs")
        return found[0]
