"""What a person sees: the job moving, the task's log, its result, and that the result is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from demo.job_feed import events_of_job, job_of_run
from demo.scene import Scene
from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.protocol.messages import JobState, StatusEvent
from kafka_bridge.testing.local_airflow.logs import LogLine

DAG_ID = "audit_files"
JOB_SECONDS = 120.0
NOISE = (
    "::group::",
    "::endgroup::",
    "DAG bundles loaded",
    "Filling up the DagBag",
    "Worker startup",
)


class DemoFailed(KafkaBridgeError):
    """The demo did not come to its end."""


class Show:
    """Runs the DAG and tells what happens."""

    def __init__(self, scene: Scene, console: Console) -> None:
        self._airflow = scene.airflow
        self._servers = scene.broker.bootstrap_servers
        self._console = console

    def run(self) -> None:
        """Run the DAG from end to end.

        :raises DemoFailed: it failed, or the result is not what the files say
        """
        run_id = self._airflow.trigger(DAG_ID)
        self._say(4, f"Airflow runs the DAG {DAG_ID} (dags/{DAG_ID}.py).")
        with self._console.status("Waiting for its task `audit` to publish a job request …"):
            request = job_of_run(self._servers, run_id, JOB_SECONDS)
        self._say(
            5,
            f"Its task `audit` published a job request to Kafka ({request.job_type}, id "
            f"{request.correlation_id[:8]}…)\n  and let go of its slot in Airflow. "
            "This is what the worker says on the response topic:",
        )
        self._follow(request.correlation_id)
        with self._console.status("The task takes its result and hands it to the next one …"):
            state = self._airflow.wait_for_run(DAG_ID, run_id, JOB_SECONDS)
        self._say(6, "The task's log, which Airflow's web page shows too:")
        self._print_log(run_id)
        if state != "success":
            raise DemoFailed(f"the DAG run is {state!r}; its log stands above")
        self._say(7, "The result, as the next task found it in XCom:")
        report = self._airflow.xcom(DAG_ID, run_id, "audit")
        for line in _summary(report):
            self._print(line)
        self._count_again(report)

    def _say(self, number: int, text: str) -> None:
        self._console.print(f"\n[bold cyan]{number}[/] {escape(text)}")

    def _print(self, line: str, style: str = "") -> None:
        text = Text(line if self._console.is_terminal else f"  {line}", style)
        self._console.print(Padding.indent(text, 2) if self._console.is_terminal else text)

    def _follow(self, correlation_id: str) -> None:
        """Show the job's progress as a bar; where there is no terminal, as a few lines."""
        columns = (
            TextColumn("  {task.description:<9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("files"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            bar = progress.add_task("queued", total=None)
            next_line = 0.0
            for event in events_of_job(self._servers, correlation_id, JOB_SECONDS):
                progress.update(bar, description=event.state.value)
                if event.progress is not None:
                    done, total = event.progress.completed, event.progress.total
                    progress.update(bar, completed=done, total=total)
                if event.state is JobState.SUCCEEDED:
                    progress.update(bar, completed=progress.tasks[0].total)
                if not self._console.is_terminal and _share(event) >= next_line:
                    next_line = _share(event) + 0.2
                    self._console.print(f"  {event.state.value}{_amount(event)}")

    def _print_log(self, run_id: str) -> None:
        for line in self._airflow.task_log(DAG_ID, run_id, "audit"):
            if not line.event.startswith(NOISE):
                self._print(_plain(line), "dim")

    def _count_again(self, report: dict[str, Any]) -> None:
        root = Path(report["directory"])
        paths = [path for path in root.rglob("*") if path.is_file()]
        counted = len(paths), sum(path.stat().st_size for path in paths)
        if counted != (report["files"], report["bytes"]):
            raise DemoFailed(f"counted here are {counted}, the report says otherwise")
        self._say(
            8, f"Counted again here, without Airflow and Kafka: {counted[0]:,} files, the same."
        )


def _share(event: StatusEvent) -> float:
    progress = event.progress
    return progress.completed / progress.total if progress and progress.total else 0.0


def _amount(event: StatusEvent) -> str:
    progress = event.progress
    return f" {progress.completed:,.0f} of {progress.total or 0:,.0f} files" if progress else ""


def _plain(line: LogLine) -> str:
    time = f"{line.timestamp:%H:%M:%S} " if line.timestamp else ""
    return f"{time}{line.event}"


def _summary(report: dict[str, Any]) -> list[str]:
    largest = list(report["lines_by_suffix"].items())[:4]
    suffixes = ", ".join(f"{lines:,} in {suffix}" for suffix, lines in largest)
    return [
        f"directory  {report['directory']}",
        f"files      {report['files']:,} ({report['bytes']:,} bytes)",
        f"lines      {suffixes}, …",
        f"sha256     {report['sha256']}",
    ]
