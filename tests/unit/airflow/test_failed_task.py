"""What a person reads in the log of a task that fails: the service's words, at the right level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from structlog.tracebacks import ExceptionDictTransformer

import kafka_bridge
from kafka_bridge.airflow import KafkaJobOperator, KafkaJobSensor
from kafka_bridge.airflow.compat import AirflowException
from kafka_bridge.airflow.submit import completion
from kafka_bridge.protocol.messages import JobFailure, JobState, StatusEvent

from .samples import JOB, context, event, handle
from .stand_ins import Kafka
from .trigger_runs import Log

PACKAGE = Path(kafka_bridge.__file__).parent
FAILED = {"state": "FAILED", "partition": 2, "offset": 17}
Printed = list[dict[str, Any]]


def failed(*, retryable: bool, details: str | None = None) -> StatusEvent:
    """Return the end of a job that failed."""
    error = JobFailure("disk_full", "No space left\non /data", details, retryable=retryable)
    return event(JobState.FAILED, error=error)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Keep what operators log, with the levels."""
    kept = Log()
    monkeypatch.setattr(BaseOperator, "log", kept)
    return kept


def resumed(kind: type[BaseOperator], fired: dict[str, Any] = FAILED, **arguments: Any) -> None:
    """Resume a task as Airflow does."""
    kwargs = {"event": fired, "job": handle().to_json()}
    made = kind(task_id="work", **arguments)
    made.resume_execution("execute_complete", kwargs, context())


def by_operator(fired: dict[str, Any] = FAILED) -> None:
    """Resume an operator's task."""
    resumed(KafkaJobOperator, fired, job_type="files.audit")


def by_sensor(fired: dict[str, Any] = FAILED) -> None:
    """Resume a sensor's task."""
    resumed(KafkaJobSensor, fired, job=handle().to_json())


def printed(task: Callable[..., None], *arguments: Any) -> Printed:
    """Return what Airflow's log has of the exception that ends a task.

    Airflow's task runner calls ``log.exception``, and this is how its log is configured.
    """
    transform = ExceptionDictTransformer(use_rich=False, show_locals=False)
    try:
        task(*arguments)
    except Exception as error:
        return list(transform((type(error), error, error.__traceback__)))
    raise AssertionError("the task did not fail")


def frames_of_the_bridge(chain: Printed) -> list[str]:
    """Return the functions of the bridge that Airflow names."""
    return [
        frame["name"]
        for each in chain
        for frame in each["frames"]
        if PACKAGE in Path(frame["filename"]).parents
    ]


@pytest.mark.parametrize("task", [by_operator, by_sensor])
@pytest.mark.parametrize("retryable", [True, False])
def test_traceback_of_a_failed_job_has_one_frame_of_the_bridge(
    kafka: Kafka, task: Callable[..., None], retryable: bool
) -> None:
    """Not the ten that led to the job's end: they say nothing about the failure."""
    kafka.ended = failed(retryable=retryable)
    (error,) = printed(task)
    assert error["exc_value"] == "disk_full: No space left\non /data"
    assert len(frames_of_the_bridge([error])) == 1


@pytest.mark.parametrize("task", [by_operator, by_sensor])
def test_traceback_of_a_timeout_has_one_frame_of_the_bridge(
    kafka: Kafka, task: Callable[..., None]
) -> None:
    """Its text says what happened and what to do."""
    (error,) = printed(task, {"error": "worker_lost", "message": "worker w-1 is silent"})
    assert error["exc_value"].startswith("worker_lost: worker w-1 is silent. ")
    assert len(frames_of_the_bridge([error])) == 1


@pytest.mark.parametrize("task", [by_operator, by_sensor])
def test_unexpected_error_keeps_its_traceback(
    kafka: Kafka, task: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the bridge can be found."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(completion, "read_record", fail)
    (error,) = printed(task)
    assert "_result" in frames_of_the_bridge([error])


def test_failed_job_is_an_error_in_the_log(kafka: Kafka, log: Log) -> None:
    """In one line, before the service's own traceback."""
    kafka.ended = failed(retryable=True, details="Traceback …")
    with pytest.raises(AirflowException):
        by_operator()
    assert log.lines == [
        ("error", f"Job {JOB}: FAILED: disk_full: No space left\\non /data"),
        ("error", "The worker's own details:\nTraceback …"),
    ]


def test_log_says_why_a_failed_job_is_not_retried(kafka: Kafka, log: Log) -> None:
    """Airflow does not say it."""
    kafka.ended = failed(retryable=False)
    with pytest.raises(AirflowException):
        by_operator()
    ((level, words),) = log.lines
    assert level == "error"
    assert words.endswith("; not retried: the service said retryable=false")


def test_failure_without_an_error_has_its_message(kafka: Kafka, log: Log) -> None:
    """A service may say only that the job failed."""
    kafka.ended = event(JobState.FAILED, message="too hot")
    with pytest.raises(AirflowException):
        by_operator()
    assert log.lines == [("error", f"Job {JOB}: FAILED: too hot")]


def test_log_says_that_a_cancelled_job_is_not_retried(kafka: Kafka, log: Log) -> None:
    """And who cancelled it, if that is known."""
    kafka.ended = event(JobState.CANCELLED, message="by alice")
    with pytest.raises(AirflowException):
        by_operator({**FAILED, "state": "CANCELLED"})
    assert log.lines == [
        ("warning", f"Job {JOB}: CANCELLED: by alice"),
        ("error", f"Job {JOB} is not retried: it was cancelled"),
    ]
