"""Gateways are killed and services fail: no job is lost, and no job starts twice."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from integration.gateway.conftest import SetUp
from integration.gateway.service import CountingService, failing_answers
from integration.jobs import request
from integration.worker.endings import ends_of, how_often_ended, shares, told
from integration.worker.programs import Stage
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from conftest import Eventually

JOBS = 500
MANY_JOBS = 5_000
PATIENCE = 90
"""Seconds: an upper bound for a very busy machine. Each wait ends when its condition is true."""
QUICK = {"interval": 0.2, "maximum": 1}
SOON = {"limit": 8, "initial": 0.1, "maximum": 1, "jitter": 0.2}


def jobs_of(
    stage: Stage, seed: int, seconds: tuple[float, float], count: int = JOBS
) -> list[JobRequest]:
    """Return requests for jobs that run for a random time."""
    generator = random.Random(seed)
    return [
        request(
            "count",
            stage.responses,
            {"number": number, "seconds": generator.uniform(*seconds)},
            heartbeat_interval_ms=5_000,
        )
        for number in range(count)
    ]


def check(stage: Stage, service: CountingService, jobs: list[JobRequest]) -> None:
    """Check that each job has started once and has succeeded once."""
    ends = ends_of(stage, jobs)
    assert Counter(end.state for end in ends) == {JobState.SUCCEEDED: len(jobs)}
    assert how_often_ended(stage, jobs) == [1] * len(jobs)
    assert service.begun == Counter(job.correlation_id for job in jobs)


@pytest.mark.long
def test_500_polled_jobs_survive_two_killed_gateways_and_start_once(
    set_up: SetUp, service: CountingService, eventually: Eventually
) -> None:
    """Once while they are submitted and once while they run. The next gateway goes on polling."""
    stage = set_up(
        {"count": {"service": "counts", "polling": QUICK}},
        services={"counts": {"url": service.url, "retries": SOON, "rate": 400}},
    )
    jobs = jobs_of(stage, 1, (6, 10))
    first = stage.start()
    stage.publish(*jobs)
    eventually(lambda: len(service.begun) > JOBS // 4, "a quarter is submitted", PATIENCE)
    first.kill()
    assert len(service.begun) < JOBS
    second = stage.start()
    eventually(lambda: len(service.begun) == JOBS, "all are submitted", PATIENCE)
    eventually(
        lambda: sum(map(has_external_id, told(stage).values())) == JOBS,
        "that is on record",
        PATIENCE,
    )
    submits = service.submits
    second.kill()
    stage.start()
    check(stage, service, jobs)
    print(  # noqa: T201  figures to look at
        f"{JOBS} jobs: {submits} submits before the second kill, {service.submits - submits} "
        f"after it, {service.polls} polls"
    )
    assert service.submits == submits


def test_500_jobs_that_are_called_back_survive_two_killed_gateways_and_start_once(
    set_up: SetUp, service: CountingService, eventually: Eventually
) -> None:
    """The same without polling: the service repeats callbacks while no gateway runs."""
    port = free_port()
    stage = set_up(
        {"count": {"service": "counts", "mode": "callback"}},
        port=port,
        services={"counts": {"url": service.url, "retries": SOON, "rate": 400}},
    )
    jobs = jobs_of(stage, 4, (4, 9))
    first = stage.start()
    stage.publish(*jobs)
    eventually(lambda: len(service.begun) > JOBS // 4, "a quarter is submitted", PATIENCE)
    first.kill()
    second = stage.start()
    eventually(
        lambda: sum(map(has_external_id, told(stage).values())) == JOBS,
        "all are submitted",
        PATIENCE,
    )
    submits = service.submits
    second.kill()
    stage.start()
    check(stage, service, jobs)
    print(  # noqa: T201  figures to look at
        f"{JOBS} jobs: {submits} submits before the second kill, {service.submits - submits} "
        f"after it; callbacks by status: {dict(service.callbacks)}"
    )
    assert (service.submits, service.polls) == (submits, 0)


def has_external_id(events: list[StatusEvent]) -> bool:
    """Return whether an event of the job contains its external id."""
    return any(event.external_id for event in events)


@pytest.mark.long
def test_5000_jobs_survive_a_second_gateway_joining(
    set_up: SetUp, service: CountingService, eventually: Eventually
) -> None:
    """Half of the jobs in flight go over to it; none is submitted twice, all complete once."""
    stage = set_up({"count": {"url": service.url, "polling": {"interval": 5, "maximum": 10}}})
    jobs = jobs_of(stage, 5, (75, 100), MANY_JOBS)
    stage.start()
    stage.publish(*jobs)
    eventually(lambda: len(service.begun) == MANY_JOBS, "all are submitted", PATIENCE)
    joined = time.monotonic()
    stage.start()
    eventually(lambda: shares(stage) == [2, 2], "each has half of the partitions")
    took = time.monotonic() - joined
    assert min(job.ends_at for job in service.jobs.values()) > time.monotonic(), "all ran"
    check(stage, service, jobs)
    taken_over = sum(events[-1].delivery == 2 for events in told(stage).values())
    print(  # noqa: T201  figures to look at
        f"{MANY_JOBS} jobs, of which {taken_over} were taken over {took:.1f} s after the other "
        f"gateway's start; {service.submits} submits, {service.polls} polls"
    )
    assert service.submits == MANY_JOBS
    assert taken_over > MANY_JOBS // 4


def test_failing_third_of_all_answers_loses_no_job(set_up: SetUp, service: CountingService) -> None:
    """Errors, refusals, garbage and slowness, a third of all answers, cost no job."""
    patient = {"limit": 20, "initial": 0.05, "maximum": 0.5, "jitter": 0.1}
    stage = set_up(
        {"count": {"service": "counts", "polling": QUICK}},
        services={"counts": {"url": service.url, "retries": patient, "timeout": 1}},
    )
    service.fault = failing_answers(seed=7)
    jobs = jobs_of(stage, 2, (0.1, 1), 100)
    stage.start()
    stage.publish(*jobs)
    check(stage, service, jobs)


def test_stopped_gateway_releases_its_jobs_to_the_next_one(
    set_up: SetUp, service: CountingService, eventually: Eventually
) -> None:
    """Soon, however long they take; nothing is cancelled at the service, nor begun again."""
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    stage = set_up({"count": {"url": service.url, "polling": QUICK, "cancel": cancel}}, grace=0.2)
    jobs = jobs_of(stage, 3, (2, 3), 100)
    first = stage.start()
    stage.publish(*jobs)
    eventually(
        lambda: sum(map(has_external_id, told(stage).values())) == len(jobs),
        "all are submitted",
        PATIENCE,
    )
    assert first.stop() == 0
    submits = service.submits
    stage.start()
    check(stage, service, jobs)
    assert (service.submits, service.cancelled) == (submits, [])


def test_cancel_is_forwarded_to_the_service_and_confirmed(
    set_up: SetUp, service: CountingService, eventually: Eventually
) -> None:
    """From the control topic to the request that the file names; CANCELLED says so."""
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    stage = set_up({"count": {"url": service.url, "polling": QUICK, "cancel": cancel}})
    job = request("count", stage.responses, {"number": 1, "seconds": 60})
    stage.start()
    stage.publish(job)
    eventually(lambda: job.correlation_id in service.begun, "it is submitted")
    stage.cancel(job, "enough")
    [end] = ends_of(stage, [job])
    assert (end.state, end.message) == (
        JobState.CANCELLED,
        "enough; the service cancelled it",
    )
    assert service.cancelled == [job.correlation_id]


def test_failure_in_the_services_own_words(set_up: SetUp, service: CountingService) -> None:
    """What it says of a job that failed, or answers to a submit, is what the task gets."""
    stage = set_up({"count": {"url": service.url, "polling": QUICK}})
    stage.start()
    failing = request("count", stage.responses, {"number": 1, "seconds": 0, "fails": True})
    stage.publish(failing)
    refused = request("count", stage.responses, [])
    stage.publish(refused)
    ends = {end.correlation_id: end.error for end in ends_of(stage, [failing, refused])}
    error = ends[failing.correlation_id]
    assert error is not None
    assert (error.type, error.message) == ("bad_input", "No such file")
    error = ends[refused.correlation_id]
    assert error is not None
    assert (error.type, error.retryable) == ("http_422", False)
    assert "422 Unprocessable" in error.message
    assert "Input should be a valid dictionary" in error.message
