"""``make demo`` for somebody who has Python and nothing else: no Java, no Maven, no Kafka."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

PROJECT = Path(__file__).parents[2]
FOLDERS = ("demo", "dags", "examples")
MARK = "KAFKA_BRIDGE_TEST_DEMO"
"""An environment variable that everything which a demo starts inherits."""

STEPS = [
    "1 A Kafka broker is up at 127.0.0.1:",
    "2 Airflow is up at http://127.0.0.1:",
    "3 Airflow runs the DAG audit_files",
    "4 Its task `audit` published a job request to Kafka (files.audit, ",
    "  queue          queued  oldest  running ",
    "  jobs.requests  1       ",
    "5 A worker is running: examples/file_auditor.py,",
    "  ACCEPTED\n",
    "  RUNNING ",
    "  SUCCEEDED ",
    "6 The task's log, ",
    " Accepted by worker ",
    " files – hashing ",
    ": SUCCEEDED\n",
    "7 The result, which the next task reads from XCom:",
    "8 Counted again here, without Airflow and Kafka: ",
    "Done. Everything that was started is stopped.",
]

THREE_PATTERNS = [
    "1 A Kafka broker is up at 127.0.0.1:",
    "2 A worker is running: examples/file_auditor.py,",
    "3 A service is running at http://127.0.0.1:",
    "4 A gateway is running between the two: examples/gateway.yaml.",
    "5 Airflow is up at http://127.0.0.1:",
    "6 Airflow runs the DAG three_patterns",
    "7 Three tasks published a job request each",
    "8 The log of by_polling, ",
    ": SUCCEEDED\n",
    "9 The log of by_callback, ",
    ": SUCCEEDED\n",
    "10 The log of by_worker, ",
    ": SUCCEEDED\n",
    "11 A fourth task compared the three reports; they are equal:",
    "12 Counted again here, without Airflow and Kafka: ",
    "Done. Everything that was started is stopped.",
]


class Demo:
    """One run of the demo in a folder; its output goes to a file there."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.home = folder / "home"
        self._mark = str(uuid.uuid4())
        self._output = folder / "output"
        (folder / "no-programs").mkdir(exist_ok=True)
        self.home.mkdir(exist_ok=True)
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
        own = {
            "PATH": str(folder / "no-programs"),
            "HOME": str(self.home),
            "XDG_CACHE_HOME": cache,  # compiled bytecode: nobody's first run is tested here
            MARK: self._mark,
        }
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "demo", *options],
                cwd=folder,
                env={**inherited, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        """Return what it has printed so far."""
        return self._output.read_text(encoding="utf-8")

    def wait_until_printed(self, pattern: str, timeout: float) -> re.Match[str]:
        """Wait until the output matches, and return the match."""
        give_up = time.monotonic() + timeout
        while (found := re.search(pattern, self.output())) is None:
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < give_up, f"no {pattern!r} in {timeout} s:\n{self.output()}"
            time.sleep(0.1)
        return found

    def interrupt(self) -> None:
        """Press Ctrl-C: a terminal sends SIGINT to the group in its foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def processes(self) -> list[psutil.Process]:
        """Return the processes that live and belong to this run."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and process.environ().get(MARK) == self._mark
        except psutil.Error:
            return False

    def kill(self) -> None:
        """Leave nothing behind, whatever a test has found."""
        for process in self.processes():
            process.kill()
        self.process.wait(60)


StartDemo = Callable[..., Demo]


@pytest.fixture
def start_demo() -> Iterator[StartDemo]:
    """Give a function that starts the demo in a folder."""
    started: list[Demo] = []

    def start(folder: Path, *options: str) -> Demo:
        started.append(Demo(folder, *options))
        return started[-1]

    yield start
    for demo in started:
        demo.kill()


def copy_to(folder: Path) -> Path:
    """Copy what the demo is made of; what it writes lands there, too."""
    for name in FOLDERS:
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy in which the demo may run again and again, as it may in a checkout."""
    return copy_to(tmp_path_factory.mktemp("checkout"))


def count(root: str) -> tuple[int, int]:
    """Return how many files there are in a tree, and how many bytes."""
    sizes = [
        (Path(folder) / name).stat().st_size for folder, _, names in os.walk(root) for name in names
    ]
    return len(sizes), sum(sizes)


def installed_airflow() -> str:
    """Return the folder of the package, without importing it."""
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return spec.submodule_search_locations[0]


def run(demo: Demo, steps: list[str]) -> str:
    """Wait for the end of a demo whose steps come in this order; return what it has printed."""
    status = demo.process.wait(240)
    output = demo.output()
    assert status == 0, output
    assert demo.processes() == []
    at = 0
    for step in steps:
        assert step in output[at:], f"{step!r} is missing or too early in:\n{output}"
        at = output.index(step, at) + len(step)
    return output


@pytest.mark.long
def test_demo_shows_its_steps_in_order_and_leaves_nothing_running(
    start_demo: StartDemo, checkout: Path
) -> None:
    """Its steps come in order, its result is right, and nothing is left but its own folder."""
    output = run(start_demo(checkout), STEPS)
    files, size = count(installed_airflow())
    assert f"files      {files:,} ({size:,} bytes)\n" in output
    assert f"8 Counted again here, without Airflow and Kafka: {files:,} files, the same." in output
    made = {path.name for path in checkout.iterdir()} - {"home", "no-programs", "output"}
    assert made == {*FOLDERS, ".demo"}
    assert {path.name for path in (checkout / "home").iterdir()} <= {".cache"}


@pytest.mark.long
def test_demo_of_three_patterns_shows_progress_and_equal_results(
    start_demo: StartDemo, checkout: Path
) -> None:
    """Each pattern moves while one looks, and all of them find the same."""
    output = run(start_demo(checkout, "--dag", "three_patterns"), THREE_PATTERNS)
    tasks = ["by_callback", "by_polling", "by_worker"]
    moved = re.findall(r"^  (\w+) +RUNNING [\d,]+ of [\d,]+ files$", output, re.MULTILINE)
    assert sorted(set(moved)) == tasks
    found = re.findall(r"^  (\w+) +found ([\d,]+ files, SHA-256 \w+)…$", output, re.MULTILINE)
    assert sorted(task for task, _ in found) == tasks
    assert len({report for _, report in found}) == 1


@pytest.mark.long
def test_interrupted_demo_leaves_nothing_running(start_demo: StartDemo, checkout: Path) -> None:
    """Ctrl-C while Airflow and the worker run stops all of them, and the demo says so."""
    demo = start_demo(checkout)
    demo.wait_until_printed("\n5 A worker is running", 240)
    assert len(demo.processes()) > 5  # itself, the worker, and Airflow's four
    demo.interrupt()
    assert demo.process.wait(60) == 130
    assert demo.processes() == []
    assert demo.output().endswith("\nStopped. Nothing is left running.\n")
    assert "Traceback" not in demo.output()


@pytest.mark.long
def test_kept_demo_serves_airflows_pages_and_the_board(
    start_demo: StartDemo, checkout: Path
) -> None:
    """With --keep, Airflow and the board answer at the printed addresses, until Ctrl-C."""
    demo = start_demo(checkout, "--keep")
    address = demo.wait_until_printed(r"Airflow keeps running: (http://127\.0\.0\.1:\S+)\n", 240)[1]
    assert address.endswith("/dags/audit_files")
    board = demo.wait_until_printed(r"The board shows the jobs: (http://127\.0\.0\.1:\S+/)\n", 10)[
        1
    ]
    for each in (address, board):
        page = httpx.get(each, trust_env=False, timeout=30)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
    (job,) = httpx.get(f"{board}api/jobs", trust_env=False, timeout=30).json()["jobs"]
    assert (job["job_type"], job["state"]) == ("files.audit", "SUCCEEDED")
    demo.interrupt()
    assert demo.process.wait(60) == 0
    assert demo.processes() == []
    assert demo.output().endswith("Done. Everything that was started is stopped.\n")
    for each in (address, board):
        with pytest.raises(httpx.ConnectError):
            httpx.get(each, trust_env=False, timeout=5)


def test_demo_whose_airflow_cannot_start_says_why_and_stops_its_worker(
    start_demo: StartDemo, tmp_path: Path
) -> None:
    """It says in one line what is in its way, fails, and stops the worker that ran already.

    The line is whole, also where a path holds what the terminal's markup would swallow.
    """
    folder = tmp_path / "my [bold] checkout"
    folder.mkdir()
    copy_to(folder)
    in_the_way = folder / ".demo" / "airflow"
    in_the_way.parent.mkdir()
    in_the_way.write_text("no folder")
    demo = start_demo(folder, "--dag", "three_patterns")
    assert demo.process.wait(30) == 1
    assert demo.processes() == []
    assert f"\nThe demo failed: {in_the_way}: File exists\n" in demo.output()
    assert "Traceback" not in demo.output()
    assert "2 A worker is running" in demo.output()
    assert in_the_way.read_text() == "no folder"
