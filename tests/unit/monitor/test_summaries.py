"""Services and workers, as the jobs show them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.jobs import Durations, WorkerState
from kafka_bridge.monitor.summaries import WINDOW, durations, services, workers
from kafka_bridge.protocol.messages import JobState

from .records import REQUESTS, event, job_id, place, request, seconds

NOW_SECONDS = 2000.0


@pytest.fixture
def book() -> JobBook:
    """Give an empty book."""
    return JobBook(now=lambda: seconds(NOW_SECONDS))


def add(
    book: JobBook,
    number: int,
    *states: tuple[JobState, float],
    topic: str = REQUESTS,
    created: float = 0,
    worker: str = "w-1",
    heartbeat_ms: int = 10_000,
) -> None:
    """Add a job with events at these seconds."""
    job = job_id(number)
    book.take_request(
        request(job, created_at=seconds(created), heartbeat_interval_ms=heartbeat_ms), place(topic)
    )
    for state, at in states:
        book.take_event(event(state, at, job, worker_id=worker), place())


def test_service_counts_what_waits_and_what_runs(book: JobBook) -> None:
    """Released jobs wait again; the oldest is the one that waits longest now."""
    add(book, 1, created=50)
    add(book, 2, (JobState.ACCEPTED, 10), (JobState.RELEASED, 90), created=5)
    add(book, 3, (JobState.RUNNING, 10))
    add(book, 4, topic="others")
    mine, others = services(book.jobs(), seconds(NOW_SECONDS))
    assert (mine.topic, mine.queued, mine.held) == (REQUESTS, 2, 1)
    assert mine.oldest_queued_since == seconds(50)
    assert (others.topic, others.queued) == ("others", 1)


def test_rates_are_of_the_last_minutes(book: JobBook) -> None:
    """Jobs that ended earlier do not count, neither for rates nor for durations."""
    recent = NOW_SECONDS - 60
    add(book, 1, (JobState.ACCEPTED, 10), (JobState.SUCCEEDED, 20))
    add(book, 2, (JobState.ACCEPTED, recent), (JobState.SUCCEEDED, recent + 4), created=recent - 6)
    add(book, 3, (JobState.ACCEPTED, recent), (JobState.FAILED, recent + 8), created=recent - 2)
    (service,) = services(book.jobs(), seconds(NOW_SECONDS))
    minutes = WINDOW / timedelta(minutes=1)
    assert service.ended_per_minute == 2 / minutes
    assert service.failed_per_minute == 1 / minutes
    assert service.waiting == Durations(p50=2, p95=6)
    assert service.running == Durations(p50=4, p95=8)


def test_named_topic_is_a_service_without_jobs(book: JobBook) -> None:
    """An empty queue is an answer."""
    (service,) = services(book.jobs(), seconds(0), ["quiet"])
    assert (service.topic, service.queued, service.waiting) == ("quiet", 0, None)


@pytest.mark.parametrize(
    ("seconds_", "expected"),
    [([], None), ([3], (3, 3)), ([1, 2, 3, 4], (2, 4)), (list(range(1, 101)), (50, 95))],
)
def test_percentiles(seconds_: list[float], expected: tuple[float, float] | None) -> None:
    """Nearest rank: always a duration that a job had."""
    found = durations(seconds_)
    assert (found and (found.p50, found.p95)) == expected


@pytest.mark.parametrize(
    ("silence", "heartbeat_ms", "state"),
    [
        (29, 1_000, WorkerState.ALIVE),
        (31, 1_000, WorkerState.SILENT),
        (50, 20_000, WorkerState.ALIVE),
        (61, 20_000, WorkerState.SILENT),
        (900, 0, WorkerState.ALIVE),
    ],
)
def test_worker_with_jobs_is_silent_after_three_intervals(
    book: JobBook, silence: float, heartbeat_ms: int, state: WorkerState
) -> None:
    """At least after 30 s; never if its jobs want no heartbeats."""
    add(book, 1, (JobState.RUNNING, NOW_SECONDS - silence), heartbeat_ms=heartbeat_ms)
    (worker,) = workers(book.live_jobs(), book.worker_times(), seconds(NOW_SECONDS))
    assert (worker.worker_id, worker.state, worker.held) == ("w-1", state, 1)
    assert worker.topics == (REQUESTS,)


def test_worker_without_jobs_is_idle(book: JobBook) -> None:
    """It publishes nothing then, which means nothing."""
    add(book, 1, (JobState.RUNNING, 1), (JobState.SUCCEEDED, 2))
    (worker,) = workers(book.live_jobs(), book.worker_times(), seconds(NOW_SECONDS))
    assert (worker.state, worker.held) == (WorkerState.IDLE, 0)
