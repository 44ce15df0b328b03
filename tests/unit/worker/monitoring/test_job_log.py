"""The two lines of each job: that it started, and how it ended, after how long and why."""

from __future__ import annotations

import logging
import re

import pytest

from kafka_bridge.protocol.messages import JobRequest, JobState
from kafka_bridge.worker.monitoring.job_log import LINES, REASON_BYTES, JobLog

from ..samples import JOB, request

JOBS = "kafka_bridge.worker.jobs"


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_start_and_end_have_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    """With id and type, state and duration, as text and as fields."""
    log = JobLog(is_on=True)
    log.started(request(), 1)
    log.ended(request(), JobState.SUCCEEDED, 1.5, None)
    assert caplog.messages == [
        f"Job {JOB} (a.job) started",
        f"Job {JOB} (a.job) SUCCEEDED after 1.500 s",
    ]
    last = vars(caplog.records[-1])
    assert (last["correlation_id"], last["job_type"]) == (JOB, "a.job")
    assert (last["state"], last["seconds"]) == ("SUCCEEDED", 1.5)


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (JobState.CANCELLED, logging.INFO),
        (JobState.RELEASED, logging.INFO),
        (JobState.FAILED, logging.WARNING),
    ],
)
def test_reason_is_in_the_line(
    caplog: pytest.LogCaptureFixture, state: JobState, level: int
) -> None:
    """On one line and cut, whatever was written as the reason."""
    JobLog(is_on=True).ended(request(), state, 0.0, "cleared\nby alice" + "x" * 5_000)
    (line,) = caplog.messages
    assert line.startswith(rf"Job {JOB} (a.job) {state} after 0.000 s: cleared\nby alicexx")
    assert len(line) < REASON_BYTES + 100
    assert caplog.records[0].levelno == level


def test_redelivery_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody may have begun the work before."""
    JobLog(is_on=True).started(request(), 3)
    assert caplog.messages == [f"Job {JOB} (a.job) started again, as delivery 3"]


def test_without_job_log_only_first_failures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of what goes well, and of what fails not a line for each job."""
    log = JobLog(is_on=False)
    for _ in range(100):
        log.started(request(), 1)
        log.ended(request(), JobState.SUCCEEDED, 1.0, None)
        log.ended(request(), JobState.FAILED, 1.0, "ValueError: no")
    assert len(caplog.messages) == 10
    assert all("FAILED after 1.000 s: ValueError: no" in line for line in caplog.messages)


def test_lines_of_thousands_of_jobs_a_second_are_only_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log of a worker of quick jobs does not cost more than their work."""
    log = JobLog(is_on=True)
    for _ in range(2 * LINES):
        log.started(request(), 1)
    assert len(caplog.messages) == LINES


def test_job_type_cannot_forge_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """A job type is chosen by whoever writes the request."""
    forged = JobRequest(
        correlation_id=JOB,
        job_type="a.job\nall is well",
        response_topic="answers",
        created_at=request().created_at,
    )
    JobLog(is_on=True).started(forged, 1)
    assert not re.search(r"\n", caplog.messages[0])
