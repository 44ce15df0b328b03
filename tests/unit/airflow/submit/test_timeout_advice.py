"""The advice on timeouts, which one job and a batch share."""

from __future__ import annotations

import pytest

from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit.timeout_advice import TIMEOUTS, timeout_advice
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import ErrorType

from ..stand_ins import Kafka, Log


def access(reply: Reply = Reply.EVENTS) -> KafkaAccess:
    """Return the access of a task with the default connection."""
    return KafkaAccess("kafka_default", "jobs.control", Encoding.JSON, reply, 30.0, Log())


def advice(timeout: ErrorType, reply: Reply = Reply.EVENTS, time_limit: str = "timeout") -> str:
    """Return the advice on a timeout."""
    return timeout_advice(timeout, access(reply), "jobs.requests", time_limit=time_limit)


@pytest.mark.parametrize("timeout", sorted(TIMEOUTS))
def test_every_timeout_has_advice(kafka: Kafka, timeout: ErrorType) -> None:
    """It is one or more whole sentences."""
    assert advice(timeout).endswith(".")


@pytest.mark.parametrize("time_limit", ["timeout", "start_to_close_timeout"])
def test_advice_names_the_parameter_that_allows_more_time(kafka: Kafka, time_limit: str) -> None:
    """A job and a batch call it differently."""
    assert advice(ErrorType.DEADLINE_EXCEEDED, time_limit=time_limit).endswith(
        f"To allow more time, increase {time_limit}."
    )


def test_kafka_is_asked_only_if_no_worker_started(kafka: Kafka) -> None:
    """Only then do the topic and its consumer groups explain anything."""
    for timeout in TIMEOUTS - {ErrorType.NOT_STARTED}:
        advice(timeout)
    assert kafka.journal == []
    assert advice(ErrorType.NOT_STARTED) == str(kafka.report)
    assert kafka.journal == ["diagnosed jobs.requests"]


def test_advice_on_a_job_that_has_used_all_its_time_is_to_clear_the_task(kafka: Kafka) -> None:
    """No retry follows; a person decides whether it gets its time again."""
    assert "increase it. Then clear the task" in advice(ErrorType.NOT_FINISHED)


def test_plain_reply_that_did_not_come_may_be_an_exception_in_spring(kafka: Kafka) -> None:
    """Such a listener sends no reply unless it has an errorHandler."""
    assert "errorHandler" in advice(ErrorType.NOT_STARTED, Reply.PLAIN)
    assert "errorHandler" not in advice(ErrorType.NOT_STARTED)
