"""Heartbeats of jobs that another worker had begun, until they have a slot here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kafka_bridge.protocol.checkpoint import CHECKPOINT
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing.fakes import FakeClock
from kafka_bridge.worker.runtime import reporter as reporter_module
from kafka_bridge.worker.runtime.handover import HandoverHeartbeats
from kafka_bridge.worker.runtime.heartbeats import Ticking
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.ledger_snapshot import Unfinished
from kafka_bridge.worker.runtime.partition import Partition
from kafka_bridge.worker.runtime.publishing import Publishing
from kafka_bridge.worker.runtime.reporter import HEARTBEAT_SHARE
from unit.clocks import clock_of

from ..samples import Collector, queued_job, request

INTERVAL = 10.0
BROKEN_OFF = Unfinished(2, sequence=7, external_id="x-1", checkpoint="[7]")


class Stage:
    """Handover heartbeats of a worker; ``ticking`` is what its heartbeat thread looks at."""

    def __init__(self) -> None:
        self.ticking: list[Ticking] = []
        self.collector = Collector()
        self.is_certain = True
        heartbeats: Any = self
        self.handover = HandoverHeartbeats(heartbeats, "w-1")

    def add(self, ticking: Ticking) -> None:
        """Begin to look at something."""
        self.ticking.append(ticking)

    def remove(self, ticking: Ticking) -> None:
        """Look at it no more."""
        self.ticking.remove(ticking)

    def job(self, partition: int = 0, interval: float = INTERVAL) -> InFlightJob:
        """Return a job that waits for a slot."""
        asked = request(heartbeat_interval_ms=int(interval * 1000))
        return queued_job(
            replace(asked, correlation_id=new_correlation_id()),
            partition=Partition(partition, 1),
            may_publish=lambda: self.is_certain,
        )

    def begin(self, job: InFlightJob) -> None:
        """Publish heartbeats of a job whose second delivery broke off after its event 7."""
        publishing = Publishing(self.collector, "w-1")
        reporter = publishing.handover_reporter(job, BROKEN_OFF)
        self.handover.add(job, reporter)

    def tick(self) -> None:
        """Have the heartbeat thread look at everything once."""
        for each in list(self.ticking):
            each.tick()

    @property
    def told(self) -> list[tuple[JobState, int, int, str | None]]:
        """State, delivery, sequence and external id of what was published."""
        return [
            (each.state, each.delivery, each.sequence, each.external_id)
            for each in self.collector.events
        ]


@pytest.fixture
def stage() -> Stage:
    """Give the handover heartbeats of a worker."""
    return Stage()


clock = clock_of(reporter_module)


def test_task_gets_an_event_at_once_and_then_in_each_interval(
    stage: Stage, clock: FakeClock
) -> None:
    """As the delivery that broke off, in its sequence: the job has not begun again."""
    stage.begin(stage.job())
    assert stage.told == [(JobState.RUNNING, 2, 8, "x-1")]
    assert stage.collector.events[0].message == (
        "Waits for a free slot on worker w-1: its last worker is gone"
    )
    clock.advance(INTERVAL * HEARTBEAT_SHARE - 0.1)
    stage.tick()
    assert len(stage.told) == 1
    clock.advance(0.2)
    stage.tick()
    assert stage.told[1:] == [(JobState.RUNNING, 2, 9, "x-1")]
    assert [each.attributes for each in stage.collector.events] == [{CHECKPOINT: "[7]"}] * 2


def test_job_whose_sender_wants_no_heartbeats_gets_none(stage: Stage) -> None:
    """Not even the first one."""
    stage.begin(stage.job(interval=0))
    assert (stage.told, stage.ticking, len(stage.handover)) == ([], [], 0)


def test_first_event_waits_until_membership_is_certain(stage: Stage, clock: FakeClock) -> None:
    """Another worker may have the job meanwhile, and say other things of it."""
    stage.is_certain = False
    stage.begin(stage.job())
    clock.advance(INTERVAL)
    stage.tick()
    assert stage.told == []
    stage.is_certain = True
    stage.tick()
    stage.tick()
    assert stage.told == [(JobState.RUNNING, 2, 8, "x-1")]


def test_request_that_was_published_twice_gets_one_series_of_heartbeats(stage: Stage) -> None:
    """Two would use the same sequence numbers."""
    job = stage.job()
    stage.begin(job)
    stage.begin(queued_job(job.request, offset=1))
    assert (len(stage.handover), len(stage.ticking), len(stage.told)) == (1, 1, 1)


def test_job_that_is_accepted_or_ended_gets_no_more_of_them(stage: Stage, clock: FakeClock) -> None:
    """Not even one that its heartbeat thread is just about to publish."""
    job, other = stage.job(), stage.job()
    stage.begin(job)
    stage.begin(other)
    about_to_publish = stage.ticking[0]
    stage.handover.remove(job)
    stage.handover.remove(job)
    clock.advance(INTERVAL)
    about_to_publish.tick()
    stage.tick()
    assert (len(stage.handover), len(stage.ticking)) == (1, 1)
    assert [each.correlation_id for each in stage.collector.events] == [
        *(job.correlation_id, other.correlation_id),
        other.correlation_id,
    ]


def test_jobs_of_partitions_that_have_gone_get_no_more_of_them(
    stage: Stage, clock: FakeClock
) -> None:
    """Their new owners publish them."""
    jobs = [stage.job(partition) for partition in (0, 1, 0)]
    for job in jobs:
        stage.begin(job)
    stage.handover.drop(lambda job: job.partition.number == 0)
    clock.advance(INTERVAL)
    stage.tick()
    assert len(stage.handover) == 1
    assert [each.correlation_id for each in stage.collector.events[3:]] == [jobs[1].correlation_id]
