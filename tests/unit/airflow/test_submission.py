"""A job on its way out: nothing is published whose id is not stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import pytest
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from kafka_bridge.airflow import submission
from kafka_bridge.airflow.submission import STORE_KEY, last_attempt, submit
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import BrokerUnreachable, RecordLocation, TopicNotFound
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import JobRequest, utc_now

from .samples import JOB, Store

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})
ENDS = {"q": [3, 0], "a": [7, 8, 9]}


def request(attempt: int = 1) -> JobRequest:
    """Return a job request."""
    return JobRequest(
        correlation_id=JOB,
        attempt=attempt,
        job_type="files.audit",
        response_topic="a",
        created_at=utc_now(),
    )


class Kafka:
    """Stands in for the brokers; notes in the store's journal what is asked of them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.published: list[tuple[str, bytes, bytes, Headers]] = []
        self.failure: Exception | None = None

    def end_offsets(
        self, _: KafkaConfig, topics: Iterable[str], timeout: float
    ) -> dict[str, list[int]]:
        """Say where topics end."""
        self.store.journal.append(f"asked for {', '.join(sorted(topics))} within {timeout:g} s")
        return ENDS

    def producer(self, _: KafkaConfig, timeout: float) -> Self:
        """Be the producer."""
        self.store.journal.append(f"opened for {timeout:g} s")
        return self

    def publish(self, topic: str, key: bytes, value: bytes, headers: Headers) -> RecordLocation:
        """Take a record, or fail."""
        self.store.journal.append("published")
        if self.failure:
            raise self.failure
        self.published.append((topic, key, value, headers))
        return RecordLocation(topic, 1, 17)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.store.journal.append("closed")


@pytest.fixture
def store() -> Store:
    """Give an empty task state store."""
    return Store()


@pytest.fixture
def kafka(store: Store, monkeypatch: pytest.MonkeyPatch) -> Kafka:
    """Put the stand-in where the brokers are spoken to."""
    stand_in = Kafka(store)
    monkeypatch.setattr(submission, "end_offsets", stand_in.end_offsets)
    monkeypatch.setattr(submission, "RecordProducer", stand_in.producer)
    return stand_in


def test_order(store: Store, kafka: Kafka) -> None:
    """First where the topics end, then the stored id, then the request."""
    submit(CONFIG, request(), "q", Encoding.AVRO, store, 12)
    assert store.journal == [
        "opened for 12 s",
        "asked for a, q within 12 s",
        "stored",
        "published",
        "closed",
    ]


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_what_is_published(store: Store, kafka: Kafka, encoding: Encoding) -> None:
    """The record's key is the correlation id, its value the request, in the encoding asked for."""
    submitted, location = submit(CONFIG, request(), "q", encoding, store, 12)
    ((topic, key, value, headers),) = kafka.published
    assert (topic, key) == ("q", JOB.encode())
    assert decode(JobRequest, value).job_type == "files.audit"
    assert (value[:1] == b"{") == (encoding is Encoding.JSON)
    assert ("kafka_correlationId", JOB.encode()) in headers
    assert location == RecordLocation("q", 1, 17)
    assert (submitted.request_offsets, submitted.response_offsets) == (ENDS["q"], ENDS["a"])


def test_id_is_known_when_the_publish_fails(store: Store, kafka: Kafka) -> None:
    """A request that may or may not have gone out has left its id and offsets behind, for ever."""
    kafka.failure = BrokerUnreachable("no broker answered")
    with pytest.raises(BrokerUnreachable, match="no broker answered"):
        submit(CONFIG, request(attempt=4), "q", Encoding.AVRO, store, 12)
    assert kafka.published == []
    assert store.values[STORE_KEY] == {
        "correlation_id": JOB,
        "attempt": 4,
        "request_topic": "q",
        "response_topic": "a",
        "request_offsets": [3, 0],
        "response_offsets": [7, 8, 9],
    }
    assert store.retentions[STORE_KEY] is NEVER_EXPIRE
    assert json.loads(json.dumps(store.values)) == store.values


def test_missing_topic_stores_nothing(
    store: Store, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a topic is missing, no id is stored and nothing goes out."""

    def missing(*_: Any) -> dict[str, list[int]]:
        raise TopicNotFound("topic 'q' does not exist")

    monkeypatch.setattr(submission, "end_offsets", missing)
    with pytest.raises(TopicNotFound):
        submit(CONFIG, request(), "q", Encoding.AVRO, store, 12)
    assert store.journal == ["opened for 12 s", "closed"]


def test_attempts_count_up(store: Store, kafka: Kafka) -> None:
    """Each submission of a task instance has the next number, those whose publish failed too."""
    assert last_attempt(store) == 0
    kafka.failure = BrokerUnreachable("no broker answered")
    with pytest.raises(BrokerUnreachable):
        submit(CONFIG, request(1), "q", Encoding.AVRO, store, 12)
    assert last_attempt(store) == 1
    kafka.failure = None
    submit(CONFIG, request(2), "q", Encoding.AVRO, store, 12)
    assert last_attempt(store) == 2
