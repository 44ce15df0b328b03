"""One job, from its request to the terminal event, without Kafka."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from structlog.contextvars import bind_contextvars, get_contextvars

from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import (
    BrokerUnreachable,
    DeliveryFailed,
    InvalidMessage,
    RecordTooLarge,
    TopicNotFound,
)
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState, StatusEvent
from kafka_bridge.worker import JobContext, reporter
from kafka_bridge.worker.execution import Executor, event_loop
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.job_run import JobRun
from kafka_bridge.worker.observation import Observer
from kafka_bridge.worker.reporter import JobReporter

from .samples import JOB, Collector, request, run_job

S = JobState


def handler(function: Callable[..., Any]) -> Handler:
    """Return the handler of ``a.job`` that a function is."""
    return Handler.of("a.job", function)


INVALID = "kafka_bridge.protocol.errors.InvalidMessage"


def states(events: list[StatusEvent]) -> list[JobState]:
    """Return the events' states."""
    return [event.state for event in events]


def fail_first(
    times: int, error: Exception
) -> tuple[Callable[[StatusEvent], Exception | None], list[float]]:
    """Return what refuses the first sends, and when each send came."""
    at: list[float] = []

    def refuse(_: StatusEvent) -> Exception | None:
        at.append(time.monotonic())
        return error if len(at) <= times else None

    return refuse, at


def test_job_is_accepted_and_ended() -> None:
    """Accepted first, one terminal event last, numbered from 0, all by the one worker."""
    accepted, ended = run_job(handler(lambda _: {"rows": 3}))
    assert states([accepted, ended]) == [S.ACCEPTED, S.SUCCEEDED]
    assert [accepted.sequence, ended.sequence] == [0, 1]
    assert (ended.result, ended.result_type) == (b'{"rows":3}', "application/json")
    assert {(e.correlation_id, e.worker_id, e.delivery) for e in (accepted, ended)} == {
        (JOB, "w-1", 1)
    }


@pytest.mark.parametrize(
    ("function", "kind", "retryable", "words"),
    [
        (None, "unknown_job_type", False, "no handler for job type 'a.job'"),
        (lambda _: object(), "result_not_serialisable", False, "result cannot be written as JSON"),
        (lambda _: {"a": [math.nan]}, "result_not_serialisable", False, "result['a'][0]"),
        (lambda _: {"a": "\ud800"}, "result_not_serialisable", False, "result['a']"),
        (lambda _: 1 / 0, "ZeroDivisionError", True, "division by zero"),
        (lambda _: sys.exit(1), "SystemExit", True, "1"),
        (lambda job: job.set_external_id(7), INVALID, True, "external_id must be text, not 7"),
        (lambda job: job.set_external_id("\ud800"), INVALID, True, "external_id must be text"),
        (lambda job: job.progress(1, message=7), INVALID, True, "message must be text, not 7"),
    ],
)
def test_job_that_cannot_succeed_fails_in_words(
    function: Callable[..., Any] | None,
    kind: str,
    retryable: bool,
    words: str,
) -> None:
    """Whatever a handler does, its job ends with an event that says what was wrong."""
    event = run_job(None if function is None else handler(function))[-1]
    assert event.state is S.FAILED
    assert event.error is not None
    assert (event.error.type, event.error.retryable) == (kind, retryable)
    assert words in event.error.message


def test_result_that_no_record_can_hold_fails_the_job() -> None:
    """A result too large for Kafka is reported as that, with the broker's limit, not retried."""
    collector = Collector(
        lambda event: RecordTooLarge("a record of 9 bytes") if event.result else None
    )
    event = run_job(handler(lambda _: "x" * 9), collector=collector)[-1]
    assert event.error is not None
    assert (event.error.type, event.error.message, event.error.retryable) == (
        "result_too_large",
        "a record of 9 bytes",
        False,
    )


@pytest.mark.parametrize("error", [BrokerUnreachable("silence"), DeliveryFailed("refused")])
def test_event_is_sent_again_until_it_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A broker that is away delays a job's events and loses none, with a pause between tries."""
    monkeypatch.setattr(reporter, "RETRY_SECONDS", 0.05)
    refuse, at = fail_first(3, error)
    events = run_job(handler(lambda _: None), collector=Collector(refuse))
    assert states(events) == [S.ACCEPTED, S.SUCCEEDED]
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(at[:4]))


def test_response_topic_that_cannot_be_written_stops_the_job_before_it_starts() -> None:
    """Nobody would hear of the job, so the handler is not called."""
    called: list[object] = []
    collector = Collector(lambda _: TopicNotFound("no topic 'answers'"))
    with pytest.raises(TopicNotFound):
        run_job(handler(called.append), collector=collector)
    assert called == []


def test_progress_is_sparing_and_the_latest_wins() -> None:
    """Many calls become few events: the newest figure is sent, and none after the end."""

    def work(job: JobContext) -> None:
        until = time.monotonic() + 1.3
        done = 0
        while time.monotonic() < until:
            done += 1
            job.progress(done, total=10**9, unit="rows", message=f"row {done}")
            time.sleep(0.001)

    events = run_job(handler(work))
    figures = [event.progress.completed for event in events if event.progress is not None]
    assert states(events) == [S.ACCEPTED, *[S.RUNNING] * len(figures), S.SUCCEEDED]
    assert 1 <= len(figures) <= 3
    assert figures == sorted(set(figures))
    assert all(e.message == f"row {e.progress.completed:.0f}" for e in events if e.progress)
    assert [event.sequence for event in events] == list(range(len(events)))


def test_coroutine_that_exits_ends_its_job_and_no_other() -> None:
    """sys.exit() in a task of the handler's own stops the event loop: it is started again."""

    async def leave() -> None:
        sys.exit(3)

    async def work(_: JobContext) -> None:
        await asyncio.gather(leave())

    event = run_job(handler(work), timeout=10)[-1]
    assert event.error is not None
    assert (event.state, event.error.type) == (S.FAILED, "SystemExit")


@pytest.mark.parametrize("figure", [math.nan, math.inf, "3"])
def test_senseless_progress_is_refused_at_once(figure: Any) -> None:
    """A number that is not finite is the handler's mistake, and it is told so."""
    told: list[str] = []

    def work(job: JobContext) -> None:
        with pytest.raises(InvalidMessage) as caught:
            job.progress(figure)
        told.append(str(caught.value))

    assert run_job(handler(work))[-1].state is S.SUCCEEDED
    assert "Progress.completed must be a finite int or float" in told[0]


@pytest.mark.parametrize(("interval_ms", "least", "most"), [(200, 4, 8), (0, 0, 0)])
def test_heartbeats_keep_the_interval_that_the_request_asks_for(
    interval_ms: int, least: int, most: int
) -> None:
    """A handler that blocks its thread is heard of in each interval; 0 asks for none."""
    blocked = threading.Event()
    job = request(heartbeat_interval_ms=interval_ms)
    events = run_job(handler(lambda _: blocked.wait(1.05)), job)
    beats = [event for event in events if event.state is S.RUNNING]
    assert least <= len(beats) <= most
    assert all(beat.progress is None for beat in beats)


COLOUR: ContextVar[str] = ContextVar("colour", default="none")


def test_context_variables_of_one_job_are_not_seen_by_the_next() -> None:
    """Nor what it binds with structlog: each job has a fresh context, on the same thread or not.

    A coroutine is begun by the thread that did a job before, so its context could be that one's.
    """
    seen: list[tuple[str, str, bool]] = []

    def work(job: JobContext) -> None:
        seen.append((job.correlation_id, COLOUR.get(), "tenant" in get_contextvars()))
        COLOUR.set("red")
        bind_contextvars(tenant="acme")

    async def work_async(job: JobContext) -> None:
        work(job)
        await asyncio.to_thread(work, job)

    runs = [make(work), make(work), make(work_async), make(work_async), make(work)]
    with event_loop() as loop:
        ended = threading.Semaphore(0)
        executor = Executor(1, loop, lambda _: ended.release())
        for run in runs:
            executor.submit(run)
        executor.start_waiting()
        for _ in runs:
            assert ended.acquire(timeout=10)
    by_job = {job: (colour, bound) for job, colour, bound in reversed(seen)}  # the first look
    assert list(by_job.values()) == [("none", False)] * len(runs)
    assert [colour for _, colour, _ in seen].count("red") == 2, "within a job they are kept"


def make(function: Callable[..., Any]) -> JobRun:
    """Return an accepted job that a function does."""
    job = replace(request(), correlation_id=new_correlation_id())
    reporter = JobReporter(Collector(), job, Encoding.AVRO, "w-1", lambda: True)
    reporter.accepted(lambda _: None)
    return JobRun(job, handler(function), reporter, Observer(), settled=lambda _: None)


async def stopped_in_groups(job: JobContext) -> None:
    """Have two tasks that hear of the stop, in a group within a group."""

    async def child() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            job.check_cancelled()

    async with asyncio.TaskGroup() as outer:
        outer.create_task(child())
        async with asyncio.TaskGroup() as inner:
            inner.create_task(child())
            inner.create_task(child())


def test_stop_that_comes_in_a_group_is_a_stop() -> None:
    """Children of task groups that raise JobStopped confirm the cancel, in the group's depth."""
    ended = run_job(handler(stopped_in_groups), cancel_after=0.1)[-1]
    assert (ended.state, ended.message) == (S.CANCELLED, "the test cancelled it")


def test_error_beside_a_stop_in_a_group_is_an_error() -> None:
    """One child stopped and one failed: the job did not end as it was told to."""

    async def work(job: JobContext) -> None:
        async def fail() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                raise OSError("lock is lost")

        async with asyncio.TaskGroup() as group:
            group.create_task(stopped_in_groups(job))
            group.create_task(fail())

    ended = run_job(handler(work), cancel_after=0.1)[-1]
    assert ended.error is not None
    assert (ended.state, ended.error.type) == (S.FAILED, "OSError")
    assert ended.attributes == {"stop_requested": "cancelled"}


def test_context_says_what_the_job_is() -> None:
    """A handler sees its job's id, type and attempt, and the whole request."""
    seen: list[JobContext] = []
    job = request(b"{}", attempt=3)
    run_job(handler(seen.append), job)
    (context,) = seen
    assert (context.correlation_id, context.job_type, context.attempt) == (JOB, "a.job", 3)
    assert context.request is job
