"""When a reader goes back for jobs that come late, and where to."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import pytest

from kafka_bridge.kafka.responses import catch_up
from kafka_bridge.kafka.responses.catch_up import CatchUp
from kafka_bridge.kafka.responses.subscriptions import Subscription


def job(*positions: int) -> Subscription:
    """Return a waiting job."""
    return Subscription(b"a", array("q", positions), lambda _: None)


def test_reading_starts_at_the_lowest_requested_offset() -> None:
    """In each partition at the lowest offset of all jobs; at 0 where a job knows none."""
    late = CatchUp()
    late.add([job(5, 9), job(7, 2), job(6)], range(2))
    assert late.starts({}) == {0: 5, 1: 0}
    late = CatchUp()
    late.add([job(5, 9), job(7, 2)], range(2))
    assert late.starts({}) == {0: 5, 1: 2}


def test_served_jobs_never_skip_forward() -> None:
    """Where the reader is behind what the late jobs ask for, it stays: others wait for that."""
    late = CatchUp()
    late.add([job(5, 9)], range(2))
    assert late.starts({0: 8, 1: 3, 2: 4}) == {0: 5, 1: 3, 2: 0}


def test_reader_goes_back_only_when_it_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before as much was read as would be read again, or the first has waited long enough."""
    now = 100.0
    monkeypatch.setattr(catch_up, "time", SimpleNamespace(monotonic=lambda: now))
    late = CatchUp()
    late.add([job(50)], range(1))
    assert not late.are_worth_it({0: 100}, read=49)
    assert late.are_worth_it({0: 100}, read=50)
    now += catch_up.PATIENCE_SECONDS - 0.1
    late.add([job(60)], range(1))
    assert not late.are_worth_it({0: 100}, read=0)
    now += 0.2
    assert late.are_worth_it({0: 100}, read=0)


def test_job_that_left_is_not_served() -> None:
    """Jobs that were discarded are not among those to go back for, and none is taken twice."""
    late, stays, goes = CatchUp(), job(1), job(2)
    late.add([stays, goes], range(1))
    late.discard(goes)
    assert late.pop_all() == [stays]
    assert (len(late), late.pop_all()) == (0, [])
