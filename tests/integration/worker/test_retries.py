"""Handlers that are tried again in the worker: whoever waits sees it, and it has its limits."""

from __future__ import annotations

from typing import Any

import pytest

from integration.jobs import events, events_until
from integration.worker.endings import end_of
from integration.worker.programs import Stage
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent

S = JobState


def tries(stage: Stage, job: JobRequest) -> int:
    """Return how often the job's handler was called."""
    return stage.noted("tried").count(job.correlation_id)


def told_of_tries(seen: list[StatusEvent]) -> list[str]:
    """Return the messages that tell of a try that failed."""
    return [
        each.message
        for each in seen
        if each.state is S.RUNNING and each.message and each.message.startswith("Try ")
    ]


@pytest.mark.parametrize("job_type", ["flaky", "flaky.async"])
def test_fault_that_passes_costs_the_task_nothing(shared: Stage, job_type: str) -> None:
    """Two tries fail, the third is the result; the task's log hears of each, and of the pause."""
    job = shared.request(job_type, 2)
    shared.publish(job)
    seen = events(shared.config, shared.responses, job.correlation_id)
    assert (seen[-1].state, seen[-1].result) == (S.SUCCEEDED, b'"done at try 3"')
    assert told_of_tries(seen) == [
        "Try 1 of 3 failed: services.Failure: not yet at try 1; retrying in 0.1 s",
        "Try 2 of 3 failed: services.Failure: not yet at try 2; retrying in 0.2 s",
    ]
    assert {each.delivery for each in seen} == {1}


@pytest.mark.parametrize(
    ("job_type", "payload", "count", "kind"),
    [
        ("flaky", 3, 3, "services.Failure"),
        ("flaky.async", 3, 3, "services.Failure"),
        ("picky", 1, 1, "services.Failure"),
        ("hopeless", None, 1, "table_missing"),
    ],
)
def test_job_fails_with_its_last_error_when_no_retry_is_left_or_useful(
    shared: Stage, job_type: str, payload: Any, count: int, kind: str
) -> None:
    """Neither what is named non-retryable nor an ApplicationError that says so is tried again."""
    job = shared.request(job_type, payload)
    shared.publish(job)
    seen = events(shared.config, shared.responses, job.correlation_id)
    assert seen[-1].state is S.FAILED
    assert seen[-1].error is not None
    assert seen[-1].error.type == kind
    assert (tries(shared, job), len(told_of_tries(seen))) == (count, count - 1)


def test_job_is_cancelled_while_it_waits_for_its_next_try(shared: Stage) -> None:
    """The pause ends with the cancel, not the cancel with the pause."""
    job = shared.request("slow.retries")
    shared.publish(job)
    events_until(shared.config, shared.responses, job.correlation_id, told_of_tries)
    shared.cancel(job, "no longer wanted")
    ended = end_of(shared, job)
    assert (ended.state, ended.message) == (S.CANCELLED, "no longer wanted")
    assert tries(shared, job) == 1
