"""Partitions that come and go while jobs run."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kafka_bridge.conformance.events import Event, in_words
from kafka_bridge.conformance.job_types import ECHO, SLEEP
from kafka_bridge.conformance.probe import alone
from kafka_bridge.conformance.probes.takeover import check_second, long_job
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import Unmet, expect
from kafka_bridge.kafka.config import ENV_PREFIX
from kafka_bridge.protocol.messages import JobState


@alone("L3-LONG-JOB", "A job may take longer than max.poll.interval.ms: its worker stays a member.")
def long(stage: Stage) -> None:
    """A job of twice that time; another worker would take it over."""
    limit = stage.patience.session
    for _ in range(2):
        stage.start_worker(**{f"{ENV_PREFIX}MAX_POLL_INTERVAL_MS": str(int(limit * 1000))})
    _both_work(stage)
    job = stage.request(SLEEP, {"seconds": 2 * limit})
    end = stage.outcome(job, JobState.SUCCEEDED, stage.patience.start + 3 * limit)
    stage.overtaken(job)
    events = stage.events(job)
    expect({each.delivery for each in events} == {1}, "one delivery", in_words(events), end.record)
    stage.ended_once(job)


def _both_work(stage: Stage) -> None:
    """Wait until two workers have jobs.

    :raises Unmet: only one has
    """
    deadline = time.monotonic() + stage.patience.start
    workers: set[str] = set()
    while len(workers) < 2:
        if time.monotonic() > deadline:
            raise Unmet("two workers of one group to share the partitions", "only one has jobs")
        jobs = [stage.request(ECHO, "both") for _ in range(2 * stage.partitions)]
        for job in jobs:
            stage.publish(job)
        workers = {stage.end_of(job, stage.patience.start).status.worker_id for job in jobs}


@alone(
    "L3-REBALANCE",
    "A worker that has lost a partition publishes nothing more for its jobs; each has one end.",
)
def rebalance(stage: Stage) -> None:
    """A second worker joins while jobs of all partitions run or wait."""
    stage.start_worker()
    jobs = [long_job(stage) for _ in range(2 * stage.partitions)]
    for job in jobs:
        stage.publish(job)
    stage.responses.until(lambda: any(map(stage.started, jobs)) or None, stage.patience.start)
    stage.start_worker()
    seconds = stage.patience.takeover + len(jobs) * stage.patience.seconds(4.0)
    for job in jobs:
        stage.ends_as(job, JobState.SUCCEEDED, seconds)
    stage.silent()
    for job in jobs:
        stage.ended_once(job)
        check_successor(stage.events(job))


def check_successor(events: Sequence[Event]) -> None:
    """Check that a worker is silent about a job from the moment that another worker has it."""
    highest, owner = 0, ""
    for each in sorted(events, key=lambda event: event.record.location.offset):
        expect(
            each.delivery >= highest or each.status.worker_id == owner,
            "no event of the worker that has lost the job",
            f"{each} of {each.status.worker_id} follows; {in_words(events)}",
            each.record,
        )
        if each.delivery > highest:
            highest, owner = each.delivery, each.status.worker_id


@alone(
    "L3-REGAIN",
    "If a partition comes back to the worker that had it, the jobs that it still runs continue, as "
    "the same delivery.",
)
def regain(stage: Stage) -> None:
    """SIGSTOP for longer than the session while a job runs, and no other worker; SIGCONT.

    The job runs on for two sessions: a member that joins again may wait for its old session.
    """
    frozen, after = 1.5 * stage.patience.session, 2.5 * stage.patience.session
    worker = stage.start_worker()
    job = stage.request(SLEEP, {"seconds": frozen + after})
    stage.publish(job)
    stage.running(job, stage.patience.start)
    worker.freeze()
    try:
        stage.silent(frozen)
    finally:
        worker.thaw()
    end = stage.ends_as(job, JobState.SUCCEEDED, stage.patience.takeover)
    events = stage.events(job)
    expect({each.delivery for each in events} == {1}, "one delivery", in_words(events), end.record)
    started = stage.started(job)
    expect(started <= 1, "one start of the job", f"its handler was called {started} times")
    stage.ended_once(job)


@alone(
    "L3-ZOMBIE",
    "A worker that was frozen for longer than its session publishes nothing more for a job that "
    "another worker has.",
)
def zombie(stage: Stage) -> None:
    """SIGSTOP while a job runs, another worker finishes the job, SIGCONT."""
    first = stage.start_worker()
    job = long_job(stage)
    stage.publish(job)
    stage.running(job, stage.patience.start)
    first.freeze()
    try:
        stage.start_worker()
        check_second(stage, job)
        before = len(stage.events(job))
    finally:
        first.thaw()
    stage.silent(stage.patience.seconds(5.0))
    after = stage.events(job)
    came = in_words(after[before:])
    record = after[-1].record
    expect(len(after) == before, "no event of the frozen worker when it continues", came, record)
    expect(stage.ended(job) >= 1, "the job to have ended", "no handler has returned")
