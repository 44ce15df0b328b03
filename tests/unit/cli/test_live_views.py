"""What a terminal shows of jobs while they change."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

from rich.console import Console, RenderableType

from kafka_bridge.cli.jobs.live_views import many_jobs, one_job
from kafka_bridge.monitor.jobs import JobView, ShownState
from kafka_bridge.protocol.messages import Progress

from ..monitor.records import JOB, NOW, job_id, seconds


def shown(drawn: RenderableType, width: int = 200) -> list[str]:
    """Return the lines of a terminal of that width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().splitlines()


def view(job: str = JOB, **fields: Any) -> JobView:
    """Return a job that runs."""
    defaults: dict[str, Any] = {
        "state": ShownState.RUNNING,
        "worker_id": "w-1",
        "started_at": NOW,
        "last_event_at": NOW,
    }
    return JobView(correlation_id=job, **(defaults | fields))


def test_one_job_has_a_bar() -> None:
    """State, worker, time, the bar and the words each have a line; a name is no markup."""
    job = view(progress=Progress(1, 4, "files"), message="[red]a.png")
    lines = shown(one_job(job, NOW + timedelta(seconds=90)))
    assert lines[0].startswith(f"RUNNING  {JOB}")
    assert lines[1].rstrip() == "running on w-1 for 2 min"
    assert set(lines[2].strip()) <= set("━╸╺ ")
    assert lines[3].rstrip() == "25 %: 1 of 4 files – [red]a.png"


def test_progress_that_makes_no_sense_is_drawn() -> None:
    """A worker may report less than nothing, or more than all."""
    for completed in (-5.0, 900.0):
        assert len(shown(one_job(view(progress=Progress(completed, 4)), NOW))) == 4


def test_jobs_that_have_not_ended_come_first() -> None:
    """As many as the terminal has lines for; the counts are those of all."""
    ended = [
        view(job_id(n), state=ShownState.SUCCEEDED, ended_at=seconds(n), last_event_at=seconds(n))
        for n in range(1, 30)
    ]
    lines = shown(many_jobs([*ended, view()], seconds(60), height=12))
    assert lines[0].split() == ["1", "RUNNING", "29", "SUCCEEDED"]
    ids = [line.split()[1] for line in lines if line.startswith("│")]
    assert ids == [JOB, *(job_id(n) for n in (29, 28, 27, 26))]
    assert len(lines) <= 12
