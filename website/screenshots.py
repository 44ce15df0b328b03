"""Takes the pictures of the demo and of its task's log in Airflow: ``make screenshots``.

It runs ``make demo KEEP=1`` as a user would, and opens Airflow's pages in the Chromium of the
system (``CHROMIUM`` names another one).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
COLUMNS = 110
PAGE_SECONDS = 60
STOP_SECONDS = 60
WEB_FONT = re.compile(r"@font-face \{.*?\n    \}\n", re.DOTALL)
"""What Rich would load from another host; the reader's own font of equal widths does as well."""
PRINTED_ROOT = "~/kafka-bridge"
ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+)/dags/(\w+)")
LAST_LINE = "Ctrl-C"
TASK = "audit"


class DemoFailed(Exception):
    """The demo ended before Airflow could be looked at. The text is what it printed."""


def main() -> None:
    """Run the demo, and write one picture of its output and one of its task's log.

    :raises DemoFailed: the demo did not run to its end
    """
    with running_demo() as printed:
        save_terminal(printed, IMAGES / "demo.svg")
        found = ADDRESS.search(printed)
        assert found is not None  # noqa: S101  running_demo has waited for it
        save_task_log(found[1], found[2], IMAGES / "task-log.png")


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


def save_task_log(address: str, dag: str, file: Path) -> None:
    """Save a picture of the page in Airflow that has the log of the DAG's last task."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=QUIET, chromium_sandbox=os.geteuid() != 0
        )
        page = browser.new_page(viewport={"width": 1280, "height": 770}, color_scheme="light")
        page.set_default_timeout(PAGE_SECONDS * 1000)
        page.goto(f"{address}/dags/{dag}")
        page.goto(f"{address}/dags/{dag}/runs/{_last_run(page, address, dag)}/tasks/{TASK}")
        page.get_by_text("SUCCEEDED").first.wait_for()
        page.screenshot(path=file)
        browser.close()


def _last_run(page: Page, address: str, dag: str) -> str:
    runs = page.request.get(f"{address}/api/v2/dags/{dag}/dagRuns?order_by=-run_after&limit=1")
    run: str = runs.json()["dag_runs"][0]["dag_run_id"]
    return run


if __name__ == "__main__":
    main()
