"""The partitions that a worker has, and its jobs in flight: what comes back, goes and is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.worker import JobContext, StopReason
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.in_flight import Phase
from kafka_bridge.worker.runtime.publishing import Publishing
from kafka_bridge.worker.runtime.slots import Slots

from ..samples import Collector, accepted_job, queued_job, run_here

P = Phase


def nothing(*_: object) -> None:
    """Do nothing."""


@pytest.fixture
def assignment() -> Assignment:
    """Give an assignment of partition 0 with three slots; what it calls soon is called at once."""
    heartbeats: Any = SimpleNamespace(add=nothing, remove=nothing)

    def call(function: Callable[..., None], *arguments: Any) -> None:
        function(*arguments)

    assignment = Assignment(Observer(), heartbeats, Slots(3), call)
    assignment.assigned([0])
    return assignment


def add(
    assignment: Assignment, function: Callable[..., Any] = lambda _: None, offset: int = 4
) -> Any:
    """Return an accepted job of partition 0, in flight and with a slot."""
    job = accepted_job(function, Collector())
    job.partition = assignment.partitions[0]
    job.received = SimpleNamespace(offset=offset)  # type: ignore[assignment]
    job.partition.offsets.consume(offset)
    assignment.slots.reserve(job, job.handler)
    assignment.add(job)
    return job


def test_lost_partition_that_comes_back_gives_its_job_to_the_request(
    assignment: Assignment,
) -> None:
    """The job ran on, silently; when its request is consumed again, it is the same job."""
    job = add(assignment)
    assignment.lost([0])
    assert (job.phase, job.may_publish()) == (P.READY, False)
    assignment.assigned([0])
    partition = assignment.partitions[0]
    assert job.partition is partition
    assert assignment.orphan(partition, 3) is None
    assert assignment.orphan(partition, 4) is job
    assert assignment.orphan(partition, 4) is None
    assert list(assignment.in_flight.values()) == [job]


def test_orphan_whose_request_does_not_come_again_is_abandoned(assignment: Assignment) -> None:
    """A later request shows it: others have finished the job meanwhile."""
    job = add(assignment)
    assignment.lost([0])
    assignment.assigned([0])
    assert assignment.orphan(assignment.partitions[0], 5) is None
    assert (job.phase, assignment.has(job), assignment.slots.taken) == (P.LOST, False, 0)


def test_lost_partition_that_does_not_come_back_loses_its_jobs(assignment: Assignment) -> None:
    """Their handlers are asked to stop as soon as the group has assigned partitions again."""
    job = add(assignment)
    assignment.lost([0])
    assignment.assigned([1])
    assert (job.phase, job.stop.reason) == (P.LOST, StopReason.LOST)
    assert not assignment.in_flight


@pytest.mark.parametrize("phase", [P.REJECTING, P.DEAD_LETTERING])
def test_job_that_is_not_running_does_not_survive_the_loss_of_its_partition(
    assignment: Assignment, phase: Phase
) -> None:
    """Nothing of it has to be kept: its request is decided again."""
    job = queued_job(partition=assignment.partitions[0])
    job.reporter = Publishing(Collector(), "w-1").reporter(job, 1)
    job.enter(phase)
    assignment.add(job)
    assignment.lost([0])
    assert job.phase is P.LOST
    assignment.finish(job)  # its event was acknowledged all the same
    assert job.phase is P.LOST


def test_released_job_is_released_once_that_is_acknowledged(assignment: Assignment) -> None:
    """Its slot is free; its offset is not finished, so its request is delivered again."""
    job = add(assignment)
    assignment.release([job], "shutting down")
    assert (job.phase, assignment.in_flight, assignment.slots.taken) == (P.RELEASED, {}, 0)
    assert assignment.positions() == {0: (4, "")}


def test_slot_of_a_running_job_is_kept_until_its_handler_returns(assignment: Assignment) -> None:
    """A released job may go on for a while: the worker must not run more than it can."""
    has_begun, may_end = threading.Event(), threading.Event()

    def work(_: JobContext) -> None:
        has_begun.set()
        may_end.wait(30)

    job = add(assignment, work)
    thread = threading.Thread(target=run_here, args=(job,))
    thread.start()
    assert has_begun.wait(30)
    assignment.release([job], "shutting down")
    assert (job.phase, assignment.slots.taken) == (P.RELEASED, 1)
    may_end.set()
    thread.join(30)
    assert job.phase is P.RELEASED


def test_only_jobs_that_did_not_start_are_released_at_first(assignment: Assignment) -> None:
    """Running ones get time to finish."""
    ready, running = add(assignment, offset=4), add(assignment, offset=5)
    running.request = SimpleNamespace(correlation_id="other", job_type="a.job")
    running.enter(P.RUNNING)
    assignment.release_unstarted([ready, running], "shutting down")
    assert (ready.phase, running.phase) == (P.RELEASED, P.RUNNING)


def test_finished_job_may_be_committed(assignment: Assignment) -> None:
    """Its offset is finished and it is no longer in flight."""
    job = add(assignment)
    run_here(job)
    assignment.finish(job)
    assert (job.phase, assignment.in_flight, assignment.positions()) == (P.DONE, {}, {0: (5, "")})


def test_job_that_another_worker_has_finished_is_abandoned_and_committed(
    assignment: Assignment,
) -> None:
    """A queued one is done; one that runs here is asked to stop."""
    job = add(assignment)
    queued = queued_job(offset=5, partition=job.partition)
    job.partition.offsets.consume(5)
    for each in (job, queued):
        assignment.finished_elsewhere(each)
    assert (job.phase, queued.phase, assignment.positions()) == (P.LOST, P.DONE, {0: (6, "")})


def test_revoked_partition_takes_its_jobs_along(assignment: Assignment) -> None:
    """What could not be released in time is another worker's; a request of it is no orphan."""
    job = add(assignment)
    partition = assignment.partitions[0]
    assignment.forget([0])
    assert (job.phase, assignment.in_flight, assignment.partitions) == (P.LOST, {}, {})
    assignment.assigned([0])
    assert assignment.orphan(assignment.partitions[0], 4) is None
    assert assignment.partitions[0] is not partition


def test_each_assignment_of_a_partition_is_a_new_one(assignment: Assignment) -> None:
    """What was decided for the one before does not count for it; other partitions stay."""
    first = assignment.partitions[0]
    assignment.assigned([1])
    assert assignment.partitions[0] is first
    assert assignment.partitions[1].epoch > first.epoch


def test_second_job_of_an_id_does_not_take_the_place_of_the_first_one(
    assignment: Assignment,
) -> None:
    """A request may be published twice: what ends is the job that ends, and not its namesake."""
    job = add(assignment)
    other = queued_job(offset=5, partition=job.partition)
    assert not assignment.has(other)
    assignment.abandon(other)
    assert assignment.has(job)


def test_job_of_a_lost_partition_is_not_released(assignment: Assignment) -> None:
    """Its new owner may have begun it: a RELEASED would contradict that. It is abandoned."""
    job = add(assignment)
    assignment.lost([0])
    assignment.release([job], "shutting down")
    assert (job.phase, job.stop.reason) == (P.LOST, StopReason.LOST)


def test_positions_are_those_of_partitions_of_which_something_was_consumed(
    assignment: Assignment,
) -> None:
    """Nothing is known of the others, and nothing is committed for them."""
    assignment.assigned([1])
    add(assignment)
    assert assignment.positions() == {0: (4, "")}
    assert assignment.positions([1, 7]) == {}
    assert assignment.moved_positions() == {0: (4, "")}
    assert assignment.moved_positions() == {}


def test_partition_goes_on_behind_what_cannot_be_read(assignment: Assignment) -> None:
    """A job before that is still waited for; a partition that has gone meanwhile is ignored."""
    job = add(assignment)
    assignment.jump(0, 9)
    assignment.jump(7, 9)
    assert assignment.positions() == {0: (4, "")}
    run_here(job)
    assignment.finish(job)
    assert assignment.positions() == {0: (9, "")}
