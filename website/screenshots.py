"""Takes the pictures of the demo, of its task in Airflow and of the board.

``make screenshots`` runs ``make demo KEEP=1`` as a user would, and opens pages in the Chromium of
the system. ``python -m website.screenshots board`` takes those of the board only.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

from website.board_scene import board_scene
from website.chromium import launch

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COLUMNS = 110
PAGE_SECONDS = 60
STOP_SECONDS = 60
WEB_FONT = re.compile(r"@font-face \{.*?\n    \}\n", re.DOTALL)
"""What Rich would load from another host; the reader's own font of equal widths does as well."""
PRINTED_ROOT = "~/kafka-bridge"
ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+)/dags/(\w+)")
LAST_LINE = "Ctrl-C"
TASK = "audit"
TAB = "Kafka job"


class DemoFailed(Exception):
    """The demo ended before Airflow could be looked at. The text is what it printed."""


def main(pictures: Collection[str] = ("demo", "board")) -> None:
    """Take the pictures.

    :param pictures: ``demo``: its output, and its task in Airflow; ``board``: a list and a job
    :raises DemoFailed: the demo did not run to its end
    """
    with sync_playwright() as playwright:
        browser = launch(playwright)
        if "demo" in pictures:
            with running_demo() as printed:
                save_terminal(printed, IMAGES / "demo.svg")
                found = ADDRESS.search(printed)
                assert found is not None  # noqa: S101  running_demo has waited for it
                task = _task_page(browser, found[1], found[2])
                save_task_log(task, IMAGES / "task-log.png")
                save_tab(task, IMAGES / "board-in-airflow.png")
        if "board" in pictures:
            save_board(browser)
        browser.close()


@contextlib.contextmanager
def running_demo() -> Iterator[str]:
    """Run the demo until its end, and give what it printed; Airflow runs on meanwhile."""
    command = ["make", "--no-print-directory", "demo", "KEEP=1"]
    # In a pipe it prints lines and draws nothing again. A group of its own can be ended with make.
    demo = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
    )
    try:
        yield _until_last_line(demo)
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait(STOP_SECONDS)


def _until_last_line(demo: subprocess.Popen[str]) -> str:
    assert demo.stdout is not None  # noqa: S101  it is a pipe
    lines: list[str] = []
    for line in demo.stdout:
        sys.stdout.write(line)
        lines.append(line)
        if LAST_LINE in line:
            return "".join(lines)
    raise DemoFailed("".join(lines))


def save_terminal(printed: str, file: Path) -> None:
    """Save a picture of a terminal with this text."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(printed.replace(str(ROOT), PRINTED_ROOT), highlight=False, markup=False)
    picture = console.export_svg(title="make demo")
    file.write_text(WEB_FONT.sub("", picture), encoding="utf-8")


def save_task_log(task: Page, file: Path) -> None:
    """Save a picture of Airflow's page of a task: its log."""
    task.get_by_text("SUCCEEDED").first.wait_for()
    task.screenshot(path=file)


def save_tab(task: Page, file: Path) -> None:
    """Save a picture of the tab that the board has at Airflow's page of a task."""
    task.get_by_role("link", name=TAB, exact=True).click()
    task.frame_locator(f"iframe[title='{TAB}']").get_by_text("Payload and result").wait_for()
    task.screenshot(path=file)


def save_board(browser: Browser) -> None:
    """Save pictures of the board: its list of jobs, and a job that has failed."""
    with board_scene() as scene:
        page = _page(browser, 720)
        page.goto(f"{scene.address}?view=jobs")
        page.get_by_text("files.audit").wait_for()
        page.screenshot(path=IMAGES / "board-jobs.png")
        page.goto(f"{scene.address}?job={scene.failed_job}")
        page.get_by_text("Traceback").wait_for()
        page.screenshot(path=IMAGES / "board-job.png")


def _page(browser: Browser, height: int) -> Page:
    viewport = {"width": 1280, "height": height}
    page = browser.new_page(viewport=viewport, color_scheme="light", locale="en-GB")
    page.set_default_timeout(PAGE_SECONDS * 1000)
    return page


def _task_page(browser: Browser, address: str, dag: str) -> Page:
    """Open Airflow's page of the task in the DAG's last run."""
    page = _page(browser, 770)
    page.goto(f"{address}/dags/{dag}")
    page.goto(f"{address}/dags/{dag}/runs/{_last_run(page, address, dag)}/tasks/{TASK}")
    return page


def _last_run(page: Page, address: str, dag: str) -> str:
    runs = page.request.get(f"{address}/api/v2/dags/{dag}/dagRuns?order_by=-run_after&limit=1")
    run: str = runs.json()["dag_runs"][0]["dag_run_id"]
    return run


if __name__ == "__main__":
    main(sys.argv[1:] or ("demo", "board"))
