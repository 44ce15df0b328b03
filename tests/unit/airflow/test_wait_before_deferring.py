"""The wait in a task's own process: before it defers, or until the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from airflow.exceptions import TaskDeferred

from kafka_bridge.airflow import (
    KafkaJobBatchOperator,
    KafkaJobBatchTrigger,
    KafkaJobOperator,
    KafkaJobSensor,
    KafkaJobTrigger,
)
from kafka_bridge.airflow.batch import completion, submission
from kafka_bridge.airflow.batch.finished_job import FinishedJob
from kafka_bridge.airflow.batch.rounds import Batch, Round
from kafka_bridge.airflow.batch.status import BatchStatus
from kafka_bridge.airflow.compat import AirflowException
from kafka_bridge.airflow.exceptions import KafkaJobFailed, KafkaJobKilled, KafkaJobWaitFailed
from kafka_bridge.kafka.responses.subscriptions import Arrival, Notice
from kafka_bridge.protocol.errors import BrokerUnreachable, ConfigurationError, RecordGone
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress

from .samples import JOB, TOPIC, arrival, context, event, handle
from .stand_ins import Kafka, Log, TaskReader
from .trigger_runs import Runner, running

LONG, SHORT = 30.0, 0.05
"""Seconds: longer than these tests take, and a moment that they wait for."""


def operator(**arguments: Any) -> KafkaJobOperator:
    """Return an operator that waits for a long moment."""
    given = {"task_id": "work", "job_type": "files.audit", "wait_before_deferring": LONG}
    return KafkaJobOperator(**{**given, **arguments})


def ends(state: JobState = JobState.SUCCEEDED, **fields: Any) -> Callable[[str], list[Notice]]:
    """Return the script of a job that is accepted and ends."""
    return lambda job: [
        arrival(event(JobState.ACCEPTED, correlation_id=job), offset=17),
        arrival(event(state, correlation_id=job, **fields), offset=18),
    ]


RESULT: dict[str, Any] = {"result": b"3", "result_type": "application/json"}


def deferred(made: Any) -> TaskDeferred:
    """Execute an operator; return what it defers with."""
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context())
    return caught.value


# What an author may say.

NO_DURATION = "must be a timedelta or seconds, not"
BAD: list[tuple[Any, str]] = [
    (-1, "must be 0 s or more, not -1 s"),
    (timedelta(seconds=-5), "must be 0 s or more, not -5 s"),
    (math.nan, "must be 0 s or more, not nan s"),
    (math.inf, "must be at most 100 years, not inf s"),
    ("soon", f"{NO_DURATION} 'soon'"),
    (None, f"{NO_DURATION} None"),
    (True, f"{NO_DURATION} True"),
    (False, f"{NO_DURATION} False"),
]
MAKERS: list[Callable[..., Any]] = [
    operator,
    lambda **more: KafkaJobSensor(task_id="s", job=handle().to_json(), **more),
    lambda **more: KafkaJobBatchOperator(task_id="b", job_type="x", payloads=[1], **more),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("value", "words"), BAD)
def test_invalid_wait_is_refused_with_its_name_and_value(
    make: Callable[..., Any], value: Any, words: str
) -> None:
    """It is refused when the DAG is parsed, by every operator that can defer."""
    with pytest.raises(ConfigurationError) as caught:
        make(wait_before_deferring=value)
    assert str(caught.value) == f"wait_before_deferring {words}"


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon", ""])
def test_invalid_configured_wait_is_refused_with_the_name_of_its_section(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """The error says where to correct it."""
    monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__WAIT_BEFORE_DEFERRING", value)
    with pytest.raises(ConfigurationError, match=r"^\[kafka_bridge\] wait_before_deferring must"):
        KafkaJobOperator(task_id="work", job_type="x")


def test_wait_is_configured_where_the_author_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument overrides the configuration, 0 too."""
    monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__WAIT_BEFORE_DEFERRING", "2.5")
    assert KafkaJobOperator(task_id="work", job_type="x").wait_before_deferring == 2.5
    assert operator(wait_before_deferring=0).wait_before_deferring == 0
    assert operator(wait_before_deferring=timedelta(seconds=4)).wait_before_deferring == 4


def test_task_that_ends_in_the_triggerer_does_not_wait_first(
    kafka: Kafka, reader: TaskReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its XCom would have another form if it ended in its own process."""
    monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__WAIT_BEFORE_DEFERRING", "30")
    reader.script = ends(**RESULT)
    deferred(KafkaJobOperator(task_id="work", job_type="x", end_from_trigger=True))
    assert reader.opened == []


# A job that ends in time.


@pytest.mark.parametrize("arguments", [{}, {"deferrable": False}])
def test_quick_job_completes_its_task_without_a_triggerer(
    kafka: Kafka, reader: TaskReader, log: Log, arguments: dict[str, Any]
) -> None:
    """The event at hand is not read once more; progress and result are in the log."""
    reader.script = ends(**RESULT)
    assert operator(**arguments).execute(context()) == 3
    assert reader.opened == [("kafka_default", TOPIC)]
    assert not reader.waiting
    job = kafka.requests[0].correlation_id
    how = "(deferrable=True waits in a triggerer)" if arguments else "for up to 30 s"
    assert log.lines[1:] == [
        f"Waiting for job {job} in this worker slot {how}",
        "Accepted by worker w-1",
        f"Job {job}: SUCCEEDED",
    ]


def test_quick_job_that_fails_fails_its_task_with_its_own_error(
    kafka: Kafka, reader: TaskReader
) -> None:
    """The error is the one that a triggerer would have brought."""
    reader.script = ends(JobState.FAILED, error=JobFailure("disk_full", "no room", None, True))
    with pytest.raises(KafkaJobFailed, match="disk_full: no room"):
        operator().execute(context())


def test_plain_reply_is_read_with_its_headers(kafka: Kafka, reader: TaskReader) -> None:
    """They may hold the error of the service, so the whole record is read."""
    reader.script = ends()
    with pytest.raises(RecordGone, match="is no longer there"):  # the stand-in has no record
        operator(reply="plain").execute(context())


def test_reader_that_ends_fails_the_task_in_words(kafka: Kafka, reader: TaskReader) -> None:
    """As it does in a triggerer."""
    reader.script = lambda _: [BrokerUnreachable("no broker answered")]
    with pytest.raises(KafkaJobWaitFailed, match="BrokerUnreachable: no broker answered"):
        operator().execute(context())


def test_sensor_returns_the_result_of_a_job_that_ends_in_time(
    kafka: Kafka, reader: TaskReader
) -> None:
    """It opens the reader of the connection that published the job."""
    reader.script = ends(**RESULT)
    made = KafkaJobSensor(task_id="s", job=handle().to_json(), wait_before_deferring=LONG)
    assert made.execute(context()) == 3


# A job that takes longer.


def test_longer_job_is_handed_over_with_all_that_was_known_before(
    kafka: Kafka, reader: TaskReader
) -> None:
    """The trigger reads from the same offsets, and its timeouts count from the submission.

    The time for which Airflow must not resume the task counts from the deferral.
    """
    reader.script = lambda job: ends()(job)[:1]
    began = time.time()
    told = deferred(operator(wait_before_deferring=SHORT))
    assert isinstance(told.trigger, KafkaJobTrigger)
    spec = told.trigger.spec
    assert spec.start_offsets == [4, 5, 6]
    assert spec.submitted_at == kafka.requests[0].created_at.timestamp()
    assert spec.not_before - spec.resume_delay >= began + SHORT
    assert spec.logged_offsets == [0, 0, 18]
    assert not reader.waiting


def test_task_that_defers_at_once_opens_no_reader(kafka: Kafka, reader: TaskReader) -> None:
    """0 is the way without a wait."""
    told = deferred(operator(wait_before_deferring=0))
    assert reader.opened == []
    assert told.trigger.spec.logged_offsets == []


def test_line_that_waits_to_be_logged_is_left_to_the_trigger(
    kafka: Kafka, reader: TaskReader, log: Log
) -> None:
    """Only the latest of several quick lines is kept for later, and a deferral does not lose it."""

    def script(job: str) -> Iterable[Arrival]:
        yield arrival(event(JobState.ACCEPTED, correlation_id=job), offset=17)
        for number in (1, 2, 3):
            more = event(JobState.RUNNING, correlation_id=job, progress=Progress(number, 10))
            yield arrival(more, offset=17 + number)

    reader.script = script
    told = deferred(operator(wait_before_deferring=SHORT))
    assert [line for line in log.lines if "of 10" in line] == ["10 %: 1 of 10"]
    assert told.trigger.spec.logged_offsets == [0, 0, 19]


async def test_trigger_logs_no_line_that_is_in_the_log(run: Runner) -> None:
    """What the task's process has logged counts for the trigger's timeouts, but is not logged."""
    wait = await run(
        arrival(event(JobState.ACCEPTED), offset=17),
        arrival(event(JobState.RUNNING, progress=Progress(1, 10)), offset=18),
        arrival(event(JobState.RUNNING, progress=Progress(2, 10)), offset=19),
        logged_offsets=[0, 0, 19],
        schedule_to_start_timeout=40.0,
        heartbeat_timeout=60.0,
    )
    assert wait.log[:1] == [("info", "20 %: 2 of 10")]
    (failure,) = wait.events
    assert failure["message"] == "worker w-1 has published nothing for 60 s"


async def test_events_of_other_partitions_are_logged(run: Runner) -> None:
    """The topic may have got more partitions since."""
    wait = await run(
        arrival(event(JobState.ACCEPTED), partition=1, offset=3),
        running(1),
        arrival(event(JobState.SUCCEEDED)),
        logged_offsets=[0, 4],
    )
    assert wait.log == [("info", "10 %: 1 of 10")]


@pytest.mark.parametrize(("limit", "seconds"), [(timedelta(seconds=0.1), 0.05), (None, LONG)])
def test_task_defers_before_its_execution_timeout_ends_it(
    kafka: Kafka, reader: TaskReader, log: Log, limit: timedelta | None, seconds: float
) -> None:
    """Airflow enforces it while the task runs in a process, and not while it is deferred."""
    made = operator(execution_timeout=limit)
    if limit is None:
        reader.script = ends(**RESULT)
        made.execute(context())
    else:
        deferred(made)
    assert f"in this worker slot for up to {seconds:g} s" in log.lines[1]


# A task that ends meanwhile.


def test_killed_task_waits_until_its_job_is_cancelled(kafka: Kafka, reader: TaskReader) -> None:
    """Its process cancels the job, and fails when the worker has confirmed that."""
    made = operator()

    def script(job: str) -> list[Notice]:
        made.on_kill()
        return [arrival(event(JobState.CANCELLED, correlation_id=job))]

    reader.script = script
    with pytest.raises(KafkaJobKilled) as caught:
        made.execute(context())
    assert isinstance(caught.value, AirflowException)
    (job,) = (request.correlation_id for request in kafka.requests)
    assert kafka.cancelled == [(job, "the task was killed")]


def test_killed_task_does_not_defer(kafka: Kafka, reader: TaskReader) -> None:
    """No triggerer waits for a job that was cancelled because its task was killed."""
    made = operator(wait_before_deferring=SHORT)
    reader.meanwhile = made.on_kill
    with pytest.raises(KafkaJobKilled, match="the task was killed before it could defer"):
        made.execute(context())


def test_killed_task_that_leaves_its_job_alone_defers(kafka: Kafka, reader: TaskReader) -> None:
    """A triggerer goes on waiting where Airflow has stopped the worker only."""
    made = operator(wait_before_deferring=SHORT, cancel_on_kill=False)
    reader.meanwhile = made.on_kill
    deferred(made)
    assert kafka.cancelled == []


def test_task_that_was_marked_meanwhile_cancels_its_job(kafka: Kafka, reader: TaskReader) -> None:
    """It cannot defer any more."""

    def mark() -> None:
        kafka.state = "failed"

    reader.meanwhile = mark
    with pytest.raises(KafkaJobKilled, match="marked or cleared"):
        operator(wait_before_deferring=SHORT).execute(context())
    assert [reason for _, reason in kafka.cancelled] == ["the task was killed"]


# A batch.

BATCH = Batch("jobs.requests", TOPIC, [Round(JOB, 1, 2, 1_800_000_000_000, [4, 5, 6])])


@pytest.fixture
def batch(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the submission bring a batch of two on its way, and let both have succeeded."""
    status = BatchStatus(BATCH, [FinishedJob(JobState.SUCCEEDED, result=n) for n in (1, 2)], [0, 1])
    monkeypatch.setattr(submission, "submit", lambda *_: BATCH)
    monkeypatch.setattr(completion, "read_status", lambda *_: status)


def batch_operator(**arguments: Any) -> KafkaJobBatchOperator:
    """Return a batch operator that waits for a long moment."""
    given = {"task_id": "work", "job_type": "x", "payloads": [1, 2], "wait_before_deferring": LONG}
    return KafkaJobBatchOperator(**{**given, **arguments})


@pytest.mark.parametrize("arguments", [{}, {"deferrable": False}])
def test_quick_batch_completes_its_task_without_a_triggerer(
    batch: None, reader: TaskReader, log: Log, arguments: dict[str, Any]
) -> None:
    """The results are the task's XCom."""
    reader.script = ends(**RESULT)
    assert batch_operator(**arguments).execute(context()) == [1, 2]
    assert reader.opened == [("kafka_default", TOPIC)]
    how = "(deferrable=True waits in a triggerer)" if arguments else "for up to 30 s"
    assert f"Waiting for batch {JOB} in this worker slot {how}" in log.lines


def test_longer_batch_is_handed_over(batch: None, reader: TaskReader) -> None:
    """One of its jobs is still running: the trigger reads all again, from the same offsets."""
    jobs = BATCH.last.job_ids()
    reader.script = lambda job: ends()(job) if job == jobs[0] else []
    told = deferred(batch_operator(wait_before_deferring=SHORT))
    assert isinstance(told.trigger, KafkaJobBatchTrigger)
    spec = told.trigger.spec
    assert (spec.start_offsets, spec.submitted_at) == ([4, 5, 6], 1_800_000_000.0)
    assert not reader.waiting


def test_batch_that_defers_at_once_opens_no_reader(batch: None, reader: TaskReader) -> None:
    """0 is the way without a wait."""
    deferred(batch_operator(wait_before_deferring=0))
    assert reader.opened == []


def test_batch_that_is_killed_meanwhile_does_not_defer(batch: None, reader: TaskReader) -> None:
    """Its jobs are cancelled; the retry submits them again."""
    made = batch_operator(wait_before_deferring=SHORT)
    reader.meanwhile = made.on_kill
    with pytest.raises(KafkaJobKilled, match="the task was killed before it could defer"):
        made.execute(context())
