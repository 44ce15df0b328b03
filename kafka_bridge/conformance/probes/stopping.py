"""CANCEL: before, during and after a job."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kafka_bridge.conformance.events import Event, in_words
from kafka_bridge.conformance.job_types import ECHO, SLEEP
from kafka_bridge.conformance.probe import prepared, running
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.target_facts import SLOTS
from kafka_bridge.conformance.unmet import NotTested, expect
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.headers import command_headers
from kafka_bridge.protocol.messages import Command, JobCommand, JobRequest, JobState, utc_now

REASON = "cleared by alice"
LONG_SECONDS = 60.0


def check_cancelled(stage: Stage, job: JobRequest, why: str) -> None:
    """Check that a job ends as CANCELLED with the reason, without a start."""
    end = stage.ends_as(job, JobState.CANCELLED)
    message = end.status.message
    expect(message == REASON, f"the reason {REASON!r} as message", f"it is {message!r}", end.record)
    stage.never_started(job, why)


def occupy(stage: Stage, seconds: float) -> list[JobRequest]:
    """Give the worker as many jobs as it runs at the same time; return when they run."""
    jobs = [stage.request(SLEEP, {"seconds": seconds}) for _ in range(SLOTS)]
    for job in jobs:
        stage.publish(job)
    for job in jobs:
        stage.running(job)
    return jobs


def queue_behind(stage: Stage, job: JobRequest) -> None:
    """Publish a request that has to wait, because the worker is busy.

    :raises NotTested: the worker starts it at once
    """
    stage.publish(job)
    stage.silent(stage.patience.seconds(0.5))
    if stage.started(job):
        raise NotTested(
            f"the worker runs more than {SLOTS} jobs at the same time: KAFKA_BRIDGE_CONCURRENCY "
            "says how many it should"
        )


@prepared(
    "L3-CANCEL-FIRST", "A worker reads the control topic from its beginning: old CANCELs count."
)
def first(stage: Stage) -> Iterator[None]:
    """A CANCEL, and then its request, from before the first start of the worker."""
    job = stage.request(ECHO, "cancelled first")
    stage.cancel(job, REASON)
    stage.publish(job)
    yield
    check_cancelled(stage, job, "it was cancelled before the worker started")


@running("L3-CANCEL-EARLY", "A CANCEL may arrive before its request.")
def early(stage: Stage) -> None:
    """A CANCEL some time before its request."""
    job = stage.request(ECHO, "cancelled early")
    stage.cancel(job, REASON)
    stage.silent()
    stage.publish(job)
    check_cancelled(stage, job, "it was cancelled before its request came")


@running(
    "L3-CANCEL-QUEUED",
    "A job that has not started ends at once, without a start, as CANCELLED with the reason as "
    "message, also while the worker is busy.",
)
def queued(stage: Stage) -> None:
    """A CANCEL of a job that waits behind others."""
    busy = occupy(stage, stage.patience.seconds(LONG_SECONDS))
    job = stage.request(ECHO, "cancelled in the queue")
    try:
        queue_behind(stage, job)
        stage.cancel(job, REASON)
        check_cancelled(stage, job, "it was cancelled while it waited")
    finally:
        for each in busy:
            stage.cancel(each)
    for each in busy:
        stage.end_of(each)


@running(
    "L3-CANCEL-RUNNING",
    "A running job receives a stop request. When it has stopped, it is CANCELLED.",
)
def while_running(stage: Stage) -> None:
    """A CANCEL of a job that sleeps, and wakes when it is asked to stop."""
    job = stage.request(SLEEP, {"seconds": stage.patience.seconds(LONG_SECONDS)})
    stage.publish(job)
    stage.running(job)
    stage.cancel(job, REASON)
    stage.ends_as(job, JobState.CANCELLED)
    if stage.notes.are_kept:
        expect(stage.ended(job), "CANCELLED after the job has stopped", "it still runs")


@running(
    "L3-CANCEL-STUBBORN",
    "Until the work ends, heartbeats say in their message that the job was asked to stop. If it "
    "ends in another way, the event has the attribute stop_requested.",
)
def stubborn(stage: Stage) -> None:
    """A CANCEL of a job that does not stop."""
    interval = stage.patience.seconds(0.5)
    job = stage.request(
        SLEEP,
        {"seconds": 6 * interval, "stubborn": True},
        heartbeat_interval_ms=int(interval * 1000),
    )
    stage.publish(job)
    stage.running(job)
    stage.cancel(job, REASON)
    end = stage.ends_as(job, JobState.SUCCEEDED)
    check_attribute(end, "cancelled")
    check_told(stage.events(job))


def check_attribute(end: Event, wanted: str) -> None:
    """Check that an end says that the job was asked to stop."""
    found = end.status.attributes.get("stop_requested")
    expect(found == wanted, f"stop_requested: {wanted}", f"it is {found}", end.record)


def check_told(events: list[Event]) -> None:
    """Check that the heartbeats say that the job was asked to stop."""
    told = [each for each in events if each.state is JobState.RUNNING and each.status.message]
    expect(
        told,
        "a heartbeat whose message says that the job was asked to stop",
        f"no heartbeat has a message; {in_words(events)}",
        events[-1].record,
    )


@running("L3-CANCEL-LATE", "A CANCEL of a finished job changes nothing.")
def late(stage: Stage) -> None:
    """A CANCEL after the end."""
    job = stage.request(ECHO, "cancelled late")
    stage.outcome(job, JobState.SUCCEEDED)
    before = len(stage.events(job))
    stage.cancel(job, REASON)
    stage.overtaken(job)
    stage.silent()
    after = stage.events(job)
    expect(len(after) == before, "no event after the end", in_words(after), after[-1].record)


@running(
    "L3-CANCEL-UNKNOWN", "A command of a later version is ignored, and what is not a command, too."
)
def unknown(stage: Stage) -> None:
    """UNKNOWN, in JSON another word; a tombstone; garbage; then a CANCEL that counts."""
    job = stage.request(SLEEP, {"seconds": stage.patience.seconds(2.0)})
    other = stage.request(SLEEP, {"seconds": stage.patience.seconds(LONG_SECONDS)})
    for each in (job, other):
        stage.publish(each)
        stage.running(each)
    command = JobCommand(
        correlation_id=job.correlation_id, command=Command.UNKNOWN, issued_at=utc_now()
    )
    value, headers = stage.encoded(command), command_headers(command, stage.encoding)
    if stage.encoding is Encoding.JSON:
        value = json.dumps(json.loads(value) | {"command": "PAUSE"}).encode()
    stage.command(job.correlation_id, value, headers)
    stage.command(job.correlation_id, None, [])
    stage.command(job.correlation_id, b"garbage", [])
    stage.cancel(other)
    stage.ends_as(other, JobState.CANCELLED)
    stage.ends_as(job, JobState.SUCCEEDED)
