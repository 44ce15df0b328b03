"""Expiry and deadline."""

from __future__ import annotations

from datetime import datetime, timedelta

from kafka_bridge.conformance.job_types import ECHO, SLEEP
from kafka_bridge.conformance.probe import running
from kafka_bridge.conformance.probes.failures import fails_with
from kafka_bridge.conformance.probes.stopping import (
    LONG_SECONDS,
    check_attribute,
    check_told,
    occupy,
    queue_behind,
)
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.protocol.messages import ErrorType, JobState, utc_now, whole_milliseconds


def _in(seconds: float) -> datetime:
    return whole_milliseconds(utc_now() + timedelta(seconds=seconds))


@running("L3-EXPIRED", "A job does not start after its expires_at: it fails as expired, retryable.")
def expired(stage: Stage) -> None:
    """A request that was too old when it was published."""
    job = stage.request(ECHO, "expired", expires_at=_in(-5))
    stage.publish(job)
    fails_with(stage, job, ErrorType.EXPIRED, retryable=True)
    stage.never_started(job, "it had expired")


@running("L3-EXPIRED-QUEUED", "A job that has waited is checked again before it starts.")
def expired_queued(stage: Stage) -> None:
    """A job that expires while the worker is busy."""
    busy = occupy(stage, stage.patience.seconds(LONG_SECONDS))
    job = stage.request(ECHO, "expires", expires_at=_in(stage.patience.seconds(2)))
    try:
        queue_behind(stage, job)
        stage.silent(stage.patience.seconds(2.5))
    finally:
        for each in busy:
            stage.cancel(each)
    fails_with(stage, job, ErrorType.EXPIRED, retryable=True)
    stage.never_started(job, "it expired while it waited")
    for each in busy:
        stage.end_of(each)


@running("L3-DEADLINE-PASSED", "A job does not start after its deadline.")
def deadline_passed(stage: Stage) -> None:
    """A deadline before the request was published."""
    job = stage.request(ECHO, "too late", deadline=_in(-5))
    stage.publish(job)
    fails_with(stage, job, ErrorType.DEADLINE_EXCEEDED, retryable=True)
    stage.never_started(job, "its deadline had passed")


@running(
    "L3-DEADLINE", "At its deadline a running job is asked to stop, and fails as deadline_exceeded."
)
def deadline(stage: Stage) -> None:
    """A job that sleeps, and wakes when it is asked to stop."""
    seconds = stage.patience.seconds(2.0)
    job = stage.request(
        SLEEP, {"seconds": stage.patience.seconds(LONG_SECONDS)}, deadline=_in(seconds)
    )
    stage.publish(job)
    stage.running(job)
    fails_with(stage, job, ErrorType.DEADLINE_EXCEEDED, retryable=True)


@running("L3-DEADLINE-STUBBORN", "A job that ends in its own way after its deadline says so, too.")
def deadline_stubborn(stage: Stage) -> None:
    """A job that does not stop."""
    interval = stage.patience.seconds(0.5)
    job = stage.request(
        SLEEP,
        {"seconds": 8 * interval, "stubborn": True},
        heartbeat_interval_ms=int(interval * 1000),
        deadline=_in(3 * interval),
    )
    end = stage.outcome(job, JobState.SUCCEEDED)
    check_attribute(end, "deadline")
    check_told(stage.events(job))
