"""Which skipped requests are read again, and when that begins, pauses and ends."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_bridge.kafka.records import Received
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime import backlog as backlog_module
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.backlog import Backlog
from kafka_bridge.worker.runtime.partition import Partition
from kafka_bridge.worker.runtime.skipped_requests import SkippedRequests
from kafka_bridge.worker.runtime.slots import Slots

from ..samples import queued_job, request

LANE, OTHER = "narrow", "slow"
LIMIT = 4


class Rereader:
    """Reads nothing but what a test lets ``arrive``."""

    def __init__(self) -> None:
        self.end: int | None = None
        self.did: list[tuple[Any, ...]] = []
        self.arriving: list[Any] = []

    def start(self, partition: int, offset: int) -> None:
        """Note the place."""
        self.did.append(("start", partition, offset))

    def poll(self) -> list[Received]:
        """Return what has arrived."""
        arrived, self.arriving = self.arriving, []
        return arrived

    def stop(self) -> None:
        """Note it."""
        self.did.append(("stop",))

    def arrive(self, *offsets: int, partition: int = 0) -> None:
        """Let the records at these offsets arrive."""
        self.arriving += [SimpleNamespace(partition=partition, offset=each) for each in offsets]


class Stage:
    """A worker with partitions 0 and 1, and a lane with room for four requests."""

    def __init__(self) -> None:
        self.rereader = Rereader()
        soon: Any = SimpleNamespace()
        self.assignment = Assignment(Observer(), soon, Slots(1), soon)
        self.assignment.assigned([0, 1])
        self.backlog = Backlog(
            {name: Handler.of(name, lambda _: None, concurrency=1) for name in (LANE, OTHER)}
        )
        self.skipped = SkippedRequests(self.rereader, self.assignment, self.backlog)
        self.taken: list[tuple[int, int]] = []

    def skip(self, *offsets: int, partition: int = 0, lane: str = LANE) -> None:
        """Have requests skipped."""
        for offset in offsets:
            self.offsets(partition).consume(offset)
            self.offsets(partition).skip(offset, lane)

    def offsets(self, partition: int) -> Any:
        """Return the offsets of a partition."""
        return self.assignment.partitions[partition].offsets

    def fill(self, lane: str = LANE, count: int = LIMIT) -> None:
        """Queue requests in a lane."""
        for _ in range(count):
            self.backlog.add(queued_job(replace(request(), job_type=lane)))

    def read(self, *, into: str | None = None) -> None:
        """Read again, and queue what comes in a lane."""

        def take(partition: Partition, received: Received) -> None:
            self.taken.append((partition.number, received.offset))
            if into is not None:
                self.fill(into, 1)

        self.skipped.read_again(take)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Give a worker that has skipped nothing yet."""
    monkeypatch.setattr(backlog_module, "LANE_RECORDS", LIMIT)
    return Stage()


def test_nothing_is_read_again_where_nothing_was_skipped(stage: Stage) -> None:
    """No consumer is even started."""
    stage.read()
    assert (stage.rereader.did, stage.skipped.is_reading) == ([], False)


@pytest.mark.parametrize(("queued", "begins"), [(LIMIT // 2, False), (LIMIT // 2 - 1, True)])
def test_reading_begins_when_half_of_the_lane_is_empty(
    stage: Stage, queued: int, begins: bool
) -> None:
    """At the first request that was skipped."""
    stage.skip(5, 6)
    stage.fill(count=queued)
    stage.read()
    assert stage.rereader.did == ([("start", 0, 5)] if begins else [])
    assert stage.skipped.is_reading is begins


def test_only_the_skipped_requests_of_the_lane_are_taken(stage: Stage) -> None:
    """Others lie between them: they were taken, or another lane skipped them."""
    stage.skip(5, 8)
    stage.skip(6, lane=OTHER)
    stage.fill(OTHER)
    stage.read()
    stage.rereader.arrive(5, 6, 7, 8)
    stage.read()
    assert stage.taken == [(0, 5), (0, 8)]
    assert stage.offsets(0).first_skipped(OTHER) == 6


def test_reading_ends_with_the_last_skipped_request(stage: Stage) -> None:
    """The consumer stops: it would fetch on for nobody."""
    stage.skip(5)
    stage.read()
    stage.rereader.arrive(5, 6)
    stage.read()
    assert (stage.taken, stage.skipped.is_reading) == ([(0, 5)], False)
    assert stage.rereader.did == [("start", 0, 5), ("stop",)]


def test_reading_pauses_while_the_lane_is_full_and_goes_on_where_it_was(stage: Stage) -> None:
    """Without another start: each request is read twice, and not once for each free place."""
    stage.skip(*range(5, 15))
    stage.read()
    stage.rereader.arrive(5, 6, 7, 8)
    stage.read(into=LANE)
    assert not stage.skipped.is_reading
    stage.rereader.arrive(9)
    stage.read(into=LANE)
    assert len(stage.taken) == LIMIT, "the lane is full"
    stage.backlog.clear_lanes()
    stage.read(into=LANE)
    assert stage.taken[-1] == (0, 9)
    assert stage.rereader.did == [("start", 0, 5)]


def test_late_record_of_another_partition_is_ignored(stage: Stage) -> None:
    """It was fetched before the consumer went elsewhere, and may have a number that fits."""
    stage.skip(5)
    stage.read()
    stage.rereader.arrive(5, partition=1)
    stage.read()
    assert (stage.taken, stage.offsets(0).first_skipped(LANE)) == ([], 5)


@pytest.mark.parametrize("comes_back", [False, True])
def test_partition_that_goes_is_not_read_further(stage: Stage, comes_back: bool) -> None:
    """Also where it comes back: then it is consumed anew from the position that is committed."""
    stage.skip(5, 6)
    stage.read()
    stage.assignment.lost([0])
    if comes_back:
        stage.assignment.assigned([0])
    stage.rereader.arrive(5)
    stage.read()
    assert (stage.taken, stage.skipped.is_reading) == ([], False)
    assert stage.rereader.did[-1] == ("stop",)


def test_skipped_requests_that_were_deleted_are_forgotten_at_the_partitions_end(
    stage: Stage,
) -> None:
    """What has not come by then never will: commits must not wait for it."""
    stage.skip(5, 6)
    stage.read()
    stage.rereader.end = 6
    stage.read()
    assert stage.offsets(0).first_skipped(LANE) == 6
    stage.rereader.end = 7
    stage.read()
    assert (stage.offsets(0).position, stage.skipped.is_reading) == (7, False)


def test_lanes_take_turns(stage: Stage) -> None:
    """A lane that is never read to its end does not keep the others waiting."""
    stage.skip(*range(5, 25))
    stage.skip(30, 31, lane=OTHER)
    stage.skip(7, partition=1)
    for _ in range(4):
        stage.read()  # begins
        stage.fill()
        stage.fill(OTHER)
        stage.read()  # pauses
        stage.backlog.clear_lanes()
    assert stage.rereader.did == [
        ("start", 0, 5),
        ("start", 0, 30),
        ("start", 1, 7),
        ("start", 0, 5),
    ]
