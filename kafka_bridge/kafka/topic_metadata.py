"""Ask the brokers for a topic's partitions and settings."""

from __future__ import annotations

from typing import Any

from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from kafka_bridge.kafka.clients import ask
from kafka_bridge.kafka.error_translation import topic_not_found, translate


def partition_count(client: Any, topic: str, servers: str, timeout: float) -> int:
    """Return how many partitions a topic has, asked of an admin client, producer or consumer.

    :raises KafkaError: as in :func:`~kafka_bridge.kafka.offsets.end_offsets`
    """
    doing = f"looking for topic {topic!r}"
    try:
        metadata = ask(
            client,
            lambda seconds: client.list_topics(topic, timeout=seconds).topics[topic],
            doing=doing,
            servers=servers,
            topic=topic,
            timeout=timeout,
        )
    except (ValueError, RuntimeError) as error:  # with a NUL, or too long: they do not even ask
        raise topic_not_found(topic, servers) from error
    if metadata.error is not None:
        raise translate(metadata.error, doing=doing, servers=servers, topic=topic)
    if not metadata.partitions:
        raise topic_not_found(topic, servers)
    return len(metadata.partitions)


def topic_settings(admin: AdminClient, topic: str, timeout: float) -> dict[str, str]:
    """Return a topic's settings by name, defaults too.

    :param timeout: seconds for the brokers to answer
    :raises confluent_kafka.KafkaException: they do not answer, or the settings may not be seen
    """
    resource = ConfigResource(ResourceType.TOPIC, topic)
    (answer,) = admin.describe_configs([resource], request_timeout=timeout).values()
    return {name: entry.value for name, entry in answer.result().items()}
