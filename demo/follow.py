"""Shows running jobs: a progress bar for each, or a few lines without a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo.job_feed import events_of_jobs
from demo.steps import Steps
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState, StatusEvent

JOB_SECONDS = 120.0
SHARE_BETWEEN_LINES = 0.2


def follow(
    steps: Steps,
    servers: str,
    names: Mapping[str, str],
    on_end: Callable[[str, StatusEvent], None] = lambda _name, _event: None,
) -> None:
    """Show jobs until all are finished.

    :param names: the jobs' names by correlation id
    :param on_end: called with the name and the terminal event of each job
    """
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=steps.console) as progress:
        jobs = {job: _Job(steps, progress, name) for job, name in names.items()}
        for event in events_of_jobs(servers, jobs, JOB_SECONDS):
            jobs[event.correlation_id].show(event)
            if event.state in TERMINAL:
                on_end(names[event.correlation_id], event)


class _Job:
    def __init__(self, steps: Steps, progress: Progress, name: str) -> None:
        self._console = steps.console
        self._progress = progress
        self._name = f"{name:<12} " if name else ""
        self._bar = progress.add_task(self._description("queued"), total=None)
        self._next_line = 0.0

    def _description(self, state: str) -> str:
        return f"{self._name}{state:<9}"

    def show(self, event: StatusEvent) -> None:
        bar = self._bar
        self._progress.update(bar, description=self._description(event.state.value))
        if event.progress is not None:
            done, total = event.progress.completed, event.progress.total
            self._progress.update(bar, completed=done, total=total)
        if event.state is JobState.SUCCEEDED:
            self._progress.update(bar, completed=self._progress.tasks[bar].total)
        if event.state in TERMINAL:
            self._progress.stop_task(bar)
        is_due = event.state in TERMINAL or _share(event) >= self._next_line
        if is_due and not self._console.is_terminal:
            self._next_line = _share(event) + SHARE_BETWEEN_LINES
            self._console.print(f"  {self._name}{event.state.value}{_amount(event)}")


def _share(event: StatusEvent) -> float:
    progress = event.progress
    return progress.completed / progress.total if progress and progress.total else 0.0


def _amount(event: StatusEvent) -> str:
    progress = event.progress
    return f" {progress.completed:,.0f} of {progress.total or 0:,.0f} files" if progress else ""
