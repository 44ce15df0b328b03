"""The secured broker and the cluster that tests use: they refuse and allow as they promise."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from kafka_bridge.testing import BrokerError, KafkaCluster, SecuredKafka

UniqueName = Callable[[str], str]


def topic_error(client: dict[str, Any], topic: str) -> str | None:
    """Return the name of the error that a client gets for a topic; None where it may see it."""
    admin = AdminClient({**client, "log_level": 0})
    error = admin.list_topics(topic, timeout=10).topics[topic].error
    return None if error is None else str(error.name())


def sent(client: dict[str, Any], topic: str) -> str | None:
    """Return the name of the error that sending a record has; None where it is acknowledged."""
    failures: list[str | None] = []
    producer = Producer({**client, "message.timeout.ms": 10_000, "acks": "all", "log_level": 0})
    producer.produce(
        topic, b"v", on_delivery=lambda error, _: failures.append(error.name() if error else None)
    )
    producer.flush(20)
    return failures[0]


def test_each_login_works_and_all_access_is_denied_until_allowed(
    secured_kafka: SecuredKafka, unique_name: UniqueName
) -> None:
    """A user comes in by SCRAM-SHA-512, -256 or certificate, and may do what was allowed."""
    user, topic = unique_name("user"), unique_name("topic")
    secured_kafka.add_user(user)
    secured_kafka.create_topic(topic, 1)
    clients = [
        secured_kafka.client(user),
        secured_kafka.client(user, "SCRAM-SHA-256"),
        secured_kafka.certificate_client(user),
    ]
    for client in clients:
        assert topic_error(client, topic) == "TOPIC_AUTHORIZATION_FAILED"
    secured_kafka.allow(user, "topic", topic, "Write")  # which implies Describe
    for client in clients:
        assert topic_error(client, topic) is None
        assert sent(client, topic) is None
    secured_kafka.disallow(user, "topic", topic, "Write")
    assert topic_error(clients[0], topic) == "TOPIC_AUTHORIZATION_FAILED"


def test_removed_user_can_no_longer_log_in(
    secured_kafka: SecuredKafka, unique_name: UniqueName
) -> None:
    """Removing a user and changing its password take effect for new connections."""
    user, topic = unique_name("user"), unique_name("topic")
    secured_kafka.add_user(user, "first")
    before = secured_kafka.client(user)
    secured_kafka.add_user(user, "second")
    for client in (before, secured_kafka.client(user)):
        admin = AdminClient({**client, "log_level": 0})
        if client is before:
            with pytest.raises(KafkaException):
                admin.list_topics(topic, timeout=1.0)
        else:
            admin.list_topics(topic, timeout=10.0)
    last = secured_kafka.client(user)
    secured_kafka.remove_user(user)
    with pytest.raises(KafkaException):
        AdminClient({**last, "log_level": 0}).list_topics(topic, timeout=1.0)
    with pytest.raises(BrokerError, match="add_user"):
        secured_kafka.client(user)


@pytest.mark.long
def test_a_cluster_loses_two_of_three_and_has_all_again(
    kafka_cluster: KafkaCluster, unique_name: UniqueName
) -> None:
    """Below min.insync.replicas nothing is acknowledged; after the start all brokers are back."""
    topic = unique_name("topic")
    kafka_cluster.create_topic(topic, 1, {"min.insync.replicas": "2"})
    client: dict[str, Any] = {"bootstrap.servers": kafka_cluster.bootstrap_servers}
    assert sent(client, topic) is None
    first, second, _ = kafka_cluster.numbers
    kafka_cluster.kill(first, second)
    assert [kafka_cluster.is_running(number) for number in kafka_cluster.numbers] == [
        False,
        False,
        True,
    ]
    assert sent(client, topic) is not None
    kafka_cluster.start()
    deadline = time.monotonic() + 30
    while sent(client, topic) is not None:
        assert time.monotonic() < deadline
    partition = AdminClient(client).list_topics(topic, timeout=10).topics[topic].partitions[0]
    assert len(partition.replicas) == 3
