"""Jobs that go from one worker to another: on a stop, a rolling restart, a rebalance."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from integration.jobs import events_until
from integration.worker.endings import ends_of, how_often_ended, shares, told
from integration.worker.programs import Stage
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

S = JobState


def until(stage: Stage, job: JobRequest, state: JobState) -> StatusEvent:
    """Return a job's first event of a state."""
    return events_until(
        stage.config, stage.responses, job.correlation_id, lambda seen: seen[-1].state is state
    )[-1]


def test_job_that_outlasts_the_grace_is_released(stage: Stage, eventually: Eventually) -> None:
    """RELEASED says so, and why; the next worker does it anew as the next delivery."""
    first = stage.start("--concurrency", "2", KAFKA_BRIDGE_GRACE_SECONDS="0.5")
    jobs = [stage.request("wait"), stage.request("patient")]
    stage.publish(*jobs)
    eventually(lambda: len(stage.noted("started")) == 2, "both run")
    assert first.stop() == 0
    for job in jobs:
        released = until(stage, job, S.RELEASED)
        assert released.delivery == 1
        assert released.message == f"worker {released.worker_id} shuts down"
    stage.gate.touch()
    stage.start("--concurrency", "2")
    assert until(stage, jobs[1], S.ACCEPTED).delivery == 1
    stage.cancel(jobs[1], "enough")
    ends = ends_of(stage, jobs)
    assert {end.state for end in ends} == {S.SUCCEEDED, S.CANCELLED}
    assert {end.delivery for end in ends} == {2}
    assert how_often_ended(stage, jobs) == [1, 1]


@pytest.mark.long
def test_jobs_accepted_ahead_are_released_at_once(
    stage: Stage, topics: TopicFactory, eventually: Eventually
) -> None:
    """They do not wait for the grace of those that run."""
    stage.requests = topics("requests", 1)
    first = stage.start()
    quick = [stage.request("tell") for _ in range(400)]
    slow = [stage.request("wait") for _ in range(5)]
    stage.publish(*quick, *slow)

    def ahead() -> list[JobRequest]:
        seen, running = told(stage), stage.noted("started")
        return [
            job for job in slow if seen[job.correlation_id] and job.correlation_id not in running
        ]

    eventually(lambda: stage.noted("started") and ahead(), "one runs, and more are accepted")
    released = ahead()
    first.process.terminate()
    for job in released:
        assert until(stage, job, S.RELEASED).delivery == 1
    assert first.process.poll() is None
    assert len(stage.noted("started")) == 1
    stage.gate.touch()
    assert first.process.wait(60) == 0
    stage.start()
    assert {end.delivery for end in ends_of(stage, released)} == {2}
    ends_of(stage, slow)
    assert sorted(stage.noted("done")) == sorted(job.correlation_id for job in slow)


def test_rolling_restart_under_load_costs_no_job(stage: Stage) -> None:
    """Three workers are replaced one after the other while 300 jobs come: each ends, once."""
    chance = random.Random(5)
    workers = [stage.start("--concurrency", "4") for _ in range(3)]
    jobs: list[JobRequest] = []
    done = threading.Event()

    def load() -> None:
        while len(jobs) < 300 or not done.is_set():
            jobs.append(stage.request("block", chance.uniform(0, 0.1)))
            stage.publish(jobs[-1])
            done.wait(0.03)

    loading = threading.Thread(target=load)
    loading.start()
    try:
        for worker in workers:
            stage.start("--concurrency", "4")
            assert worker.stop() == 0
    finally:
        done.set()
        loading.join()
    ends = ends_of(stage, jobs)
    made = {job.correlation_id: job.created_at for job in jobs}
    walls = [(end.occurred_at - made[end.correlation_id]).total_seconds() for end in ends]
    print(  # noqa: T201  a figure to look at
        f"{len(jobs)} jobs by {len({end.worker_id for end in ends})} workers: the slowest took "
        f"{max(walls):.2f} s, half of them less than {sorted(walls)[len(walls) // 2]:.2f} s; "
        f"deliveries {dict(Counter(end.delivery for end in ends))}"
    )
    assert Counter(end.state for end in ends) == {S.SUCCEEDED: len(jobs)}
    assert len({end.worker_id for end in ends}) == 6
    assert how_often_ended(stage, jobs) == [1] * len(jobs)
    assert sorted(stage.noted("done")) == sorted(made)


def test_jobs_end_where_they_are_or_are_handed_over_when_a_worker_joins(
    stage: Stage, eventually: Eventually
) -> None:
    """What ends within five seconds ends where it is, whoever gets its partition.

    What does not is RELEASED and its handler told so, and the new worker does it.
    """
    stage.start("--concurrency", "50")
    short, long = everywhere(stage, "block", 3.0), everywhere(stage, "patient")
    eventually(lambda: len(stage.noted("started")) == len(short) + len(long), "all run")
    stage.start("--concurrency", "50", ready=False)
    ends = ends_of(stage, [job for job, _ in short])
    assert {(end.state, end.delivery) for end in ends} == {(S.SUCCEEDED, 1)}
    assert len({end.worker_id for end in ends}) == 1
    eventually(lambda: shares(stage) == [2, 2], "they share the partitions")
    seen = told(stage)
    moved = {}
    for job, partition in long:
        for event in seen[job.correlation_id]:
            if event.state is S.RELEASED:
                moved[job.correlation_id] = partition
                assert (event.message or "").startswith("another worker takes over from ")
    partitions = set(moved.values())
    assert len(partitions) == 2
    assert sorted(moved) == sorted(job.correlation_id for job, at in long if at in partitions)
    for each in moved:
        events_until(stage.config, stage.responses, each, lambda seen: seen[-1].delivery == 2)
    eventually(
        lambda: sorted(stage.noted("stopped-released")) == sorted(moved), "the handlers are told"
    )
    for job, _ in long:
        stage.cancel(job, "enough")
    ends = ends_of(stage, [job for job, _ in long])
    assert {end.state for end in ends} == {S.CANCELLED}
    assert sorted(end.correlation_id for end in ends if end.delivery == 2) == sorted(moved)
    assert set(how_often_ended(stage, [job for job, _ in short + long])) == {1}


def everywhere(
    stage: Stage, job_type: str, payload: float | None = None
) -> list[tuple[JobRequest, int]]:
    """Publish jobs until each of the stage's four partitions has one; return where each lies."""
    jobs: list[tuple[JobRequest, int]] = []
    while len({partition for _, partition in jobs}) < 4:
        job = stage.request(job_type, payload)
        (place,) = stage.publish(job)
        jobs.append((job, place.partition))
    return jobs
