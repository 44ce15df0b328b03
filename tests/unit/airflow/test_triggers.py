"""The trigger: what Airflow stores of it, and which event it fires when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.protocol.errors import (
    AccessDenied,
)
from kafka_bridge.protocol.messages import (
    JobState,
)

from .samples import T0, arrival, event
from .trigger_runs import ARGUMENTS, DONE, Runner


def test_stored_arguments_make_the_same_trigger_again() -> None:
    """They survive Airflow's database as plain JSON."""
    path, arguments = KafkaJobTrigger(**ARGUMENTS).serialize()
    assert path == "kafka_bridge.airflow.triggers.KafkaJobTrigger"
    assert arguments == ARGUMENTS
    stored = json.loads(json.dumps(arguments, allow_nan=False))
    assert KafkaJobTrigger(**stored).serialize() == (path, arguments)


def test_trigger_that_an_earlier_version_has_stored_goes_on() -> None:
    """Its arguments do not say where the request lies: the log says nothing of the queue.

    Nor do they say when the task submitted its first job: this one counts as the first.
    """
    later = (
        "logged_offsets",
        "request_topic",
        "request_partition",
        "request_offset",
        "schedule_to_close_timeout",
        "first_submitted_at",
    )
    stored = {name: value for name, value in ARGUMENTS.items() if name not in later}
    spec = KafkaJobTrigger(**stored).spec
    assert (spec.request_topic, spec.request_partition, spec.request_offset) == ("", None, None)
    assert (spec.schedule_to_close_timeout, spec.first_submitted_at) == (None, T0)


def test_stored_arguments_have_no_secret_and_no_payload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They name the connection, and nothing that is in it."""
    secret = {"conn_type": "kafka", "extra": {"sasl.password": "very-secret"}}
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(secret))
    _, arguments = KafkaJobTrigger(**ARGUMENTS).serialize()
    assert arguments.keys() == ARGUMENTS.keys()
    assert "secret" not in json.dumps(arguments)


@pytest.mark.parametrize(
    ("ended_after", "fired_after"), [(0.5, 8.0), (8.0, 8.0), (60.0, 60.0)], ids=str
)
async def test_event_fires_not_before_the_task_may_be_resumed(
    run: Runner, ended_after: float, fired_after: float
) -> None:
    """And it is held no longer than that."""
    wait = await run((ended_after, arrival(event(JobState.SUCCEEDED))))
    assert wait.events == [DONE]
    assert wait.clock.now == T0 + fired_after


@pytest.mark.parametrize(
    ("late", "held"),
    [(0, 8), (2, 6), (4, 8), (9, 13), (30, 14), (61, 0), (3600, 0), (-3, 11), (-3600, 16)],
)
async def test_event_is_held_longer_if_the_deferral_was_reported_late(
    run: Runner, late: float, held: float
) -> None:
    """A trigger that begins late, as its task's deferral was slow, holds its event from then on.

    One that begins a minute later or more belongs to a task that was deferred long ago. One that
    begins before the deferral has another clock than the worker.
    """
    begun_late: dict[str, Any] = {"not_before": T0 + 8 - late, "submitted_at": T0 - late}
    wait = await run(arrival(event(JobState.SUCCEEDED)), **begun_late)
    assert wait.events == [DONE]
    assert wait.clock.now == T0 + held


async def test_error_event_fires_not_before_the_task_may_be_resumed(run: Runner) -> None:
    """An error is held like a result."""
    wait = await run(AccessDenied("Kafka refused access"))
    assert wait.clock.now == T0 + 8


# Finishing the task in the triggerer.


def result(data: bytes | None, media_type: str | None = "application/json") -> Arrival:
    """Return the end of a job that has succeeded."""
    return arrival(event(JobState.SUCCEEDED, result=data, result_type=data and media_type))


async def fired(run: Runner, end: Arrival) -> TriggerEvent:
    """Return what a trigger fires that may end its task."""
    wait = await run(end, end_from_trigger=True)
    (only,) = wait.fired
    return only


async def test_success_finishes_the_task_in_the_triggerer(run: Runner) -> None:
    """The result is the XCom, at once: a task that is not resumed cannot resume too early."""
    wait = await run(result(b'{"files":3}'), end_from_trigger=True)
    (only,) = wait.fired
    assert isinstance(only, TaskSuccessEvent)
    assert only.xcoms == {"return_value": {"files": 3}}
    assert wait.clock.now == T0


async def test_error_while_finishing_here_resumes_the_task_on_a_worker(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job has succeeded, so its task must not fail for that."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("statsd")

    monkeypatch.setattr("kafka_bridge.airflow.job_metrics.completed", broken)
    wait = await run(result(b"3"), end_from_trigger=True)
    assert wait.events == [DONE]
    ((level, line),) = wait.log
    assert level == "error"
    assert "RuntimeError: statsd" in line


async def test_success_without_a_result_finishes_the_task_without_an_xcom(run: Runner) -> None:
    """A job that returns nothing leaves no XCom."""
    only = await fired(run, result(None))
    assert isinstance(only, TaskSuccessEvent)
    assert only.xcoms is None


@pytest.mark.parametrize(
    "end",
    [
        arrival(event(JobState.FAILED)),
        arrival(event(JobState.CANCELLED)),
        result(b"{"),
        result(b'{"id":18446744073709551617}'),
        result(b'{"__classname__":1}'),
    ],
    ids=["failed", "cancelled", "unreadable", "integer", "reserved key"],
)
async def test_any_other_outcome_resumes_the_task_on_a_worker(run: Runner, end: Arrival) -> None:
    """There the error is raised, and retries apply."""
    wait = await run(end, end_from_trigger=True)
    (only,) = wait.fired
    assert not isinstance(only, TaskSuccessEvent)
    assert only.payload["state"] == end.head.state
    assert wait.clock.now == T0 + 8
