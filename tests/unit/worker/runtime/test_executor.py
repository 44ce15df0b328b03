"""Where handlers run, and what becomes of jobs that wait for their turn."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.worker import JobContext, StopReason
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.event_loop import event_loop
from kafka_bridge.worker.runtime.executor import Executor
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.job_run import run_async
from kafka_bridge.worker.runtime.surroundings import Surroundings

from ..samples import Collector, accepted_job, run_here

if TYPE_CHECKING:
    from conftest import Eventually

S = JobState
WAIT_SECONDS = 30.0


class Hall:
    """An executor with one place, and a job that has it until the gate opens."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.gate = threading.Event()
        self.collector = Collector()
        self.ended: list[InFlightJob] = []
        self.executor = Executor(1, Surroundings(loop), self.ended.append)
        self.first = self.submit(lambda _: self.gate.wait(WAIT_SECONDS))

    def accept(
        self,
        function: Callable[..., Any],
        may_publish: Callable[[], bool] = lambda: True,
        **fields: Any,
    ) -> InFlightJob:
        """Accept a job."""
        request = JobRequest(
            correlation_id=new_correlation_id(),
            job_type="a.job",
            response_topic="answers",
            created_at=utc_now(),
            **fields,
        )
        return accepted_job(function, self.collector, request, may_publish=may_publish)

    def submit(self, function: Callable[..., Any], **fields: Any) -> InFlightJob:
        """Accept a job and submit it."""
        job = self.accept(function, **fields)
        self.executor.submit(job)
        self.executor.start_waiting()
        return job

    def end_of(self, job: InFlightJob) -> StatusEvent:
        """Return how a job ended."""
        return self._events_of(job)[-1]

    def has_ended(self, job: InFlightJob, state: JobState) -> bool:
        """Tell whether a job has ended so. It may not have published anything yet."""
        return state in {event.state for event in self._events_of(job)}

    def _events_of(self, job: InFlightJob) -> list[StatusEvent]:
        return [
            event for event in self.collector.events if event.correlation_id == job.correlation_id
        ]


@pytest.fixture
def hall() -> Iterator[Hall]:
    """Give an executor whose one place is taken."""
    with event_loop() as loop:
        hall = Hall(loop)
        yield hall
        hall.gate.set()


async def never(_: object) -> None:
    """Be a coroutine that must not be begun."""
    pytest.fail("it was begun")


@pytest.mark.parametrize("function", [lambda _: pytest.fail("it was begun"), never])
def test_waiting_job_that_has_to_stop_ends_without_a_slot(
    hall: Hall, function: Callable[..., Any], eventually: Eventually
) -> None:
    """Its cancel is confirmed while another job has the place, and its handler is never called."""
    waiting = hall.submit(function)
    waiting.ask_to_stop(StopReason.CANCELLED, "no longer wanted")
    hall.executor.start_waiting()
    ended = hall.end_of(waiting)
    assert (ended.state, ended.message) == (S.CANCELLED, "no longer wanted")
    assert (hall.ended, hall.executor.running) == ([waiting], 1)
    hall.gate.set()
    eventually(lambda: hall.ended == [waiting, hall.first], "the other one ends, too")
    assert hall.end_of(hall.first).state is S.SUCCEEDED
    assert hall.executor.running == 0


def test_job_that_was_stopped_before_it_was_submitted_ends_at_once(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel may come between the acceptance and its acknowledgement."""
    submitted: list[InFlightJob] = []
    monkeypatch.setattr(hall.executor, "submit", submitted.append)
    waiting = hall.submit(lambda _: pytest.fail("it was begun"))
    waiting.ask_to_stop(StopReason.CANCELLED, "no longer wanted")
    assert hall.end_of(waiting).state is S.ACCEPTED
    monkeypatch.undo()
    hall.executor.submit(*submitted)
    hall.executor.start_waiting()
    assert hall.end_of(waiting).state is S.CANCELLED


@pytest.mark.parametrize("function", [lambda _: pytest.fail("it was begun"), never])
def test_waiting_job_that_expires_is_not_started(
    hall: Hall, function: Callable[..., Any], eventually: Eventually
) -> None:
    """It was accepted in time and its turn came too late: after ``expires_at`` nothing starts."""
    expires_at = utc_now() + timedelta(seconds=0.1)
    waiting = hall.submit(function, expires_at=expires_at)
    eventually(lambda: utc_now() > expires_at, "it has expired")
    hall.gate.set()
    eventually(lambda: waiting in hall.ended, "its turn comes")
    ended = hall.end_of(waiting)
    assert ended.state is S.FAILED
    assert ended.error is not None
    assert ended.error.type == "expired"


def test_give_way_returns_when_all_jobs_have_begun(hall: Hall) -> None:
    """And not before; a job that has begun and takes long keeps nobody."""
    begun, last = threading.Event(), threading.Event()
    hall.submit(lambda _: begun.set())
    hall.submit(lambda _: last.wait(WAIT_SECONDS))
    hall.executor.give_way(0.05)
    assert not begun.is_set(), "the place is taken, and the time is over"
    threading.Timer(0.1, hall.gate.set).start()
    hall.executor.give_way(WAIT_SECONDS)
    assert begun.is_set()
    assert hall.executor.running == 1, "the last one has begun, and goes on"
    last.set()


def test_waiting_job_that_is_released_publishes_nothing_more(hall: Hall) -> None:
    """RELEASED is its last word, and its place in the queue is free."""
    waiting = hall.submit(lambda _: pytest.fail("it was begun"))
    assert waiting.release("shutting down", lambda _: None)
    hall.executor.start_waiting()
    assert hall.end_of(waiting).state is S.RELEASED
    assert hall.ended == [waiting]


def turn_in_doubt(hall: Hall, function: Callable[..., Any]) -> tuple[InFlightJob, threading.Event]:
    """Return a job whose turn came in doubt, and the event that lets it publish."""
    may_publish = threading.Event()
    # ACCEPTED was published before.
    may_publish.set()
    job = hall.accept(function, may_publish.is_set)
    may_publish.clear()
    if job.handler.is_async:
        asyncio.run_coroutine_threadsafe(run_async(job, Surroundings(hall.loop)), hall.loop)
    else:
        threading.Thread(target=run_here, args=(job,), daemon=True).start()
    return job, may_publish


@pytest.mark.parametrize("is_async", [False, True])
def test_job_does_not_begin_while_membership_is_in_doubt(
    hall: Hall, is_async: bool, eventually: Eventually
) -> None:
    """Between its turn and its beginning the process may be frozen: it asks once more."""
    begun = threading.Event()

    async def begin(_: object) -> None:
        begun.set()

    job, may_publish = turn_in_doubt(hall, begin if is_async else lambda _: begun.set())
    assert not begun.wait(0.15)
    assert not job.has_begun
    may_publish.set()
    assert begun.wait(WAIT_SECONDS)
    eventually(lambda: hall.has_ended(job, S.SUCCEEDED), "it ends")


@pytest.mark.parametrize("function", [lambda _: pytest.fail("it was begun"), never])
def test_job_that_is_stopped_while_membership_is_in_doubt_never_begins(
    hall: Hall, function: Callable[..., Any], eventually: Eventually
) -> None:
    """Cancelled meanwhile, it ends at once; its end waits until the worker may publish."""
    job, may_publish = turn_in_doubt(hall, function)
    job.ask_to_stop(StopReason.CANCELLED, "no longer wanted")
    eventually(lambda: job.reporter.has_ended, "it ends")
    may_publish.set()
    job.tick()
    assert hall.end_of(job).state is S.CANCELLED


def test_job_without_a_thread_waits_until_the_system_has_one(
    hall: Hall,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The limit of threads costs no job and no place; the log says what to do."""
    executor, ended = Executor(2, Surroundings(hall.loop)), list[InFlightJob]()
    executor.ended = ended.append
    jobs = [hall.accept(lambda _: None) for _ in range(3)]
    for job in jobs:
        executor.submit(job)

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        executor.start_waiting()
    assert (executor.running, executor.started) == (0, 0)
    assert f"Starting a thread for job {jobs[0]} failed: can't start new thread" in caplog.text
    executor.start_waiting()
    eventually(lambda: len(ended) == len(jobs), "all have ended")
    assert [hall.end_of(job).state for job in jobs] == [S.SUCCEEDED] * 3


def test_thread_that_waits_keeps_no_job_alive(hall: Hall, eventually: Eventually) -> None:
    """Neither its last job, with the payload, nor the one that it was started with."""
    ids = [hall.first.correlation_id, hall.submit(lambda _: None).correlation_id]
    hall.gate.set()
    eventually(lambda: len(hall.ended) == 2, "both jobs have ended")
    del hall.first
    hall.ended.clear()

    def is_free() -> bool:
        left = [each for each in gc.get_objects() if isinstance(each, InFlightJob)]
        return not [each for each in left if each.correlation_id in ids]

    gc.disable()
    try:
        eventually(is_free, "both jobs are freed")
    finally:
        gc.enable()


def test_batch_begins_after_its_linger_and_takes_one_place(
    hall: Hall, eventually: Eventually
) -> None:
    """Nobody looks meanwhile: the executor wakes up by itself. Its jobs all count as running."""
    gate, executor = threading.Event(), Executor(1, Surroundings(hall.loop))
    running: list[int] = []

    def wait(jobs: list[JobContext]) -> list[None]:
        running.append(executor.running)
        gate.wait(WAIT_SECONDS)
        return [None] * len(jobs)

    handler = Handler.of("a.job", wait, batch=3, linger=0.02)
    jobs = [hall.accept(lambda _: None) for _ in range(2)]
    for job in jobs:
        job.handler = handler
        executor.submit(job)
    eventually(lambda: running == [2], "the batch runs")
    executor.submit(hall.accept(lambda _: None))
    executor.start_waiting()
    assert (executor.running, executor.started) == (2, 1)
    cancelled = hall.accept(lambda _: None)
    cancelled.handler = handler
    executor.submit(cancelled)
    cancelled.ask_to_stop(StopReason.CANCELLED, "no longer wanted")
    executor.start_waiting()
    assert hall.end_of(cancelled).state is S.CANCELLED
    gate.set()
    eventually(lambda: all(hall.has_ended(job, S.SUCCEEDED) for job in jobs), "all have ended")
