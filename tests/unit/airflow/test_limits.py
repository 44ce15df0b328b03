"""What one job may bring into Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.exceptions import AirflowFailException

from kafka_bridge.airflow import KafkaJobOperator
from kafka_bridge.airflow.exceptions import KafkaJobFailed, ResultTooLarge
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.triggerer.trigger_events import success_event
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.messages import JobFailure, JobState

from .samples import JOB, T0, TOPIC, arrival, context, event, handle
from .stand_ins import Kafka, Log


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    """Let each test configure limits of its own."""
    job_limits.cache_clear()
    yield
    job_limits.cache_clear()


def configure(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Set an option as an administrator does."""
    monkeypatch.setenv(f"AIRFLOW__KAFKA_BRIDGE__{name.upper()}", value)


def operator(**arguments: Any) -> KafkaJobOperator:
    """Return an operator."""
    return KafkaJobOperator(**{"task_id": "work", "job_type": "files.audit", **arguments})


def resumed(kafka: Kafka, size: int, **arguments: Any) -> Any:
    """Resume the task of a job whose result is JSON of that many bytes."""
    kafka.ended = event(
        JobState.SUCCEEDED,
        result=b'"' + b"x" * (size - 2) + b'"',
        result_type="application/json",
    )
    return operator(**arguments).execute_complete(
        context(), {"state": "SUCCEEDED", "partition": 2, "offset": 17}, handle().to_json()
    )


@pytest.mark.parametrize(
    ("name", "value", "span"),
    [
        ("max_message_bytes", "49", "from 50 to 2,000"),
        ("max_message_bytes", "2001", "from 50 to 2,000"),
        ("max_details_bytes", "much", "from 50 to 32,000"),
        ("max_result_bytes", "0", "of at least 1"),
        ("max_events_per_second", "", "of at least 1"),
        ("max_log_bytes_per_second", "1.5", "of at least 1"),
    ],
)
def test_invalid_limit_is_an_error_of_the_dag_file(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, span: str
) -> None:
    """The DAG file is not imported, so no job is sent; the error says what is allowed."""
    configure(monkeypatch, name, value)
    with pytest.raises(ConfigurationError) as caught:
        operator()
    assert str(caught.value).startswith(
        f"[kafka_bridge] {name} must be a whole number {span}, not {value!r}"
    )


def test_result_of_exactly_the_limit_is_stored(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result may have as many bytes as configured."""
    configure(monkeypatch, "max_result_bytes", "1000")
    assert resumed(kafka, 1000) == "x" * 998


def test_result_that_is_too_large_fails_the_task_without_retries(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused for good, with its size, the limit, what to do instead, and where it lies."""
    configure(monkeypatch, "max_result_bytes", "1000")
    with pytest.raises(ResultTooLarge) as caught:
        resumed(kafka, 1001)
    words = str(caught.value)
    assert (
        "its result of 1,001 bytes is larger than [kafka_bridge] max_result_bytes (1,000)" in words
    )
    for advice in ("return its address", "result_handler", "do_xcom_push=False"):
        assert advice in words
    assert f"{TOPIC}[2]@17" in words
    assert isinstance(caught.value, AirflowFailException), "no retries: the job has succeeded"


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [({"result_handler": len}, "10"), ({"do_xcom_push": False}, "10"), ({}, "")],
    ids=["handler", "not stored", "no limit"],
)
def test_result_that_is_not_stored_as_xcom_may_have_any_size(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], limit: str
) -> None:
    """A result that is not stored as it is has no limit, nor where the option is empty."""
    configure(monkeypatch, "max_result_bytes", limit)
    assert resumed(kafka, 1000, **arguments) in {998, "x" * 998}


def test_details_in_the_log_lose_their_middle(
    kafka: Kafka, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback keeps its beginning and its end."""
    configure(monkeypatch, "max_details_bytes", "200")
    kafka.ended = event(
        JobState.FAILED,
        error=JobFailure("oops", "no", "first\n" + "y" * 9000 + "\nlast", retryable=True),
    )
    with pytest.raises(KafkaJobFailed):
        operator().execute_complete(
            context(), {"state": "FAILED", "partition": 2, "offset": 17}, handle().to_json()
        )
    (details,) = [line for line in log.lines if "details" in line]
    assert len(details) < 250
    assert "first\n" in details
    assert "(cut, 9,011 bytes in all)" in details
    assert details.endswith("\nlast")


@pytest.mark.parametrize(("size", "ends_here"), [(1000, True), (1001, False), (300_000, False)])
def test_result_limit_holds_in_the_triggerer(
    monkeypatch: pytest.MonkeyPatch, size: int, ends_here: bool
) -> None:
    """With end_from_trigger, too, a larger result is not stored: the resumed task refuses it."""
    configure(monkeypatch, "max_result_bytes", "1000")
    trigger = KafkaJobTrigger(
        correlation_id=JOB,
        kafka_config_id="mine",
        response_topic=TOPIC,
        start_offsets=[],
        submitted_at=T0,
        end_from_trigger=True,
    )
    end = arrival(event(JobState.SUCCEEDED, result=b"x" * size, result_type="text/plain"))
    assert (success_event(trigger.spec, end, trigger.log) is not None) is ends_here
