"""A topic's settings, as the brokers have them."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType


def topic_settings(admin: AdminClient, topic: str, timeout: float) -> dict[str, str]:
    """Return a topic's settings by name, defaults too.

    :param timeout: seconds for the brokers to answer
    :raises confluent_kafka.KafkaException: they do not answer, or the settings may not be seen
    """
    resource = ConfigResource(ResourceType.TOPIC, topic)
    (answer,) = admin.describe_configs([resource], request_timeout=timeout).values()
    return {name: entry.value for name, entry in answer.result().items()}
