"""Where handlers run, and what becomes of jobs that wait for their turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.worker import StopReason
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.executor import Executor, event_loop
from kafka_bridge.worker.runtime.job_run import JobRun
from kafka_bridge.worker.runtime.reporter import JobReporter

from ..samples import Collector

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
        self.ended: list[JobRun] = []
        self.executor = Executor(1, loop, self.ended.append)
        self.first = self.submit(lambda _: self.gate.wait(WAIT_SECONDS))

    def accept(
        self,
        function: Callable[..., Any],
        may_publish: Callable[[], bool] = lambda: True,
        **fields: Any,
    ) -> JobRun:
        """Accept a job."""
        request = JobRequest(
            correlation_id=new_correlation_id(),
            job_type="a.job",
            response_topic="answers",
            created_at=utc_now(),
            **fields,
        )
        reporter = JobReporter(self.collector, request, Encoding.AVRO, "w-1", may_publish)
        reporter.accepted(lambda _: None)
        return JobRun(
            request, Handler.of("a.job", function), reporter, Observer(), settled=lambda _: None
        )

    def submit(self, function: Callable[..., Any], **fields: Any) -> JobRun:
        """Accept a job and submit it."""
        run = self.accept(function, **fields)
        self.executor.submit(run)
        self.executor.start_waiting()
        return run

    def end_of(self, run: JobRun) -> StatusEvent:
        """Return how a job ended."""
        return self._events_of(run)[-1]

    def has_ended(self, run: JobRun, state: JobState) -> bool:
        """Tell whether a job has ended so. It may not have published anything yet."""
        return state in {event.state for event in self._events_of(run)}

    def _events_of(self, run: JobRun) -> list[StatusEvent]:
        job = run.request.correlation_id
        return [event for event in self.collector.events if event.correlation_id == job]


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
def test_waiting_job_that_is_to_stop_ends_without_its_turn(
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


def test_job_that_was_told_to_stop_before_it_was_submitted_ends_at_once(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel may come between the acceptance and its acknowledgement."""
    submitted: list[JobRun] = []
    monkeypatch.setattr(hall.executor, "submit", submitted.append)
    waiting = hall.submit(lambda _: pytest.fail("it was begun"))
    waiting.ask_to_stop(StopReason.CANCELLED, "no longer wanted")
    assert hall.end_of(waiting).state is S.ACCEPTED
    monkeypatch.undo()
    hall.executor.submit(*submitted)
    hall.executor.start_waiting()
    assert hall.end_of(waiting).state is S.CANCELLED


@pytest.mark.parametrize("function", [lambda _: pytest.fail("it was begun"), never])
def test_waiting_job_whose_time_ran_out_is_not_started(
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


def test_who_gives_way_goes_on_once_all_have_begun(hall: Hall) -> None:
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


def test_released_job_that_waits_says_no_more(hall: Hall) -> None:
    """RELEASED is its last word, and its place in the queue is free."""
    waiting = hall.submit(lambda _: pytest.fail("it was begun"))
    assert waiting.release("shutting down", lambda _: None)
    hall.executor.start_waiting()
    assert hall.end_of(waiting).state is S.RELEASED
    assert hall.ended == [waiting]


def turn_in_doubt(hall: Hall, function: Callable[..., Any]) -> tuple[JobRun, threading.Event]:
    """Return a job whose turn came as its worker was frozen, and what says that it may speak."""
    may_publish = threading.Event()
    run = hall.accept(function, may_publish.is_set)
    if run.handler.is_async:
        asyncio.run_coroutine_threadsafe(run.run_async(), hall.loop)
    else:
        threading.Thread(target=run.run, daemon=True).start()
    return run, may_publish


@pytest.mark.parametrize("is_async", [False, True])
def test_job_whose_turn_came_as_the_worker_froze_waits_for_the_group(
    hall: Hall, is_async: bool, eventually: Eventually
) -> None:
    """Between its turn and its beginning the process may be frozen: it asks once more."""
    begun = threading.Event()

    async def begin(_: object) -> None:
        begun.set()

    run, may_publish = turn_in_doubt(hall, begin if is_async else lambda _: begun.set())
    assert not begun.wait(0.15)
    assert run.began is None
    may_publish.set()
    assert begun.wait(WAIT_SECONDS)
    eventually(lambda: hall.has_ended(run, S.SUCCEEDED), "it ends")


@pytest.mark.parametrize("function", [lambda _: pytest.fail("it was begun"), never])
def test_job_that_waits_for_the_group_and_is_to_stop_is_never_begun(
    hall: Hall, function: Callable[..., Any], eventually: Eventually
) -> None:
    """Cancelled meanwhile, it ends at once; the end goes out when the worker may speak."""
    run, may_publish = turn_in_doubt(hall, function)
    run.ask_to_stop(StopReason.CANCELLED, "no longer wanted")
    eventually(lambda: run.reporter.has_ended, "it ends")
    may_publish.set()
    run.tick()
    assert hall.end_of(run).state is S.CANCELLED
