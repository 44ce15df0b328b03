"""Jobs as a terminal shows them while they change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kafka_bridge.cli.job_views import job_row, news, task_name
from kafka_bridge.monitor.jobs import JobView, ShownState
from kafka_bridge.protocol.progress_text import duration

COLOURS = {
    ShownState.QUEUED: "yellow",
    ShownState.ACCEPTED: "cyan",
    ShownState.RUNNING: "blue",
    ShownState.UNKNOWN: "magenta",
    ShownState.SUCCEEDED: "green",
    ShownState.FAILED: "red",
    ShownState.CANCELLED: "bright_black",
}
BAR_WIDTH = 40
OTHER_LINES = 7
"""The lines of the screen that are no jobs: the counts, and the lines of the table."""

_Rank: TypeAlias = tuple[bool, datetime]


def one_job(job: JobView, now: datetime) -> RenderableType:
    """Return a job with its progress."""
    since = job.queued_since if job.state is ShownState.QUEUED else job.started_at
    until = job.ended_at or now
    lasted = "" if since is None else f" for {duration(max(0.0, (until - since).total_seconds()))}"
    head = Text.assemble(
        (job.state, COLOURS[job.state]),
        "  ",
        job.correlation_id,
        f"  {job.job_type or ''}  {task_name(job.task)}",
    )
    worker = f" on {job.worker_id}" if job.worker_id else ""
    parts: list[RenderableType] = [head, Text(f"{job.state.lower()}{worker}{lasted}")]
    if job.progress is not None and job.progress.total:
        bar = ProgressBar(
            total=job.progress.total,
            completed=max(0.0, min(job.progress.completed, job.progress.total)),
            width=BAR_WIDTH,
        )
        line = Table.grid()
        line.add_row(bar)  # a bar alone would not end its line
        parts.append(line)
    if text := news(job):
        parts.append(Text(text))
    return Group(*parts)


def many_jobs(jobs: Iterable[JobView], now: datetime, height: int) -> RenderableType:
    """Return as many jobs as the terminal has room for: those that have not ended come first.

    :param height: the lines of the terminal
    """
    ranked = sorted(jobs, key=_rank, reverse=True)
    counts = Text("  ")
    for state in ShownState:
        if number := sum(job.state is state for job in ranked):
            counts.append(f"{number:,} {state}  ", COLOURS[state])
    table = Table(expand=True)
    for name in ("job", "state", "type", "task", "worker", "for", "news"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for job in ranked[: max(1, height - OTHER_LINES)]:
        table.add_row(*map(Text, job_row(job, now)), style=COLOURS[job.state])
    return Group(counts, table)


def _rank(job: JobView) -> _Rank:
    return not job.state.is_end, job.change_order
