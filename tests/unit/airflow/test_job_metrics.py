"""Figures of jobs through Airflow's own metrics."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest
from airflow.exceptions import TaskDeferred

from kafka_bridge.airflow import KafkaJobOperator, compat
from kafka_bridge.airflow.compat import AirflowException
from kafka_bridge.airflow.triggerer.trigger_events import success_event
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.protocol.messages import JobState

from .samples import JOB, T0, TOPIC, arrival, context, event, handle
from .stand_ins import Kafka


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Keep what is sent to Airflow's stats, tasks' and triggerers'."""
    sent: list[tuple[Any, ...]] = []

    def incr(name: str, count: int = 1, *, tags: dict[str, str]) -> None:
        sent.append((name, count, tags))

    def timing(name: str, duration: timedelta, *, tags: dict[str, str]) -> None:
        sent.append((name, duration.total_seconds(), tags))

    for triggerer in (False, True):
        stats = compat.stats(triggerer=triggerer)
        monkeypatch.setattr(stats, "incr", incr, raising=False)
        monkeypatch.setattr(stats, "timing", timing, raising=False)
    return sent


def operator() -> KafkaJobOperator:
    """Return an operator."""
    return KafkaJobOperator(task_id="work", job_type="files.audit")


def test_acknowledged_request_is_counted_by_job_type(kafka: Kafka, sent: list[Any]) -> None:
    """A request that the brokers have is counted, by job type."""
    with pytest.raises(TaskDeferred):
        operator().execute(context())
    assert sent == [("kafka_bridge.job.submitted", 1, {"job_type": "files.audit"})]


def resume(told: dict[str, Any]) -> None:
    """Resume a task that has a job, and let it fail or not."""
    with contextlib.suppress(AirflowException):
        operator().execute_complete(context(), told, job=handle().to_json())


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_finished_job_is_counted_and_timed(kafka: Kafka, sent: list[Any], state: JobState) -> None:
    """The end is counted by job type and outcome, and so is how long it took from the request."""
    kafka.ended = event(state, at=12.5)
    resume({"state": state, "partition": 2, "offset": 17})
    tags = {"job_type": "files.audit", "outcome": state.lower()}
    assert sent == [
        ("kafka_bridge.job.completed", 1, tags),
        ("kafka_bridge.job.duration", 12.5, tags),
    ]


def test_timeout_is_counted_as_an_outcome(kafka: Kafka, sent: list[Any]) -> None:
    """A timeout is counted as what it is; how long the job takes is not known."""
    resume({"error": "worker_lost", "message": "silent"})
    tags = {"job_type": "files.audit", "outcome": "worker_lost"}
    assert sent == [("kafka_bridge.job.completed", 1, tags)]


def test_job_that_finishes_its_task_in_the_triggerer_is_counted_there(sent: list[Any]) -> None:
    """A task that ends in the triggerer is counted there; a clock that is wrong adds no time."""
    trigger = KafkaJobTrigger(
        correlation_id=JOB,
        kafka_config_id="mine",
        response_topic=TOPIC,
        start_offsets=[],
        submitted_at=T0,
        job_type="files.audit",
    )
    assert (
        success_event(trigger.spec, arrival(event(JobState.SUCCEEDED, at=-5)), trigger.log)
        is not None
    )
    tags = {"job_type": "files.audit", "outcome": "succeeded"}
    assert sent == [
        ("kafka_bridge.job.completed", 1, tags),
        ("kafka_bridge.job.duration", 0.0, tags),
    ]
