"""The book of jobs: records in any order, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.monitor import book as book_module
from kafka_bridge.monitor.book import JobBook, Limits
from kafka_bridge.monitor.jobs import JobView, ShownState
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress

from ..protocol.strategies import repeatable
from .records import CONTROL, JOB, NOW, REQUESTS, cancel, event, job_id, place, request, seconds

ACCEPTED, RUNNING, RELEASED = JobState.ACCEPTED, JobState.RUNNING, JobState.RELEASED
SUCCEEDED, FAILED, CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED

Step = Callable[[JobBook], None]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = seconds(1000)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


def new_book(**limits: Any) -> JobBook:
    """Return a book whose clock stands 1,000 seconds after NOW."""
    return JobBook(Limits(**limits), Clock())


def after(*steps: Step) -> JobView:
    """Return what is known of the job after these steps."""
    book = new_book()
    for step in steps:
        step(book)
    view = book.job(JOB)
    assert view is not None
    return view


def requested(offset: int = 0, **fields: Any) -> Step:
    """Return the step that takes the request."""
    return lambda book: book.take_request(request(**fields), place(REQUESTS, offset))


def happened(state: JobState, at: float = 1, offset: int = 0, **fields: Any) -> Step:
    """Return the step that takes an event."""
    return lambda book: book.take_event(
        event(state, at, **fields), RecordLocation("jobs.responses", 0, offset)
    )


def cancelled(at: float = 1) -> Step:
    """Return the step that takes a CANCEL."""
    return lambda book: book.take_command(cancel(at=at))


def test_request_alone_is_a_queued_job() -> None:
    """Everything of the request but its payload is known, and since when the job waits."""
    view = after(requested())
    assert view.state is ShownState.QUEUED
    assert (view.job_type, view.topic, view.queued_since) == ("files.audit", REQUESTS, NOW)
    assert view.task is not None
    assert view.task.dag_id == "nightly"
    assert view.request is not None
    assert view.request.location == RecordLocation(REQUESTS, 0, 0)


def test_life_of_a_job() -> None:
    """Times, worker, progress and the place of the last event follow the events."""
    view = after(
        requested(),
        happened(ACCEPTED, 5),
        happened(RUNNING, 6, progress=Progress(10, 100, "files"), external_id="4711"),
        happened(RUNNING, 16, progress=Progress(30, 100, "files"), message="half", offset=7),
    )
    assert view.state is ShownState.RUNNING
    assert (view.accepted_at, view.started_at, view.last_event_at) == (
        seconds(5),
        seconds(5),
        seconds(16),
    )
    assert (view.worker_id, view.external_id, view.message) == ("w-1", "4711", "half")
    assert view.rate == 2
    assert view.seconds_left == 35
    assert view.waited == timedelta(seconds=5)
    assert view.last_event == RecordLocation("jobs.responses", 0, 7)
    assert view.queued_since is None


def test_checkpoint_of_a_job_outlives_a_delivery_until_it_is_cleared() -> None:
    """A long one is cut."""
    told = [requested(), happened(ACCEPTED, 5)]
    told.append(happened(RUNNING, 6, attributes={"checkpoint": '{"page":7}'}))
    told += [happened(JobState.RELEASED, 7), happened(ACCEPTED, 8, delivery=2)]
    assert after(*told).checkpoint == '{"page":7}'
    long = happened(RUNNING, 9, delivery=2, attributes={"checkpoint": f'"{"x" * 900}"'})
    assert "902 bytes in all" in (after(*told, long).checkpoint or "")
    cleared = happened(RUNNING, 9, delivery=2, attributes={"checkpoint": "null"})
    assert after(*told, cleared).checkpoint is None


def test_end_of_a_job() -> None:
    """The error is kept without its details, which may be long; nothing is left to do."""
    error = JobFailure("disk_full", "No space left", "Traceback …", retryable=True)
    view = after(
        requested(),
        happened(ACCEPTED, 2),
        happened(RUNNING, 3, progress=Progress(1, 9)),
        happened(RUNNING, 5, progress=Progress(2, 9)),
        happened(FAILED, 8, error=error),
    )
    assert view.state is ShownState.FAILED
    assert view.error == JobFailure("disk_full", "No space left", None, retryable=True)
    assert (view.ended_at, view.ran) == (seconds(8), timedelta(seconds=6))
    assert view.seconds_left is None


def test_last_message_of_a_job_is_not_that_of_its_end() -> None:
    """What it did before it ended is in its time line."""
    view = after(happened(RUNNING, message="half"), happened(SUCCEEDED, 2))
    assert view.message is None


def test_first_terminal_event_wins() -> None:
    """What a worker that lost the job says afterwards changes nothing, and is counted."""
    book = new_book()
    for step in (happened(ACCEPTED, delivery=2), happened(FAILED, 2), happened(SUCCEEDED, 3)):
        step(book)
    view = book.job(JOB)
    assert view is not None
    assert (view.state, view.ended_at) == (ShownState.FAILED, seconds(2))
    assert book.counts.stale == 1


def test_event_of_an_older_delivery_changes_nothing() -> None:
    """A worker that was frozen reports about a job that another worker has started since."""
    view = after(
        happened(ACCEPTED, 1),
        happened(ACCEPTED, 50, delivery=2, worker_id="w-2"),
        happened(RUNNING, 60, progress=Progress(5, 9)),
    )
    assert (view.worker_id, view.delivery, view.progress) == ("w-2", 2, None)
    assert (view.accepted_at, view.started_at) == (seconds(1), seconds(50))


def test_new_delivery_begins_without_progress() -> None:
    """The rate of a delivery is not mixed with that of the one before."""
    view = after(
        happened(RUNNING, 1, progress=Progress(1, 9)),
        happened(RUNNING, 9, delivery=2, progress=Progress(0, 9)),
        happened(RUNNING, 11, delivery=2, progress=Progress(4, 9)),
    )
    assert view.rate == 2


def test_released_job_is_queued_again() -> None:
    """It waits since its release, and no worker has it."""
    view = after(requested(), happened(ACCEPTED, 1), happened(RELEASED, 30))
    assert (view.state, view.worker_id) == (ShownState.QUEUED, None)
    assert view.queued_since == seconds(30)


def test_replayed_request_counts_once() -> None:
    """Of two requests with the same id the first in its topic is the request."""
    for order in ((requested(3), requested(8)), (requested(8), requested(3))):
        view = after(*order)
        assert view.request is not None
        assert view.request.location.offset == 3


def test_cancel_waits_for_its_job() -> None:
    """Nothing but a CANCEL is no job yet; with the request, the job shows it."""
    book = new_book()
    cancelled(7)(book)
    assert book.job(JOB) is None
    requested()(book)
    view = book.job(JOB)
    assert view is not None
    assert view.cancel is not None
    assert (view.cancel.reason, view.cancel.issued_at) == ("enough", seconds(7))
    assert view.state is ShownState.QUEUED


def test_no_time_is_in_the_future() -> None:
    """A clock that is wrong, or a hostile record, must not keep a job for ever."""
    book = new_book()
    book.take_request(
        request(created_at=datetime.max.replace(tzinfo=NOW.tzinfo, microsecond=0)), place()
    )
    happened(SUCCEEDED, 1_000_000)(book)
    view = book.job(JOB)
    assert view is not None
    assert view.requested_at == view.ended_at == seconds(1000)


states = st.sampled_from(JobState)
lives = st.lists(st.tuples(states, st.integers(1, 3), st.sampled_from(["w-1", "w-2"])), max_size=8)


def _steps(life: Sequence[tuple[JobState, int, str]]) -> list[Step]:
    return [
        happened(
            state, at, at, delivery=delivery, worker_id=worker, progress=Progress(float(at), 99)
        )
        for at, (state, delivery, worker) in enumerate(life, start=1)
    ]


@repeatable
@given(lives, st.data())
def test_topics_in_any_order_give_the_same_job(
    life: list[tuple[JobState, int, str]], data: st.DataObject
) -> None:
    """Events keep the order of their partition. Request, replay and CANCELs may come anywhere."""
    events = _steps(life)
    others = [requested(1), requested(5), cancelled(3), cancelled(2)]
    mixed = list(events)
    for step in data.draw(st.permutations(others)):
        mixed.insert(data.draw(st.integers(0, len(mixed))), step)
    assert after(*mixed) == after(*others, *events)


@repeatable
@given(lives)
def test_state_is_that_of_the_lifecycle(life: list[tuple[JobState, int, str]]) -> None:
    """An ended job keeps its end; a job has a worker exactly while one holds it, and after."""
    view = after(requested(), *_steps(life))
    ends = [state for state, *_ in life if state in (SUCCEEDED, FAILED, CANCELLED)]
    if ends:
        assert view.state == ShownState.of(ends[0])
    assert view.state.is_end == bool(ends) == (view.ended_at is not None)
    if view.state.is_held:
        assert view.worker_id is not None
        assert view.started_at is not None


def _take_many(book: JobBook, count: int, state: JobState) -> None:
    for number in range(count):
        book.take_event(event(state, number, job_id(number)), place())


@pytest.mark.parametrize(("state", "name"), [(SUCCEEDED, "ended"), (RUNNING, "live")])
def test_oldest_jobs_are_dropped_for_new_ones(state: JobState, name: str) -> None:
    """The memory is bounded, and the counters say that something is missing."""
    book = new_book(**{name: 10})
    _take_many(book, 25, state)
    assert {job.correlation_id for job in book.jobs()} == {job_id(n) for n in range(15, 25)}
    assert getattr(book.counts, name) == 10
    assert getattr(book.counts, f"dropped_{name}") == 15


def test_live_jobs_are_not_dropped_for_ended_ones() -> None:
    """However many jobs end, the ones that run stay."""
    book = new_book(ended=5)
    happened(RUNNING)(book)
    _take_many(book, 50, SUCCEEDED)
    assert book.job(JOB) is not None


def test_old_jobs_are_dropped() -> None:
    """Ended ones after a day, others after a week without news."""
    clock = Clock()
    book = JobBook(Limits(ended_age=timedelta(days=1), live_age=timedelta(days=7)), clock)
    happened(RUNNING)(book)
    book.take_event(event(SUCCEEDED, job=job_id(1)), place())
    for days, left in ((2, {JOB}), (8, set())):
        clock.now = NOW + timedelta(days=days)
        book.take_request(request(job_id(100 + days), created_at=clock.now), place())
        assert {job.correlation_id for job in book.jobs()} & {JOB, job_id(1)} == left


def test_dropped_job_that_has_ended_does_not_come_back() -> None:
    """Neither its request, read late, nor a late event makes it a job that waits or runs."""
    book = new_book(ended=1)
    _take_many(book, 3, SUCCEEDED)
    book.take_request(request(job_id(0)), place(REQUESTS))
    book.take_event(event(RUNNING, job=job_id(1)), place())
    book.take_command(cancel(job_id(0)))
    assert [job.correlation_id for job in book.jobs()] == [job_id(2)]
    assert book.counts.stale == 1


def test_early_cancels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """CANCELs of jobs that never come take no memory for ever; the oldest are forgotten."""
    monkeypatch.setattr(book_module, "MOST_EARLY", 2)
    book = new_book()
    for number in range(3):
        book.take_command(cancel(job_id(number)))
    for number in range(3):
        book.take_request(request(job_id(number)), place(CONTROL))
    assert {job.correlation_id for job in book.jobs() if job.cancel} == {job_id(1), job_id(2)}


def test_changes_since_a_version() -> None:
    """A page that knows a version gets what has changed since, and what is gone."""
    book = new_book(ended=1)
    _take_many(book, 2, RUNNING)
    before = book.changes(0)
    assert len(before.jobs) == 2
    assert before.is_complete
    assert book.changes(before.version).jobs == []
    book.take_event(event(SUCCEEDED, job=job_id(0)), place())
    book.take_event(event(SUCCEEDED, job=job_id(1)), place())
    changes = book.changes(before.version)
    assert [job.correlation_id for job in changes.jobs] == [job_id(1)]
    assert [each.correlation_id for each in changes.removed] == [job_id(0)]
    assert changes.is_complete
    assert changes.version == book.version > before.version


def test_changes_since_long_ago_are_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """If too much was dropped since, the page has to begin anew."""
    monkeypatch.setattr(book_module, "MOST_REMOVALS", 3)
    book = new_book(ended=2)
    _take_many(book, 1, RUNNING)
    version = book.version
    _take_many(book, 9, SUCCEEDED)
    changes = book.changes(version)
    assert not changes.is_complete
    assert len(changes.jobs) == 2


def test_somebody_can_wait_for_a_change() -> None:
    """The wait ends when a record changes something, and after the timeout."""
    book = new_book()
    assert not book.wait(book.version, 0.01)
    waiter = threading.Thread(target=book.wait, args=(book.version, 60))
    waiter.start()
    happened(RUNNING)(book)
    waiter.join(30)
    assert not waiter.is_alive()


def test_workers_are_remembered_by_their_last_event() -> None:
    """A late event of a worker is a sign of life, too."""
    book = new_book()
    for step in (
        happened(SUCCEEDED, 5),
        happened(RUNNING, 9, worker_id="w-2"),
        happened(RUNNING, 3),
    ):
        step(book)
    assert book.worker_times() == {"w-1": seconds(5), "w-2": seconds(9)}
