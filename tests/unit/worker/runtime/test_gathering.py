"""When a batch begins, and with which jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kafka_bridge.testing.fakes import FakeClock
from kafka_bridge.worker import StopReason
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.gathering import Gathering
from kafka_bridge.worker.runtime.in_flight import InFlightJob

from ..samples import queued_job

LINGER = 2.0


class Scene:
    """Jobs of a type with batches of three, on a clock that a test moves."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.woken: list[float] = []
        self.gathering = Gathering(self.woken.append, self.clock.monotonic)
        self.handler = Handler.of("a.job", _nothing, batch=3, linger=LINGER, **options)

    def add(self, count: int = 1, may_publish: Callable[[], bool] = lambda: True) -> Any:
        """Add so many jobs; return them, or the one."""
        jobs = [queued_job(may_publish=may_publish) for _ in range(count)]
        for job in jobs:
            job.handler = self.handler
            self.gathering.add(job)
        return jobs if count > 1 else jobs[0]

    def next(self) -> list[InFlightJob]:
        """Return the next batch."""
        return self.gathering.next()


def _nothing(jobs: list[Any]) -> list[Any]:
    return []


@pytest.fixture
def scene() -> Scene:
    """Give an empty scene."""
    return Scene()


def test_full_batch_begins_at_once(scene: Scene) -> None:
    """It waits for nobody; the one too many has to wait."""
    four = scene.add(4)
    assert scene.next() == four[:3]
    scene.gathering.ended(four[0])
    assert scene.next() == []


def test_batch_that_is_not_full_begins_after_the_linger(scene: Scene) -> None:
    """It is measured from the first of its jobs, and somebody comes to look then."""
    first = scene.add()
    scene.clock.now += LINGER / 2
    second = scene.add()
    assert scene.next() == []
    assert scene.woken == [LINGER]
    scene.clock.now += LINGER / 2
    assert scene.next() == [first, second]


def test_linger_of_those_left_over_goes_on(scene: Scene) -> None:
    """It began when they came, and somebody comes to look when it is over."""
    scene.add(3)
    scene.clock.now += LINGER / 2
    last = scene.add()
    batch = scene.next()
    assert len(batch) == 3
    assert scene.woken == [LINGER, LINGER]
    scene.gathering.ended(batch[0])
    scene.clock.now += LINGER
    assert scene.next() == [last]


def test_no_more_batches_run_than_the_concurrency() -> None:
    """A graphics card has memory for one, unless the handler says otherwise."""
    one, two = Scene(), Scene(concurrency=2)
    one.add(6)
    two.add(7)
    first = one.next()
    assert one.next() == []
    one.gathering.ended(first[0])
    assert len(one.next()) == 3
    assert [len(two.next()) for _ in range(3)] == [3, 3, 0]


def test_job_that_may_have_killed_workers_has_a_batch_of_its_own(scene: Scene) -> None:
    """If it kills this one, too, the others are not blamed; it does not linger, either."""
    others = scene.add(2)
    suspect = scene.add()
    suspect.is_suspect = True
    assert scene.next() == [suspect]
    scene.gathering.ended(suspect)
    scene.clock.now += LINGER
    assert scene.next() == others


def test_job_that_is_cancelled_before_its_batch_is_taken_out(scene: Scene) -> None:
    """The others do not wait for it, and it does not wait for them."""
    first, cancelled, last = scene.add(3)
    cancelled.stop.set(StopReason.CANCELLED, "no longer wanted")
    assert scene.gathering.stopped() == [cancelled]
    assert scene.next() == []
    scene.gathering.ended(cancelled)
    scene.clock.now += LINGER
    assert scene.next() == [first, last]


def test_job_that_may_not_start_now_delays_no_other(scene: Scene) -> None:
    """Its partition may come back; the others begin without it."""
    scene.add(may_publish=lambda: False)
    certain = scene.add()
    scene.clock.now += LINGER
    assert scene.next() == [certain]
    scene.gathering.ended(certain)
    assert scene.next() == []


def test_batch_that_found_no_thread_is_next_again(scene: Scene) -> None:
    """In its order, and before those that came later."""
    three = scene.add(3)
    later = scene.add()
    scene.gathering.put_back(scene.next())
    assert scene.next() == three
    scene.gathering.ended(three[0])
    scene.clock.now += LINGER
    assert scene.next() == [later]
