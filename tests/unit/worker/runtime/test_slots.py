"""How many jobs a worker takes, and how many ahead."""

from __future__ import annotations

from collections import Counter

import pytest

from kafka_bridge.testing.fakes import FakeClock
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime import slots
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.slots import MOST_AHEAD, WINDOW_SECONDS, Slots

from ..samples import queued_job


def handler(job_type: str = "a.job", concurrency: int | None = None) -> Handler:
    """Return a handler that does nothing."""
    return Handler.of(job_type, lambda _: None, concurrency=concurrency)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Give a clock that stands still until it is moved."""
    clock = FakeClock()
    monkeypatch.setattr(slots, "time", clock)
    return clock


def take(taken: Slots, count: int, of: Handler | None = None) -> list[InFlightJob]:
    """Count in so many jobs, and return them."""
    jobs = [queued_job() for _ in range(count)]
    for job in jobs:
        taken.reserve(job, of or handler())
    return jobs


def test_no_more_jobs_are_accepted_than_the_concurrency() -> None:
    """Two of two are taken; one that ends makes room."""
    two = Slots(2)
    first, _ = take(two, 2)
    assert not two.any_free()
    assert not two.free_for(handler())
    two.free(first)
    assert two.free_for(handler())
    assert two.taken == 1


def test_type_with_a_limit_has_no_more_slots_than_that() -> None:
    """Others have what it leaves; a type that would have more than the worker has no more."""
    three = Slots(3)
    narrow, wide = handler("narrow", 1), handler("wide", 9)
    (one,) = take(three, 1, narrow)
    assert not three.free_for(narrow)
    assert three.free_for(handler())
    take(three, 2, wide)
    assert not three.free_for(wide)
    three.free(one)
    assert three.free_for(narrow)


def test_slots_that_are_kept_for_jobs_are_not_free() -> None:
    """Nor is the one slot of their type; a later promise replaces the one before."""
    three = Slots(3)
    narrow = handler("narrow", 1)
    three.promise(Counter({"narrow": 1}))
    assert not three.free_for(narrow)
    take(three, 1)
    assert three.free_for(handler())
    take(three, 1)
    assert not three.any_free()
    three.promise(Counter())
    assert three.free_for(narrow)


def test_slow_jobs_are_not_accepted_ahead(clock: FakeClock) -> None:
    """That all slots were filled a moment ago does not make jobs quick."""
    four = Slots(4)
    four.look(0)
    take(four, 4)
    for _ in range(3):
        clock.now += WINDOW_SECONDS
        four.look(4)
        assert not four.any_free()


def test_quick_jobs_are_accepted_ahead_while_they_are_quick(clock: FakeClock) -> None:
    """As many as the last tenth of a second started beyond the slots; then none again."""
    four = Slots(4)
    four.look(0)
    clock.now += WINDOW_SECONDS
    four.look(104)
    runs = take(four, 103)
    assert four.any_free()
    take(four, 1)
    assert not four.any_free()
    clock.now += WINDOW_SECONDS
    four.look(104)
    for run in runs[:100]:
        four.free(run)
    assert not four.any_free()


def test_more_are_accepted_only_after_some_have_started(clock: FakeClock) -> None:
    """A quarter of those ahead at once: one by one would cost more."""
    one = Slots(1)
    one.look(0)
    clock.now += WINDOW_SECONDS
    one.look(101)
    runs = take(one, 101)
    assert not one.any_free()
    for run in runs[:24]:
        one.free(run)
        assert not one.any_free()
    for run in runs[24:26]:
        one.free(run)
    assert one.any_free()
    take(one, 25)
    assert one.any_free()


def test_jobs_accepted_ahead_are_limited(clock: FakeClock) -> None:
    """However quick the jobs are."""
    one = Slots(1)
    one.look(0)
    clock.now += WINDOW_SECONDS
    one.look(1_000_000)
    take(one, MOST_AHEAD)
    assert one.any_free()
    take(one, 1)
    assert not one.any_free()


def test_quick_jobs_ahead_do_not_starve_a_type_with_a_limit(clock: FakeClock) -> None:
    """It is taken beside them, as they start within a moment; but no more of it than can run."""
    two, narrow, other = Slots(2), handler("narrow", 1), handler("other", 5)
    two.look(0)
    clock.now += WINDOW_SECONDS
    two.look(102)
    take(two, 50)
    assert two.free_for(narrow)
    (first,) = take(two, 1, narrow)
    assert not two.free_for(narrow)
    take(two, 1, other)
    assert not two.free_for(other)  # two of them run, and there are two places
    two.free(first)
    assert two.free_for(other)
