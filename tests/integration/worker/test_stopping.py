"""Jobs that are to stop: cancelled, or out of time; before they start, and while they run."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from integration.jobs import events
from integration.worker.endings import end_of, outcome
from integration.worker.programs import Stage
from kafka_bridge.protocol.messages import JobState, utc_now

if TYPE_CHECKING:
    from conftest import Eventually

S = JobState
CONFIRM_SECONDS = 15.0
"""How soon a cancel is confirmed, whatever else the worker does."""
STOPPABLE = ["patient", "looks.up", "patient.async"]


@pytest.mark.parametrize("job_type", STOPPABLE)
def test_running_job_is_cancelled(shared: Stage, eventually: Eventually, job_type: str) -> None:
    """The handler is told why, cleans up and ends; CANCELLED confirms it, with the reason."""
    job = shared.request(job_type)
    shared.publish(job)
    eventually(lambda: job.correlation_id in shared.noted("started"), "the job runs")
    before = time.monotonic()
    shared.cancel(job, "cleared by alice")
    ended = end_of(shared, job)
    assert time.monotonic() - before < CONFIRM_SECONDS
    assert (ended.state, ended.message, ended.error) == (S.CANCELLED, "cleared by alice", None)
    assert job.correlation_id in shared.noted("stopped-cancelled")


def test_handler_that_ignores_a_cancel_is_reported_as_such(
    shared: Stage, eventually: Eventually
) -> None:
    """Until it ends heartbeats say that it was asked; its result says so, and is no CANCELLED."""
    job = shared.request("stubborn", heartbeat_interval_ms=200)
    shared.publish(job)
    eventually(lambda: job.correlation_id in shared.noted("started"), "the job runs")
    shared.cancel(job, "killed by bob")
    *before, ended = events(shared.config, shared.responses, job.correlation_id)
    assert (ended.state, ended.result) == (S.SUCCEEDED, b'"done all the same"')
    assert ended.attributes == {"stop_requested": "cancelled"}
    words = "Asked to stop (cancelled: killed by bob), but still running"
    assert sum(each.message == words for each in before) >= 3
    assert {each.state for each in before if each.message == words} == {S.RUNNING}


def test_job_that_was_cancelled_before_it_started_is_never_started(
    stage: Stage, eventually: Eventually
) -> None:
    """Be it before the worker was there, before its request, or in the backlog of a busy worker.

    The one slot is taken all the while, and each cancel is confirmed all the same.
    """
    early, late, waiting = (stage.request("note") for _ in range(3))
    running, last = stage.request("wait"), stage.request("note")
    stage.cancel(early, "before the worker")
    stage.publish(early)
    stage.start()
    assert (end_of(stage, early).state, stage.noted("done")) == (S.CANCELLED, [])
    stage.publish(running)
    eventually(lambda: stage.noted("started") != [], "the slot is taken")
    stage.publish(waiting, last)
    stage.cancel(late, "before its request")
    for job, reason in ((waiting, "in the backlog"), (late, "before its request")):
        before = time.monotonic()
        if job is waiting:
            stage.cancel(job, reason)
        else:
            stage.publish(job)
        ended = end_of(stage, job)
        assert time.monotonic() - before < CONFIRM_SECONDS
        assert (ended.state, ended.message, ended.sequence) == (S.CANCELLED, reason, 0)
    stage.gate.touch()
    assert [end_of(stage, job).state for job in (running, last)] == [S.SUCCEEDED] * 2
    assert stage.noted("done") == [running.correlation_id, last.correlation_id]


def test_job_that_waited_too_long_in_the_worker_is_not_started(
    stage: Stage, eventually: Eventually
) -> None:
    """The time counts until a slot is free, not until the request was fetched."""
    stage.start()
    running = stage.request("wait")
    stage.publish(running)
    eventually(lambda: stage.noted("started") != [], "the slot is taken")
    expires_at = utc_now() + timedelta(seconds=0.5)
    expired = stage.request("note", expires_at=expires_at)
    stage.publish(expired)
    eventually(lambda: utc_now() > expires_at, "the other has expired")
    stage.gate.touch()
    ended = end_of(stage, expired)
    assert ended.error is not None
    assert (ended.error.type, stage.noted("done")) == ("expired", [running.correlation_id])


def test_job_that_came_too_late_is_not_started(shared: Stage) -> None:
    """After ``expires_at`` and after ``deadline`` it fails at once, and a retry may help."""
    past = utc_now() - timedelta(seconds=1)
    expired, overdue = (
        shared.request("note", **{name: past}) for name in ("expires_at", "deadline")
    )
    for job, kind, words in (
        (expired, "expired", f"no worker was free before the job expired at {past.isoformat()}"),
        (overdue, "deadline_exceeded", "had passed before the job started"),
    ):
        ended = outcome(shared, job)
        assert ended.state is S.FAILED
        assert ended.error is not None
        assert (ended.error.type, ended.error.retryable) == (kind, True)
        assert words in ended.error.message
        assert job.correlation_id not in shared.noted("done")


@pytest.mark.parametrize("job_type", STOPPABLE)
def test_deadline_stops_a_running_job(shared: Stage, job_type: str) -> None:
    """As a cancel does, but the job has failed, and a retry may help."""
    deadline = utc_now() + timedelta(seconds=1)
    job = shared.request(job_type, deadline=deadline)
    ended = outcome(shared, job)
    assert ended.state is S.FAILED
    assert ended.error is not None
    assert (ended.error.type, ended.error.retryable) == ("deadline_exceeded", True)
    assert ended.error.message.startswith("stopped: its deadline, ")
    assert (ended.occurred_at - deadline).total_seconds() < CONFIRM_SECONDS
    assert job.correlation_id in shared.noted("stopped-deadline")
