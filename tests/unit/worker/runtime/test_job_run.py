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
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import bind_contextvars, get_contextvars

from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import CONTENT_TYPES, Encoding
from kafka_bridge.protocol.errors import (
    RecordTooLarge,
    TopicNotFound,
)
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState, Progress, StatusEvent
from kafka_bridge.protocol.sanitize import LINE_BYTES, UNIT_BYTES
from kafka_bridge.worker import ApplicationError, JobContext
from kafka_bridge.worker.cancellation import StopSignal
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.runtime.event_loop import event_loop
from kafka_bridge.worker.runtime.executor import Executor
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.reporter import JobReporter
from kafka_bridge.worker.runtime.surroundings import Surroundings

from ..samples import JOB, Collector, accepted_job, request, run_job

S = JobState


def handler(function: Callable[..., Any]) -> Handler:
    """Return the handler of ``a.job`` that a function is."""
    return Handler.of("a.job", function)


INVALID = "kafka_bridge.protocol.errors.InvalidMessage"


def states(events: list[StatusEvent]) -> list[JobState]:
    """Return the events' states."""
    return [event.state for event in events]


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
    ],
)
def test_job_that_cannot_succeed_fails_with_a_reason(
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


def test_response_topic_that_cannot_be_written_stops_the_job_before_it_starts() -> None:
    """Nobody would hear of the job, so the handler is not called."""
    called: list[object] = []
    collector = Collector(lambda _: TopicNotFound("no topic 'answers'"))
    with pytest.raises(TopicNotFound):
        run_job(handler(called.append), collector=collector)
    assert called == []


def test_coroutine_that_exits_ends_its_job_and_no_other() -> None:
    """sys.exit() in a task of the handler's own stops the event loop: it is started again."""

    async def leave() -> None:
        sys.exit(3)

    async def work(_: JobContext) -> None:
        await asyncio.gather(leave())

    event = run_job(handler(work), timeout=30)[-1]
    assert event.error is not None
    assert (event.state, event.error.type) == (S.FAILED, "SystemExit")


class Figure:
    """A number of a foreign library, as numpy has them: of no class that Python knows."""

    def __float__(self) -> float:
        return 1.5


class Index:
    """The same, a whole number."""

    def __index__(self) -> int:
        return 7


class Array:
    """What looks like a number and is none: an array of two."""

    def __float__(self) -> float:
        raise TypeError("only length-1 arrays can be converted")

    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("figure", "sent"),
    [
        (Decimal("1.5"), 1.5),
        (Fraction(3, 2), 1.5),
        (Figure(), 1.5),
        (Index(), 7),
        (True, 1),
        (2**53 + 1, 2**53 + 1),
    ],
)
def test_progress_takes_any_number(figure: Any, sent: float) -> None:
    """Done and total, whatever class they are of, in both encodings."""
    for encoding in Encoding.AVRO, Encoding.JSON:
        collector = Collector()
        reporter = JobReporter(collector, request(), encoding, "w-1", lambda: True)
        reporter.accepted(lambda _: None)
        JobContext(reporter.request, reporter, StopSignal()).progress(figure, total=figure)
        reporter.finished(S.SUCCEEDED, lambda *_: None)
        assert collector.events[1].progress == Progress(float(sent), float(sent))


@pytest.mark.parametrize(
    "figure", [math.nan, -math.inf, Decimal("NaN"), Decimal("sNaN"), 10**400, "3", None, Array()]
)
def test_progress_that_is_not_a_number_is_dropped_and_logged_once(
    figure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The job goes on and its messages are sent; the worker's log says it once for a job."""

    def work(job: JobContext) -> str:
        for _ in range(3):
            job.progress(figure, total=5, message="half")
        job.progress(1, total=figure if figure is not None else math.nan)
        return "done"

    *_, told, ended = run_job(handler(work))
    assert (ended.state, ended.result) == (S.SUCCEEDED, b'"done"')
    assert (told.progress, told.message) == (Progress(1.0), "half")
    lines = [line for line in caplog.messages if "is not a finite number" in line]
    assert len(lines) == 2, lines
    assert JOB in lines[0]


def test_messages_and_units_of_any_type_are_published_as_text() -> None:
    """A message or unit that is not text is written as text; lone surrogates are shown escaped."""

    def work(job: JobContext) -> None:
        job.progress(1, unit=7, message=Path("/data/\udcff"))  # type: ignore[arg-type]

    told = run_job(handler(work))[-2]
    assert (told.progress, told.message) == (Progress(1.0, unit="7"), "/data/\\udcff")


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_long_texts_are_cut_and_state_their_length(
    encoding: Encoding, caplog: pytest.LogCaptureFixture
) -> None:
    """Message, external id, unit and the words of a stop: each states its cut, and the end comes.

    An external id that was cut finds nothing, so the worker's log says that.
    """
    collector, huge = Collector(), "x" * 2_000_000
    job = request()
    reporter = JobReporter(collector, job, encoding, "w-1", lambda: True)
    reporter.accepted(lambda _: None)
    context = JobContext(job, reporter, StopSignal())
    context.set_external_id(huge)
    context.progress(1, unit=huge, message=huge)
    reporter.finished(S.CANCELLED, lambda *_: None, message=huge)
    *_, told, ended = collector.events
    for text in told.message, ended.message, ended.external_id:
        assert text is not None
        assert text.endswith("(cut, 2,000,000 bytes in all)")
        assert len(text.encode()) == LINE_BYTES
    assert told.progress is not None
    assert len((told.progress.unit or "").encode()) == UNIT_BYTES
    assert context.external_id == ended.external_id
    for cut in "the external id", "a message":
        assert any(f"{cut} has 2,000,000 bytes and was cut" in line for line in caplog.messages)


@pytest.mark.parametrize("limit", [100_000, 10_000, 1_000])
@pytest.mark.parametrize("length", [10, 2_000_000])
def test_terminal_event_arrives_however_small_the_topic_limit(limit: int, length: int) -> None:
    """An end that no record can hold is said in fewer words, until one is taken."""

    def refuse(event: StatusEvent) -> Exception | None:
        size = len(encode(event))
        return None if size <= limit else RecordTooLarge(f"a record of {size:,} bytes")

    def fail(_: JobContext) -> None:
        raise ApplicationError("m" * length, type="t" * length, details="d" * length)

    for function, kind in (
        (fail, "t" * min(length, 250)),
        (lambda _: "r" * length, "result_too_large"),
    ):
        ended = run_job(handler(function), collector=Collector(refuse))[-1]
        if ended.state is S.FAILED:
            assert ended.error is not None
            assert ended.error.type[:200] == kind[:200]
        else:
            assert length == 10


def test_smaller_terminal_event_still_states_that_a_stop_was_requested() -> None:
    """The result did not fit; that the job went on after a cancel is said all the same."""
    collector = Collector(lambda event: RecordTooLarge("large") if event.result else None)

    def work(job: JobContext) -> str:
        while not job.stop_requested:
            time.sleep(0.01)
        return "done all the same"

    ended = run_job(handler(work), collector=collector, cancel_after=0.05)[-1]
    assert ended.error is not None
    assert ended.error.type == "result_too_large"
    assert ended.attributes == {"stop_requested": "cancelled"}


def test_blocked_handler_has_heartbeats() -> None:
    """They come from another thread than the handler's."""
    collector = Collector()

    def work(_: JobContext) -> None:
        until = time.monotonic() + 30
        while len(collector.events) < 3 and time.monotonic() < until:
            time.sleep(0.01)

    events = run_job(handler(work), request(heartbeat_interval_ms=100), collector)
    assert states(events)[:3] == [S.ACCEPTED, S.RUNNING, S.RUNNING]
    assert events[-1].state is S.SUCCEEDED


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
        executor = Executor(1, Surroundings(loop), lambda _: ended.release())
        for run in runs:
            executor.submit(run)
        executor.start_waiting()
        for _ in runs:
            assert ended.acquire(timeout=30)
    by_job = {job: (colour, bound) for job, colour, bound in reversed(seen)}  # the first look
    assert list(by_job.values()) == [("none", False)] * len(runs)
    assert [colour for _, colour, _ in seen].count("red") == 2, "within a job they are kept"


def make(function: Callable[..., Any]) -> InFlightJob:
    """Return an accepted job that a function does."""
    job = replace(request(), correlation_id=new_correlation_id())
    return accepted_job(function, Collector(), job)


async def stopped_in_groups(job: JobContext) -> None:
    """Have two tasks that hear of the stop, in a group within a group."""

    async def child() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            job.raise_if_stopped()

    async with asyncio.TaskGroup() as outer:
        outer.create_task(child())
        async with asyncio.TaskGroup() as inner:
            inner.create_task(child())
            inner.create_task(child())


def test_stop_raised_in_a_task_group_confirms_the_cancel() -> None:
    """Children of task groups that raise JobStopped confirm the cancel, in the group's depth."""
    ended = run_job(handler(stopped_in_groups), cancel_after=0.1)[-1]
    assert (ended.state, ended.message) == (S.CANCELLED, "the test cancelled it")


def test_error_beside_a_stop_in_a_task_group_fails_the_job() -> None:
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


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_handler_sees_the_requests_headers_and_cannot_change_them() -> None:
    """As text, the last of equal names; bytes that are no text can still be seen."""
    seen: list[Any] = []
    headers = [("a", b"first"), ("a", b"last"), ("odd", b"\xff"), ("none", None)]
    run_job(handler(lambda job: seen.append(job.headers)), headers=headers)
    assert seen == [{"a": "last", "odd": r"\xff"}]
    with pytest.raises(TypeError):
        seen[0]["a"] = "mine"


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
@pytest.mark.parametrize(
    ("headers", "passed_on"),
    [
        ([("traceparent", TRACE.encode())], {"traceparent": TRACE}),
        (
            [("traceparent", b"old"), ("traceparent", TRACE.encode()), ("tracestate", b"a=1,b=2")],
            {"traceparent": TRACE, "tracestate": "a=1,b=2"},
        ),
        ([("tracestate", b"a=1"), ("ce_id", b"x")], {}),
        ([("traceparent", None), ("tracestate", b"a=1")], {}),
        ([("traceparent", b"0" * 2_000_000)], {}),
        ([("traceparent", TRACE.encode()), ("tracestate", b"0" * 9_999)], {"traceparent": TRACE}),
    ],
)
def test_trace_context_is_passed_on_in_every_event(
    encoding: Encoding, headers: list[tuple[str, bytes | None]], passed_on: dict[str, str]
) -> None:
    """Heartbeats and the end have the request's traceparent, and nothing that is too long."""
    sent: list[dict[str, str]] = []

    class Headed(Collector):
        def deliver(self, *record: Any) -> None:
            sent.append({name: value.decode() for name, value in record[3]})
            super().deliver(*record)

    reporter = JobReporter(
        Headed(), request(), encoding, "w-1", lambda: True, request_headers=headers
    )
    reporter.accepted(lambda _: None)
    reporter.publish_message("at it")
    reporter.finished(S.SUCCEEDED, lambda *_: None)
    own = {"content-type": CONTENT_TYPES[encoding], "kafka_correlationId": JOB}
    assert sent == [own | passed_on] * 3


def test_handler_sees_id_type_attempt_and_request_of_its_job() -> None:
    """A handler sees its job's id, type and attempt, and the whole request."""
    seen: list[JobContext] = []
    job = request(b"{}", attempt=3)
    run_job(handler(seen.append), job)
    (context,) = seen
    assert (context.correlation_id, context.job_type, context.attempt) == (JOB, "a.job", 3)
    assert context.request is job
