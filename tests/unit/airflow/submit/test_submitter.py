"""A job on its way out: its request says all that later tries must know."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit import submitter
from kafka_bridge.airflow.submit.submission import Submission
from kafka_bridge.airflow.submit.submitter import Submitter
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import (
    BrokerUnreachable,
    RecordLocation,
    RecordTooLarge,
    TopicNotFound,
)
from kafka_bridge.protocol.headers import text_header
from kafka_bridge.protocol.messages import JobRequest

from ..samples import JOB, T0, TOPIC, submission
from ..stand_ins import Kafka

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})


def request(attempt: int = 1) -> JobRequest:
    """Return a job request."""
    return JobRequest(
        correlation_id=JOB,
        attempt=attempt,
        job_type="files.audit",
        response_topic=TOPIC,
        created_at=datetime.fromtimestamp(T0, UTC),
    )


def submit(
    asked: JobRequest, encoding: Encoding = Encoding.AVRO, reply: Reply = Reply.EVENTS
) -> tuple[Submission, RecordLocation]:
    """Submit a request, as the first try of two retries."""
    submitter = Submitter(CONFIG, encoding, reply, 12)
    return submitter.submit(asked, "jobs.requests", lambda ends: submission(ends=ends))


def test_ends_of_the_topics_are_read_before_the_request_is_published(kafka: Kafka) -> None:
    """No event of the job lies before them."""
    submit(request())
    assert kafka.journal == [
        "opened for 12 s",
        "asked for jobs.requests, jobs.responses within 12 s",
        "published",
        "closed",
    ]


@pytest.mark.parametrize("reply", Reply)
def test_request_says_how_it_was_submitted(kafka: Kafka, reply: Reply) -> None:
    """A plain request, too, which has no body of ours: it says so in a header."""
    submitted, _ = submit(request(), reply=reply)
    assert submitted == submission(ends=[4, 5, 6])
    assert kafka.submissions == [submitted]


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_record_has_the_id_as_key_and_the_request_as_value(
    kafka: Kafka, encoding: Encoding
) -> None:
    """The record's key is the correlation id, its value the request, in the encoding asked for."""
    _, location = submit(request(), encoding)
    ((topic, key, value, headers),) = kafka.published
    assert (topic, key) == ("jobs.requests", JOB.encode())
    assert decode(JobRequest, value).job_type == "files.audit"
    assert (value[:1] == b"{") == (encoding is Encoding.JSON)
    assert ("kafka_correlationId", JOB.encode()) in headers
    assert location == RecordLocation("jobs.requests", 1, 17)


def test_failed_publish_is_an_error(kafka: Kafka) -> None:
    """The next try finds out whether the request has gone out."""
    kafka.failure = BrokerUnreachable("no broker answered")
    with pytest.raises(BrokerUnreachable, match="no broker answered"):
        submit(request())
    assert kafka.published == []


def test_request_that_is_too_large_is_refused_before_kafka_is_asked(kafka: Kafka) -> None:
    """No producer is opened for it."""
    with pytest.raises(RecordTooLarge):
        submit(replace(request(), payload=bytes(1_000_000), payload_type="image/png"))
    assert kafka.journal == []


def test_missing_topic_is_found_before_anything_is_published(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a topic is missing, nothing goes out."""

    def missing(*_: Any) -> dict[str, list[int]]:
        raise TopicNotFound("topic 'q' does not exist")

    monkeypatch.setattr(submitter, "end_offsets", missing)
    with pytest.raises(TopicNotFound):
        submit(request())
    assert kafka.journal == ["opened for 12 s", "closed"]


def test_request_without_a_trace_has_no_trace_header(kafka: Kafka) -> None:
    """Where nothing is traced, no header says so."""
    submit(request())
    assert text_header(kafka.published[0][3], "traceparent") is None


def test_request_has_the_trace_of_the_task(kafka: Kafka) -> None:
    """The task's trace travels in the request, in the form of W3C Trace Context."""
    context = SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)):
        submit(request())
    parent = f"00-{0xAB:032x}-{0xCD:016x}-01"
    assert text_header(kafka.published[0][3], "traceparent") == parent
