"""Creates topics and checks the readiness of a broker over the network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kafka_bridge.testing.brokers.errors import BrokerError, TopicExists

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_TIMEOUT = 10.0
"""Seconds for one request to a broker that is known to run; far more than a local one needs."""

TOPIC_TIMEOUT = 30.0
"""Seconds until a new topic's partitions must have leaders."""

POLL_INTERVAL = 0.05
"""Seconds between two checks of a condition."""


def admin_client(bootstrap_servers: str) -> AdminClient:
    """Make an admin client that reconnects quickly and prints nothing meanwhile."""
    return AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 0,  # a broker that is starting refuses connections: no news
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
        }
    )


def create(
    bootstrap_servers: str,
    name: str,
    partitions: int | None,
    config: Mapping[str, str],
    replication: int = -1,
) -> None:
    """Create a topic and wait until each of its partitions has a leader."""
    admin = admin_client(bootstrap_servers)
    topic = NewTopic(name, partitions or -1, replication, config=dict(config))
    try:
        admin.create_topics([topic], request_timeout=REQUEST_TIMEOUT)[name].result()
    except KafkaException as error:
        raise _as_broker_error(error, name, bootstrap_servers) from error
    _wait_for_leaders(admin, name)


def delete(bootstrap_servers: str, names: list[str]) -> None:
    """Delete topics; missing ones are ignored."""
    if not names:
        return
    admin = admin_client(bootstrap_servers)  # must outlive its answers
    answers = admin.delete_topics(names, request_timeout=REQUEST_TIMEOUT)
    for name, answer in answers.items():
        try:
            answer.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise _as_broker_error(error, name, bootstrap_servers) from error


def cluster_id(admin: AdminClient, timeout: float) -> str | None:
    """Return the id of the cluster; None if it does not answer within `timeout` seconds."""
    return cluster_of(admin, timeout)[0]


def cluster_of(admin: AdminClient, timeout: float) -> tuple[str | None, int]:
    """Return the id of the cluster and its number of brokers; (None, 0) without an answer."""
    try:
        answer = admin.list_topics(timeout=timeout)
    except KafkaException:
        return None, 0
    return answer.cluster_id, len(answer.brokers)


def can_create(admin: AdminClient, timeout: float) -> bool:
    """Return whether the broker would create a topic now; none is created."""
    topic = NewTopic("kafka-bridge.readiness", num_partitions=1)
    answers = admin.create_topics([topic], request_timeout=timeout, validate_only=True)
    try:
        answers[topic.topic].result()
    except KafkaException as error:
        return bool(error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS)
    return True


def _wait_for_leaders(admin: AdminClient, name: str) -> None:
    deadline = time.monotonic() + TOPIC_TIMEOUT
    while not _has_leaders(admin, name):
        if time.monotonic() > deadline:
            raise BrokerError(f"topic {name!r} was created but got no leaders in {TOPIC_TIMEOUT} s")
        time.sleep(POLL_INTERVAL)


def _has_leaders(admin: AdminClient, name: str) -> bool:
    # All topics, not this one: asking for one by name makes some brokers create it.
    topic = admin.list_topics(timeout=REQUEST_TIMEOUT).topics.get(name)
    if topic is None or topic.error is not None or not topic.partitions:
        return False
    return all(partition.leader >= 0 for partition in topic.partitions.values())


def _as_broker_error(error: KafkaException, name: str, bootstrap_servers: str) -> BrokerError:
    cause = error.args[0]
    if cause.code() == KafkaError.TOPIC_ALREADY_EXISTS:
        return TopicExists(f"topic {name!r} exists already at {bootstrap_servers}")
    return BrokerError(f"{bootstrap_servers} refused topic {name!r}: {cause.str()}")
