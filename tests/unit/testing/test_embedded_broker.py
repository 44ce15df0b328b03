"""The embedded broker in one process, and its errors for what it does not support."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from kafka_bridge.testing import BrokerError, BrokerStartFailed, EmbeddedBroker
from kafka_bridge.testing.brokers.topics import admin_client, cluster_id
from kafka_bridge.testing.ports import free_port, is_free

if TYPE_CHECKING:
    from collections.abc import Callable


def test_published_record_is_consumed(
    kafka_broker: EmbeddedBroker, unique_name: Callable[..., str]
) -> None:
    """The pytest fixture is a broker."""
    topic = unique_name("topic")
    kafka_broker.create_topic(topic)
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers})
    producer.produce(topic, b"value", key=b"key", partition=2)
    assert producer.flush(10) == 0
    consumer = Consumer({"bootstrap.servers": kafka_broker.bootstrap_servers, "group.id": topic})
    consumer.assign([TopicPartition(topic, 2, 0)])
    message = consumer.poll(10)
    consumer.close()
    assert message is not None
    assert (message.key(), message.value()) == (b"key", b"value")


def test_topics_exist_from_the_start() -> None:
    """`topics=` are visible to any client, with 4 partitions, before the first record."""
    with EmbeddedBroker(topics=["jobs.requests", "jobs.responses"]) as broker:
        found = admin_client(broker.bootstrap_servers).list_topics(timeout=10).topics
    assert {name: len(topic.partitions) for name, topic in found.items()} == {
        "jobs.requests": 4,
        "jobs.responses": 4,
    }


@pytest.mark.parametrize("wish", [{"partitions": 3}, {"config": {"cleanup.policy": "compact"}}])
def test_unsupported_topic_is_refused(kafka_broker: EmbeddedBroker, wish: dict[str, int]) -> None:
    """A test that needs partitions or settings does not run without them."""
    with pytest.raises(BrokerError, match="use ApacheKafka"):
        kafka_broker.create_topic("refused", **wish)  # type: ignore[arg-type]


def test_it_starts_quickly() -> None:
    """Quick enough for every test module to have its own: 0.1 s is usual."""
    started = time.monotonic()
    with EmbeddedBroker():
        assert time.monotonic() - started < 30


def test_it_ends_with_its_context() -> None:
    """After the `with` statement no broker answers, and the object raises an error."""
    with EmbeddedBroker() as broker:
        address = broker.bootstrap_servers
        assert cluster_id(admin_client(address), 10) is not None
    assert cluster_id(admin_client(address), 0.3) is None
    with pytest.raises(BrokerError, match="is not running"):
        _ = broker.bootstrap_servers


def test_port_can_be_chosen() -> None:
    """Clients publish and consume through it, and it is free again afterwards."""
    port = free_port()
    with EmbeddedBroker(["a-topic"], port=port) as broker:
        assert broker.bootstrap_servers == f"127.0.0.1:{port}"
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        producer.produce("a-topic", b"value", partition=0)
        assert producer.flush(10) == 0
        consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "g"})
        consumer.assign([TopicPartition("a-topic", 0, 0)])
        message = consumer.poll(10)
        consumer.close()
        assert message is not None
        assert message.value() == b"value"
    assert is_free(port)


def test_port_that_another_process_uses_is_refused() -> None:
    """The error names the address; the broker can be started once the port is free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = EmbeddedBroker(port=port)
        with pytest.raises(BrokerStartFailed, match=f"cannot listen on 127.0.0.1:{port}"):
            broker.start()
    with broker:
        assert cluster_id(admin_client(broker.bootstrap_servers), 10) is not None
