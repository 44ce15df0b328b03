"""How many jobs a worker takes, and how many ahead."""

from __future__ import annotations

from collections import Counter

from kafka_bridge.testing.fakes import FakeClock
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime import slots
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.slots import MOST_AHEAD, WINDOW_SECONDS, Slots
from unit.clocks import clock_of

from ..samples import queued_job


def handler(job_type: str = "a.job", concurrency: int | None = None) -> Handler:
    """Return a handler that does nothing."""
    return Handler.of(job_type, lambda _: None, concurrency=concurrency)


clock = clock_of(slots)


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


def batch_handler(concurrency: int = 1) -> Handler:
    """Return a handler of batches of three."""
    return Handler.of("a.job", lambda _: [], batch=3, concurrency=concurrency)


def test_jobs_of_a_batch_share_one_slot() -> None:
    """It is free when the last of them has ended."""
    two, batch = Slots(2), batch_handler()
    jobs = take(two, 2, batch)
    assert (two.taken, two.any_free(), two.has_seat(batch)) == (1, True, True)
    jobs += take(two, 1, batch)
    assert not two.has_seat(batch)
    assert not two.free_for(batch)
    for job in jobs[:2]:
        two.free(job)
    assert (two.taken, two.has_seat(batch)) == (1, True)
    two.free(jobs[2])
    assert (two.taken, two.has_seat(batch), two.free_for(batch)) == (0, False, True)


def test_no_job_joins_a_batch_that_has_begun() -> None:
    """It would be accepted and wait for as long as the batch runs."""
    one, batch = Slots(1), batch_handler()
    (first,) = take(one, 1, batch)
    assert one.free_for(batch)
    first.has_begun = True
    assert not one.free_for(batch)


def test_more_batches_have_more_slots() -> None:
    """Up to the type's concurrency, within the worker's."""
    two, batch = Slots(2), batch_handler(concurrency=5)
    jobs = take(two, 6, batch)
    assert (two.taken, two.free_for(batch)) == (2, False)
    for job in jobs[3:]:
        two.free(job)
    assert (two.taken, two.free_for(batch)) == (1, True)


def test_number_of_slots_for_jobs_is_that_of_their_batches() -> None:
    """A slot is kept for a batch, not for each of its jobs."""
    assert [batch_handler().slots_for(each) for each in (1, 3, 4)] == [1, 1, 2]
    assert handler().slots_for(4) == 4


def test_job_that_leaves_its_batch_leaves_the_slot_to_the_others() -> None:
    """However often it is freed: after a cancel, its end and its call both do so."""
    one, batch = Slots(1), batch_handler()
    first, second = take(one, 2, batch)
    one.free(first)
    one.free(first)
    assert (one.taken, one.any_free()) == (1, False)
    one.free(second)
    assert (one.taken, one.any_free()) == (0, True)
