"""Whether a record fits, asked before anything is sent."""

from __future__ import annotations

import contextlib

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.failures import too_large

PRODUCER_BYTES = 1_000_000
"""librdkafka's own limit, where the configuration sets none."""
ASK_FROM_BYTES = 50_000
"""Smaller records are not worth the question: no topic is set so low, and the broker would refuse
them in the same words."""


def require_fitting(config: KafkaConfig, topic: str, size: int, timeout: float) -> None:
    """Make sure that a record of so many bytes is taken by the producer and by the topic.

    A topic's limit is on what was compressed, so with compression only the broker can tell; where
    the topic's settings may not be seen, too.

    :param timeout: seconds for the question to the brokers
    :raises RecordTooLarge: it does not fit
    """
    own = int(config.settings.get("message.max.bytes", PRODUCER_BYTES))
    if size > own:
        raise too_large(topic, size, f"the producer's 'message.max.bytes' is {own:,}")
    if size < ASK_FROM_BYTES or config.settings.get("compression.type", "none") != "none":
        return
    with contextlib.suppress(ck.KafkaException):
        theirs = _limit_of(config, topic, timeout)
        if size > theirs:
            raise too_large(topic, size, f"the topic's 'max.message.bytes' is {theirs:,}")


def _limit_of(config: KafkaConfig, topic: str, timeout: float) -> int:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = make(AdminClient, config.admin())
    (answer,) = admin.describe_configs([resource], request_timeout=timeout).values()
    return int(answer.result()["max.message.bytes"].value)
