"""When a reader goes back for jobs that come late, and where to."""

from __future__ import annotations

from array import array

from kafka_bridge.kafka.responses import catch_up
from kafka_bridge.kafka.responses.catch_up import CatchUp
from kafka_bridge.kafka.responses.subscriptions import Subscription
from kafka_bridge.testing.fakes import FakeClock
from unit.clocks import clock_of


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


clock = clock_of(catch_up)


def test_reader_goes_back_only_when_it_is_worth_it(clock: FakeClock) -> None:
    """Not before it has read as much as that costs; with time, it may cost more."""
    late, cost = CatchUp(), 300_000 + catch_up.GOING_BACK_RECORDS
    late.pop_all()
    late.add([job(100_000)], range(1))
    assert not late.are_worth_it({0: 400_000}, read=cost - 1)
    assert late.are_worth_it({0: 400_000}, read=cost)
    clock.advance(1.0)
    less = cost - catch_up.REREAD_SHARE
    assert not late.are_worth_it({0: 400_000}, read=less - 1)
    assert late.are_worth_it({0: 400_000}, read=less)


def test_nobody_waits_long_for_the_reader_to_go_back(clock: FakeClock) -> None:
    """However much has to be read again, the first of the late jobs waits two seconds."""
    late = CatchUp()
    late.pop_all()
    late.add([job(0)], range(1))
    clock.advance(catch_up.PATIENCE_SECONDS - 0.1)
    late.add([job(60)], range(1))
    assert not late.are_worth_it({0: 10_000_000}, read=0)
    clock.advance(0.2)
    assert late.are_worth_it({0: 10_000_000}, read=0)


def test_late_job_of_a_quiet_reader_waits_a_moment_only(clock: FakeClock) -> None:
    """There is little to read again, and the reader has nothing else to do."""
    late = CatchUp()
    late.pop_all()
    clock.advance(0.2)
    late.add([job(50)], range(1))
    assert late.are_worth_it({0: 100}, read=0)


def test_job_that_left_is_not_served() -> None:
    """Jobs that were discarded are not among those to go back for, and none is taken twice."""
    late, stays, goes = CatchUp(), job(1), job(2)
    late.add([stays, goes], range(1))
    late.discard(goes)
    assert late.pop_all() == [stays]
    assert (len(late), late.pop_all()) == (0, [])
