"""What a person reads in the task's log of each event."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.airflow.progress_text import line_of
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress

from .samples import event

LINES: list[tuple[JobState, dict[str, Any], str | None]] = [
    (JobState.ACCEPTED, {}, "Accepted by worker w-1"),
    (JobState.ACCEPTED, {"delivery": 3}, "Accepted by worker w-1 (delivery 3)"),
    (JobState.RELEASED, {}, "Handed back by worker w-1; waiting for another one"),
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
def test_line_of_an_event(state: JobState, fields: dict[str, Any], line: str | None) -> None:
    """Each event has its line; a mere heartbeat has none, nor has the end, which the task tells."""
    assert line_of(event(state, **fields)) == line


@pytest.mark.parametrize(
    "progress", [Progress(1e308, 5e-324), Progress(-1e308), Progress(0, 1e308)]
)
def test_any_progress_has_a_line(progress: Progress) -> None:
    """Absurd numbers are shown, not raised: a trigger must not end because of them."""
    assert line_of(event(JobState.RUNNING, progress=progress))
