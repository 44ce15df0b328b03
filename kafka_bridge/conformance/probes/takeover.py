"""Workers that die or stop, and the ones that take their jobs over."""

from __future__ import annotations

from kafka_bridge.conformance.events import in_words
from kafka_bridge.conformance.job_types import CRASH, ECHO, SLEEP
from kafka_bridge.conformance.probe import alone
from kafka_bridge.conformance.probes.data import json_result
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.target_facts import GRACE_SECONDS
from kafka_bridge.conformance.unmet import NotTested, Unmet, expect
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.messages import JobRequest, JobState


def long_job(stage: Stage) -> JobRequest:
    """Return a request for a job that outlasts its first worker, but not the probe."""
    return stage.request(
        SLEEP,
        {"seconds": stage.patience.seconds(4.0)},
        heartbeat_interval_ms=int(stage.patience.seconds(0.5) * 1000),
    )


def check_second(stage: Stage, job: JobRequest) -> None:
    """Check that the second delivery ends a job, once."""
    end = stage.ends_as(job, JobState.SUCCEEDED, stage.patience.takeover)
    expect(end.delivery == 2, "delivery 2", in_words(stage.events(job)), end.record)
    stage.silent()
    stage.ended_once(job)


@alone("L3-KILL-REDELIVERY", "The jobs of a killed worker run again, as the next delivery.")
def redelivery(stage: Stage) -> None:
    """Kill -9 while a job runs; another worker starts."""
    first = stage.start_worker()
    job = long_job(stage)
    stage.publish(job)
    stage.running(job, stage.patience.start)
    first.kill()
    stage.start_worker()
    check_second(stage, job)


@alone(
    "L3-KILL-FINISHED",
    "Only offsets up to the oldest unfinished job are committed, and a finished job above them "
    "does not run again.",
)
def finished(stage: Stage) -> None:
    """Kill -9 while a job runs, and a later one of its partition is finished."""
    first = stage.start_worker()
    slow = long_job(stage)
    quick = stage.request_beside(slow, ECHO, "quick")
    location = stage.publish(slow)
    stage.running(slow, stage.patience.start)
    stage.publish(quick)
    try:
        stage.ends_as(quick, JobState.SUCCEEDED, stage.patience.seconds(2.0))
    except Unmet:
        if not any(each.is_terminal for each in stage.events(slow)):
            raise
        raise NotTested("the worker runs one job of a partition at a time") from None
    stage.silent()
    offset = stage.committed().get(location.partition, 0)
    first.kill()
    expect(
        offset <= location.offset,
        f"no offset above {location.offset} to be committed: its job still runs",
        f"{offset} is committed",
    )
    stage.start_worker()
    check_second(stage, slow)
    ends = [each for each in stage.events(quick) if each.is_terminal]
    came = f"its handler was called {stage.started(quick)} times; {in_words(stage.events(quick))}"
    expect(len(ends) == 1 and stage.started(quick) <= 1, "the finished job not to run again", came)


@alone(
    "L3-ACCEPTED-FIRST", "The broker acknowledges ACCEPTED, with its delivery, before work starts."
)
def accepted_first(stage: Stage) -> None:
    """A job that kills its worker as soon as it starts."""
    first = stage.start_worker()
    job = stage.request(CRASH)
    stage.publish(job)
    gone = stage.responses.until(lambda: first.exit_code, stage.patience.start)
    expect(gone is not None, "test.crash to kill its worker", "the worker still runs")
    stage.responses.catch_up()
    events = stage.events(job)
    expect(events, "ACCEPTED, or another event, before the work starts", in_words(events))
    stage.start_worker()
    check_second(stage, job)
    delivery = json_result(stage.end_of(job))
    expect(
        delivery == {"delivery": 2}, "the handler to know its delivery", f"it returns {delivery}"
    )


@alone(
    "L3-RELEASE",
    "A worker that shuts down releases unfinished jobs: RELEASED, and the offset is not committed.",
)
def release(stage: Stage) -> None:
    """SIGTERM while a job runs that takes longer than the grace period."""
    first = stage.start_worker()
    job = stage.request(SLEEP, {"seconds": stage.patience.seconds(60)})
    location = stage.publish(job)
    stage.running(job, stage.patience.start)
    first.terminate()
    seconds = stage.patience.soon + 2 * GRACE_SECONDS
    code = first.wait(seconds)
    expect(code is not None, f"the worker to end within {seconds:g} s of SIGTERM", "it still runs")
    stage.responses.catch_up()
    events = stage.events(job)
    came = in_words(events)
    record: Record | None = events[-1].record if events else None
    expect(events and events[-1].state is JobState.RELEASED, "RELEASED as last event", came, record)
    offset = stage.committed().get(location.partition, 0)
    expect(offset <= location.offset, "its offset not to be committed", f"{offset} is committed")
    second = stage.start_worker()
    stage.until(
        job,
        lambda found: found[-1].delivery == 2,
        "delivery 2 by another worker",
        stage.patience.takeover,
    )
    second.kill()


@alone(
    "L3-HANDOVER",
    "A worker starts the jobs that others have started before all others. Until it has a free "
    "slot, it publishes RUNNING for them, with the delivery that was interrupted.",
)
def handover(stage: Stage) -> None:
    """Two interrupted jobs behind three new ones, for a worker that runs one at a time.

    One new job may start first: it may arrive before all others.
    """
    interval = stage.patience.seconds(1.0)
    payload, beats = {"seconds": 2 * interval}, int(interval * 1000)
    jobs = [stage.request(SLEEP, payload, heartbeat_interval_ms=beats) for _ in range(5)]
    new, interrupted = jobs[:3], jobs[3:]
    for job in jobs:
        stage.publish(job)
    for job in interrupted:
        stage.tell(job, JobState.ACCEPTED)
    stage.start_worker(KAFKA_BRIDGE_CONCURRENCY="1")
    for job in jobs:
        stage.ends_as(job, JobState.SUCCEEDED, stage.patience.start + len(jobs) * 2 * interval)
    later = max(interrupted, key=lambda each: _accepted_at(stage, each))
    before = sum(_accepted_at(stage, each) < _accepted_at(stage, later) for each in new)
    first = stage.events(later)[0]
    expect(
        before <= 1,
        "the interrupted jobs to start before new ones",
        f"{before} new jobs were accepted before one of them",
        first.record,
    )
    expect(
        first.state is JobState.RUNNING and first.delivery == 1,
        "RUNNING with delivery 1 while an interrupted job waits for a slot",
        in_words(stage.events(later)),
        first.record,
    )


def _accepted_at(stage: Stage, job: JobRequest) -> int:
    """Return the timestamp of the first event of the second delivery, or of a new job."""
    events = stage.events(job)
    accepted = [each for each in events if each.state is JobState.ACCEPTED] or events
    return accepted[0].record.timestamp_ms
