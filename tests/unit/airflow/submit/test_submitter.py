"""A job on its way out: nothing is published whose id is not stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.execution_time.context import NEVER_EXPIRE
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit import submitter
from kafka_bridge.airflow.submit.stored_job import STORE_KEY, load
from kafka_bridge.airflow.submit.submitter import Submitter
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import BrokerUnreachable, RecordLocation, TopicNotFound
from kafka_bridge.protocol.headers import text_header
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.testing.fakes import FakeTaskState

from ..samples import JOB, TOPIC, stored
from ..stand_ins import Kafka

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})


def request(attempt: int = 1) -> JobRequest:
    """Return a job request."""
    return JobRequest(
        correlation_id=JOB,
        attempt=attempt,
        job_type="files.audit",
        response_topic=TOPIC,
        created_at=stored().created,
    )


def submit(
    store: FakeTaskState,
    asked: JobRequest,
    encoding: Encoding = Encoding.AVRO,
    reply: Reply = Reply.EVENTS,
) -> tuple[Any, RecordLocation]:
    """Submit a request, as the first try of two retries."""
    submitter = Submitter(CONFIG, encoding, reply, 12)
    return submitter.submit(asked, "jobs.requests", store, try_number=1, max_tries=2)


def test_id_is_stored_before_the_request_is_published(store: FakeTaskState, kafka: Kafka) -> None:
    """First where the topics end, then the stored id, then the request."""
    submit(store, request())
    assert kafka.journal == [
        "opened for 12 s",
        "asked for jobs.requests, jobs.responses within 12 s",
        "stored",
        "published",
        "closed",
    ]


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_record_has_the_id_as_key_and_the_request_as_value(
    store: FakeTaskState, kafka: Kafka, encoding: Encoding
) -> None:
    """The record's key is the correlation id, its value the request, in the encoding asked for."""
    job, location = submit(store, request(), encoding)
    ((topic, key, value, headers),) = kafka.published
    assert (topic, key) == ("jobs.requests", JOB.encode())
    assert decode(JobRequest, value).job_type == "files.audit"
    assert (value[:1] == b"{") == (encoding is Encoding.JSON)
    assert ("kafka_correlationId", JOB.encode()) in headers
    assert location == RecordLocation("jobs.requests", 1, 17)
    assert job == stored()


def test_id_is_stored_even_if_the_publish_fails(store: FakeTaskState, kafka: Kafka) -> None:
    """A request that may or may not have gone out has left its id and offsets behind, for ever."""
    kafka.failure = BrokerUnreachable("no broker answered")
    with pytest.raises(BrokerUnreachable, match="no broker answered"):
        submit(store, request(attempt=4))
    assert kafka.published == []
    assert load(store) == stored(attempt=4)
    assert store.retentions[STORE_KEY] is NEVER_EXPIRE
    assert json.loads(json.dumps(store.values)) == store.values


def test_missing_topic_stores_nothing(
    store: FakeTaskState, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a topic is missing, no id is stored and nothing goes out."""

    def missing(*_: Any) -> dict[str, list[int]]:
        raise TopicNotFound("topic 'q' does not exist")

    monkeypatch.setattr(submitter, "end_offsets", missing)
    with pytest.raises(TopicNotFound):
        submit(store, request())
    assert kafka.journal == ["opened for 12 s", "closed"]


def test_submitting_again_stores_nothing(store: FakeTaskState, kafka: Kafka) -> None:
    """What is stored of a job stays as it was before its first publish."""
    place = Submitter(CONFIG, Encoding.AVRO, Reply.EVENTS, 12).submit_again(request(), "q")
    assert place == RecordLocation("q", 1, 17)
    assert kafka.journal == ["opened for 12 s", "connected for q", "published", "closed"]


def test_request_without_a_trace_has_no_trace_header(store: FakeTaskState, kafka: Kafka) -> None:
    """Where nothing is traced, no header says so."""
    submit(store, request())
    assert text_header(kafka.published[0][3], "traceparent") is None


def test_request_has_the_trace_of_the_task(store: FakeTaskState, kafka: Kafka) -> None:
    """The task's trace travels in the request, in the form of W3C Trace Context."""
    context = SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)):
        submit(store, request())
    parent = f"00-{0xAB:032x}-{0xCD:016x}-01"
    assert text_header(kafka.published[0][3], "traceparent") == parent
