"""Some of the jobs, by what is known of them."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.jobs import JobView, ShownState
from kafka_bridge.monitor.selection import JobSelection
from kafka_bridge.protocol.messages import JobFailure, JobState, Task

from .records import JOB, event, place, request, seconds


@pytest.fixture
def job() -> JobView:
    """Give a job that has failed."""
    book = JobBook(now=lambda: seconds(1000))
    task = Task("production", "nightly", "manual[1]", "audit", map_index=2)
    book.take_request(request(task=task), place())
    error = JobFailure("disk_full", "No Space left")
    book.take_event(event(JobState.FAILED, 10, error=error), place())
    view = book.job(JOB)
    assert view is not None
    return view


@pytest.mark.parametrize(
    ("wanted", "is_included"),
    [
        ({}, True),
        ({"states": frozenset({ShownState.FAILED, ShownState.RUNNING})}, True),
        ({"states": frozenset({ShownState.RUNNING})}, False),
        ({"job_type": "files.audit"}, True),
        ({"job_type": "files.*"}, True),
        ({"job_type": "files"}, False),
        ({"dag_id": "nightly"}, True),
        ({"dag_id": "daily"}, False),
        ({"run_id": "manual[1]"}, True),
        ({"run_id": "manual*"}, True),
        ({"run_id": "manual1"}, False),
        ({"task_id": "audit", "map_index": 2}, True),
        ({"task_id": "audit", "map_index": -1}, False),
        ({"task_id": "other"}, False),
        ({"worker_id": "w-1"}, True),
        ({"worker_id": "w-2"}, False),
        ({"changed_since": seconds(10)}, True),
        ({"changed_since": seconds(11)}, False),
        ({"text": "no space"}, True),
        ({"text": "NIGHT"}, True),
        ({"text": JOB[:8]}, True),
        ({"text": "ham"}, False),
        ({"job_type": "files.audit", "dag_id": "daily"}, False),
    ],
)
def test_job_is_included_if_it_fits_everything(
    job: JobView, wanted: dict[str, Any], is_included: bool
) -> None:
    """Names may have ``*``; text is searched in all names and messages, whatever its case."""
    assert JobSelection(**wanted).includes(job) is is_included


def test_what_is_unknown_fits_no_name() -> None:
    """A job without a known request has no type and no DAG."""
    job = JobView(correlation_id=JOB)
    assert JobSelection().includes(job)
    assert not JobSelection(job_type="*").includes(job)
    assert not JobSelection(dag_id="*").includes(job)
    assert not JobSelection(map_index=-1).includes(job)
