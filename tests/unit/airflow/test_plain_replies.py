"""Tasks whose service knows nothing of the bridge: ``reply="plain"``."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.exceptions import TaskDeferred

from kafka_bridge.airflow import KafkaJobOperator
from kafka_bridge.airflow.exceptions import KafkaJobFailed, KafkaJobTimedOut
from kafka_bridge.kafka.admin.diagnosis import QueueReport
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.response_records import plain_head
from kafka_bridge.protocol.errors import RecordGone, RecordLocation
from kafka_bridge.protocol.headers import Headers

from .samples import JOB, OTHER_JOB, T0, TOPIC, context, handle, submission
from .stand_ins import Kafka

ENDED = {"state": "SUCCEEDED", "partition": 2, "offset": 17}


def operator(**arguments: Any) -> KafkaJobOperator:
    """Return an operator."""
    common = {"task_id": "work", "job_type": "x", "encoding": "json", "reply": "plain"}
    return KafkaJobOperator(**{**common, **arguments})


def deferred(made: KafkaJobOperator, try_number: int = 1) -> Any:
    """Execute an operator; return its trigger's arguments."""
    with pytest.raises(TaskDeferred) as caught:
        made.execute(context(try_number))
    return caught.value.trigger.serialize()[1]


def test_plain_request_is_the_payload_with_two_headers(kafka: Kafka) -> None:
    """What goes out is the payload, under the job's id. The third header is Airflow's own."""
    arguments = deferred(operator(payload={"n": 1}))
    ((_, key, value, headers),) = kafka.published
    assert (key, value) == (arguments["correlation_id"].encode(), b'{"n":1}')
    assert headers[:2] == [("kafka_correlationId", key), ("kafka_replyTopic", TOPIC.encode())]
    assert [name for name, _ in headers[2:]] == ["kafka-bridge-submission"]
    assert arguments["reply"] == "plain"


@pytest.mark.parametrize(
    ("start", "close", "together"),
    [(60, 30, 90), (60, None, None), (None, 30, None), (None, None, None)],
)
def test_plain_reply_must_come_within_the_sum_of_both_timeouts(
    kafka: Kafka, start: float | None, close: float | None, together: float | None
) -> None:
    """The reply must come within both limits together; where one is None, it may come any time."""
    made = operator(schedule_to_start_timeout=start, start_to_close_timeout=close)
    arguments = deferred(made)
    assert arguments["schedule_to_start_timeout"] == together
    assert arguments["heartbeat_timeout"] is None
    assert arguments["start_to_close_timeout"] is None


def test_no_cancel_is_published_for_a_marked_task_with_plain_replies(kafka: Kafka) -> None:
    """Neither the trigger nor the API server may publish one: the service does not read it."""
    assert not deferred(operator(cancel_on_kill=True))["cancel_on_kill"]


def test_retry_finds_a_plain_reply(kafka: Kafka) -> None:
    """A retry looks for the reply as the trigger does."""
    kafka.earlier = {JOB: submission()}
    assert deferred(operator(), try_number=2)["correlation_id"] == JOB
    assert kafka.read_head is plain_head


def resumed(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, value: bytes | None, headers: Headers
) -> Any:
    """Resume a task whose reply is said to lie in Kafka."""
    location = RecordLocation(TOPIC, 2, 17)
    record = Record(location, None, value, headers, int(T0 * 1000))
    monkeypatch.setattr(kafka, "read_record", lambda *_: record)
    monkeypatch.setattr("kafka_bridge.airflow.submit.completion.read_record", lambda *_: record)
    job = handle()._replace(reply="plain").to_json()
    return operator().execute_complete(context(), ENDED, job=job)


CORRELATED: Headers = [("kafka_correlationId", JOB.encode())]


def test_plain_reply_is_the_result(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply's value is the result."""
    assert resumed(kafka, monkeypatch, b'{"made":2}', CORRELATED) == {"made": 2}


def test_plain_failure_fails_the_task(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """NestJS's failure is the task's, with its message; retries apply."""
    header = ("kafka_nest-err", b'{"status":"error","message":"no such file"}')
    with pytest.raises(KafkaJobFailed, match="error: no such file"):
        resumed(kafka, monkeypatch, None, [*CORRELATED, header])


@pytest.mark.parametrize("headers", [[], [("kafka_correlationId", OTHER_JOB.encode())]])
def test_plain_reply_to_another_job_is_not_the_result(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, headers: Headers
) -> None:
    """A record that is not this job's is no result of it."""
    with pytest.raises(RecordGone, match="belongs to another job"):
        resumed(kafka, monkeypatch, b"1", headers)


def test_missing_plain_reply_fails_the_task_and_sends_no_cancel(kafka: Kafka) -> None:
    """The timeout says what Kafka knows, and that Spring sends nothing when a listener throws.

    No CANCEL is published: a service without the protocol does not read it.
    """
    kafka.report = QueueReport("jobs.requests", exists=False)
    event = {"error": "not_started", "message": "no worker accepted the job within 60 s"}
    with pytest.raises(KafkaJobTimedOut) as caught:
        operator().execute_complete(
            context(), event, job=handle()._replace(reply="plain").to_json()
        )
    assert str(caught.value) == (
        "not_started: no reply came in time. Topic 'jobs.requests' does not exist any more: "
        "create it (`kafka-bridge topics create`) or correct the name. A Spring listener that "
        "throws sends no reply: give it an errorHandler that returns one "
        "(@KafkaListener(errorHandler = …))."
    )
    assert kafka.cancelled == []
