"""What a person reads in the task's log of each event."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest

from kafka_bridge.airflow.progress_text import JobLines
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress, StatusEvent
from kafka_bridge.protocol.progress_text import duration

from .samples import event

LINES: list[tuple[JobState, dict[str, Any], str | None]] = [
    (JobState.ACCEPTED, {}, "Accepted by worker w-1"),
    (JobState.ACCEPTED, {"delivery": 3}, "Accepted by worker w-1 (delivery 3)"),
    (JobState.RELEASED, {}, "Released by worker w-1; waiting for another worker"),
    (JobState.RUNNING, {}, None),
    (JobState.RUNNING, {"message": ""}, None),
    (JobState.RUNNING, {"message": "linking"}, "linking"),
    (JobState.RUNNING, {"progress": Progress(1, 2)}, "50 %: 1 of 2"),
    (JobState.RUNNING, {"progress": Progress(1, 2), "message": ""}, "50 %: 1 of 2"),
    (
        JobState.RUNNING,
        {"progress": Progress(1, 2, "images"), "message": "a.png"},
        "50 %: 1 of 2 images – a.png",
    ),
    (
        JobState.RUNNING,
        {"progress": Progress(1_234, 1_234_567, "files")},
        "0 %: 1,234 of 1,234,567 files",
    ),
    (JobState.RUNNING, {"progress": Progress(0.5, 2.25, "GB")}, "22 %: 0.50 of 2.25 GB"),
    (JobState.RUNNING, {"progress": Progress(3, 2)}, "150 %: 3 of 2"),
    (JobState.RUNNING, {"progress": Progress(1_000)}, "1,000"),
    (JobState.RUNNING, {"progress": Progress(7, None, "rows")}, "7 rows"),
    (JobState.RUNNING, {"progress": Progress(0, 0, "rows")}, "0 rows"),
    (JobState.UNKNOWN, {"message": "paused"}, None),
    (JobState.SUCCEEDED, {"message": "done"}, None),
    (JobState.FAILED, {"error": JobFailure("disk_full", "No space left")}, None),
    (JobState.CANCELLED, {"message": "enough"}, None),
]


@pytest.mark.parametrize(("state", "fields", "line"), LINES)
def test_each_event_has_its_line(state: JobState, fields: dict[str, Any], line: str | None) -> None:
    """Each event has its line; a mere heartbeat has none, nor has the end, which the task tells."""
    assert line_of(JobLines(2000), event(state, **fields)) == line


def line_of(job: JobLines, event: StatusEvent) -> str | None:
    """Return what the log says of an event."""
    change, progress = job.change_of(event), job.progress_of(event)
    return change or progress


@pytest.mark.parametrize(
    "progress", [Progress(1e308, 5e-324), Progress(-1e308), Progress(0, 1e308)]
)
def test_any_progress_has_a_line(progress: Progress) -> None:
    """Absurd numbers are shown, not raised: a trigger must not end because of them."""
    assert line_of(JobLines(2000), event(JobState.RUNNING, progress=progress))


@pytest.mark.parametrize(
    ("first", "second"), [(-1e308, 1e308), (0, 5e-324), (1e308, 1.5e308), (-1.7e308, -1.6e308)]
)
@pytest.mark.parametrize("total", [None, 1.7e308, -1.7e308, 5e-324])
def test_any_pace_has_a_line(first: float, second: float, total: float | None) -> None:
    """Nor do absurd steps end a trigger."""
    assert lines((0, first), (1e6, second), total=total)


def lines(*steps: tuple[float, float], total: float | None = 1000, delivery: int = 1) -> str | None:
    """Return the last line of a job that was so far at these moments."""
    job, line = JobLines(2000), None
    for at, completed in steps:
        progress = Progress(completed, total, "files")
        line = line_of(job, event(JobState.RUNNING, at=at, progress=progress, delivery=delivery))
    return line


PACES = [
    ([(0, 0), (10, 250)], "25 %: 250 of 1,000 files, 25/s, 30 s left"),
    ([(0, 100), (10, 200)], "20 %: 200 of 1,000 files, 10/s, 1 min left"),
    ([(0, 0), (10, 25)], "2 %: 25 of 1,000 files, 2.5/s, 6 min left"),
    ([(0, 0), (100, 10)], "1 %: 10 of 1,000 files, 6.0/min, 2 h 45 min left"),
    ([(0, 0), (36_000, 20)], "2 %: 20 of 1,000 files, 2.0/h, 20 days left"),
    ([(0, 0), (10, 1000)], "100 %: 1,000 of 1,000 files, 100/s"),
]


@pytest.mark.parametrize(("steps", "line"), PACES)
def test_rate_and_remaining_time_are_shown(steps: list[tuple[float, float]], line: str) -> None:
    """A job that comes on tells how fast, since it was first seen, and how long it will take."""
    assert lines(*steps) == line


def test_rate_is_shown_without_a_total() -> None:
    """Where nobody knows the end, there is a pace and no time left."""
    assert lines((0, 0), (10, 250), total=None) == "250 files, 25/s"


@pytest.mark.parametrize(
    "steps", [[(0, 5)], [(0, 5), (0.9, 50)], [(0, 5), (10, 5)], [(0, 5), (10, 3)], [(5, 5), (0, 9)]]
)
def test_unknown_rate_is_not_shown(steps: list[tuple[float, float]]) -> None:
    """Too early, no step forward, a step back, a clock that was set: the line goes without."""
    line = lines(*steps)
    assert line is not None
    assert "/s" not in line


def test_rate_starts_again_with_each_delivery() -> None:
    """A job that another worker has begun again is measured from there."""
    job = JobLines(2000)

    def line(at: float, completed: int, delivery: int) -> str | None:
        progress = Progress(completed, 1000)
        running = event(JobState.RUNNING, at=at, progress=progress, delivery=delivery)
        return line_of(job, running)

    line(0, 0, 1)
    assert line(10, 500, 1) == "50 %: 500 of 1,000, 50/s, 10 s left"
    line_of(job, event(JobState.ACCEPTED, at=59, delivery=2))
    assert line(60, 100, 2) == "10 %: 100 of 1,000"
    assert line(70, 200, 2) == "20 %: 200 of 1,000, 10/s, 1 min left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (59.6, "1 min"),
        (3540, "59 min"),
        (3600, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (172_800, "2 days"),
        (1e9, "11,574 days"),
    ],
)
def test_duration_is_written_in_words(seconds: float, words: str) -> None:
    """As exact as a person wants it."""
    assert duration(seconds) == words


Step: TypeAlias = tuple[JobState, int, str]
FIRST: list[Step] = [(JobState.ACCEPTED, 1, "w-1"), (JobState.RUNNING, 1, "w-1")]
LOST = "Delivery 2 of the job: worker w-1 was lost; it runs on worker w-2"
CHANGES: list[tuple[list[Step], str | None]] = [
    ([*FIRST, (JobState.ACCEPTED, 2, "w-2")], LOST),
    ([*FIRST, (JobState.RUNNING, 1, "w-2"), (JobState.ACCEPTED, 2, "w-2")], LOST),
    ([*FIRST, (JobState.RUNNING, 2, "w-2")], LOST),
    ([*FIRST, (JobState.ACCEPTED, 2, "w-2"), (JobState.RUNNING, 2, "w-2")], None),
    (
        [*FIRST, (JobState.ACCEPTED, 2, "w-1")],
        "Delivery 2 of the job: worker w-1 was interrupted; it runs there again",
    ),
    (
        [*FIRST, (JobState.RELEASED, 1, "w-1"), (JobState.ACCEPTED, 2, "w-2")],
        "Accepted by worker w-2 (delivery 2)",
    ),
    (
        [*FIRST, (JobState.ACCEPTED, 2, "w-2"), (JobState.ACCEPTED, 3, "w-1")],
        "Delivery 3 of the job: worker w-2 was lost; it runs on worker w-1",
    ),
    ([(JobState.RUNNING, 1, "w-1")], None),
]


@pytest.mark.parametrize(("steps", "line"), CHANGES)
def test_line_of_another_delivery_says_why_there_is_one(
    steps: list[Step], line: str | None
) -> None:
    """A lost worker is named, and who has the job now; a worker that takes over runs it later."""
    job, last = JobLines(2000), None
    for state, delivery, worker in steps:
        last = job.change_of(event(state, delivery=delivery, worker_id=worker))
    assert last == line
