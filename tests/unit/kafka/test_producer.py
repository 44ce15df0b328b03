"""The producer, with a scripted client: what is raised, retried and called back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest.mock import Mock

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import clients
from kafka_bridge.kafka import producer as producer_module
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.unacknowledged import DeliveryDoctor
from kafka_bridge.protocol.errors import (
    AccessDenied,
    BrokerUnreachable,
    DeliveryFailed,
    KafkaError,
    RecordLocation,
    RecordTooLarge,
    TopicNotFound,
)
from kafka_bridge.testing.fakes import FakeClock, FakeProducer
from kafka_bridge.testing.fakes.clock import START

if TYPE_CHECKING:
    from conftest import Eventually

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    """Give the client that the producer under test gets."""
    client = FakeProducer()
    monkeypatch.setattr(producer_module, "make", client.make)
    monkeypatch.setattr(DeliveryDoctor, "why", lambda *_: None)
    return client


@pytest.fixture
def producer(client: FakeProducer) -> Iterator[RecordProducer]:
    """Give a producer with a scripted client."""
    with RecordProducer(CONFIG, delivery_timeout=5) as producer:
        assert producer is not None
        yield producer


def test_acknowledged_record_resolves_to_its_location(
    producer: RecordProducer, client: FakeProducer
) -> None:
    """Key, value and headers are passed on as they are."""
    assert producer.publish("t", b"k", b"v", [("h", b"1")]) == RecordLocation("t", 0, 0)
    (sent,) = client.sent
    assert (sent.topic, sent.key, sent.value, sent.headers) == ("t", b"k", b"v", [("h", b"1")])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ck.KafkaError.MSG_SIZE_TOO_LARGE, RecordTooLarge),
        (ck.KafkaError.TOPIC_AUTHORIZATION_FAILED, AccessDenied),
        (ck.KafkaError.UNKNOWN_TOPIC_OR_PART, TopicNotFound),
        (ck.KafkaError._MSG_TIMED_OUT, BrokerUnreachable),
        (ck.KafkaError.NOT_ENOUGH_REPLICAS, DeliveryFailed),
    ],
)
def test_each_failed_delivery_is_raised_as_the_bridges_error(
    producer: RecordProducer, client: FakeProducer, code: int, expected: type[KafkaError]
) -> None:
    """Both ways to send report the same error."""
    client.fail(code, times=2)
    with pytest.raises(expected):
        producer.publish("t", b"k", b"v", [])
    reports: list[Exception | None] = []
    producer.deliver("t", b"k", b"v", [], reports.append)
    producer.flush()
    assert [type(each) for each in reports] == [expected]


def test_one_failed_record_does_not_fail_the_next(
    producer: RecordProducer, client: FakeProducer
) -> None:
    """Records are independent of each other."""
    client.fail(ck.KafkaError.MSG_SIZE_TOO_LARGE)
    first, second = (producer.send("t", b"k", value, []) for value in (b"1", b"2"))
    assert isinstance(first.exception(5), RecordTooLarge)
    assert second.result(5) == RecordLocation("t", 0, 0)


def test_refusal_that_comes_late_is_raised_before_anything_is_sent(
    producer: RecordProducer, client: FakeProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login may take longer than the first look; the record would wait out its timeout."""
    monkeypatch.setattr(clients, "time", clock := FakeClock())
    monkeypatch.setattr(clients, "explain", lambda _, error: error and "wrong password")
    refusal = ck.KafkaError(ck.KafkaError._AUTHENTICATION)

    def silent(_topic: str, timeout: float) -> None:
        clock.advance(timeout)
        if clock.now - START > 2.5:
            client.connection_watch.note(refusal)
        raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TRANSPORT))

    monkeypatch.setattr(client, "list_topics", silent)
    with pytest.raises(AccessDenied, match="wrong password"):
        producer.connect("t")


def test_connecting_asks_again_when_the_brokers_are_known(
    producer: RecordProducer, client: FakeProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second answer, from a broker, gives librdkafka the occasion to request its id."""
    asked: list[str] = []
    monkeypatch.setattr(client, "list_topics", lambda topic, **_: asked.append(topic))
    producer.connect("t")
    assert asked == ["t", "t"]


def test_full_queue_is_retried_by_a_thread_that_may_wait(
    producer: RecordProducer, client: FakeProducer
) -> None:
    """The record is accepted as soon as there is room."""
    client.refuse(BufferError("queue full"), times=3)
    assert producer.publish("t", b"k", b"v", []).offset == 0


def test_full_queue_refuses_the_record_of_a_thread_that_must_not_wait(
    producer: RecordProducer, client: FakeProducer
) -> None:
    """The error is reported at once, on the thread that sends."""
    client.refuse(BufferError("queue full"))
    reports: list[Exception | None] = []
    producer.deliver("t", b"k", b"v", [], reports.append)
    (failure,) = reports
    assert isinstance(failure, DeliveryFailed)
    assert "the send queue is full" in str(failure)
    assert client.sent == []


def test_topic_name_that_the_client_refuses_is_not_found(
    producer: RecordProducer, client: FakeProducer
) -> None:
    """A name with a NUL is a ValueError of confluent_kafka."""
    client.refuse(ValueError("embedded null"))
    with pytest.raises(TopicNotFound, match="does not exist"):
        producer.publish("t\0", b"k", b"v", [])


def test_fatal_error_of_the_client_is_raised_by_check(
    producer: RecordProducer, client: FakeProducer
) -> None:
    """Every later record would fail, so the owner has to make another producer."""
    producer.check()
    client.fatal = ck.KafkaError(ck.KafkaError._FATAL)
    producer.serve_reports()
    with pytest.raises(DeliveryFailed):
        producer.check()


def test_callback_that_raises_does_not_stop_later_callbacks(
    producer: RecordProducer, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    """The thread that serves the reports logs the exception and goes on."""
    producer.deliver("t", b"k", b"v", [], Mock(side_effect=RuntimeError("broken")))
    eventually(lambda: "A delivery callback failed" in caplog.text, "the failure is logged")
    assert producer.send("t", b"k", b"v", []).result(5).offset == 1


def test_forked_child_cannot_use_its_parents_producer(
    producer: RecordProducer, client: FakeProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has lost its threads in the child: nothing is handed to it."""
    with monkeypatch.context() as child:
        child.setattr(producer_module, "generation", lambda: -1)
        with pytest.raises(DeliveryFailed, match="belongs to the parent process"):
            producer.publish("t", b"k", b"v", [])
    assert client.sent == []
