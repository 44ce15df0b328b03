"""The topics of a stage: made with fresh names, and removed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from kafka_bridge.kafka.admin.topics import (
    Copies,
    TopicNames,
    create_embedded_topics,
    create_topics,
    delete_topics,
    describe_cluster,
    plan_topics,
)
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.protocol.errors import TopicNotFound

PARTITIONS = 4
"""Of the topics for requests and responses: as many as the embedded broker gives to each topic."""
PREFIX = "kafka-bridge-conformance"
BROKERS_DEFAULT = Copies(-1, None)
KEPT = timedelta(hours=1)
KNOWN_SECONDS = 30.0
"""How long it may take until all brokers know a new topic."""


def fresh_name() -> str:
    """Return a name that nobody else uses."""
    return f"{PREFIX}-{uuid.uuid4().hex[:12]}"


@contextmanager
def fresh_topics(config: KafkaConfig) -> Iterator[TopicNames]:
    """Give four new topics, and remove them.

    The embedded broker cannot remove topics: they end with it.

    :raises KafkaError: the brokers refuse or do not answer
    """
    name = fresh_name()
    names = TopicNames(
        *(f"{name}.{each}" for each in ("requests", "responses", "control", "dead-letters"))
    )
    is_embedded = describe_cluster(config).is_embedded
    try:
        if is_embedded:
            create_embedded_topics(config, names)
        else:
            plans = plan_topics(
                names,
                partitions=PARTITIONS,
                copies=BROKERS_DEFAULT,
                longest_job=KEPT,
                longest_wait=KEPT,
            )
            create_topics(config, plans)
            _until_known(config, names)
        yield names
    finally:
        if not is_embedded:
            delete_topics(config, names)


@retry(
    retry=retry_if_exception_type(TopicNotFound),
    wait=wait_fixed(0.1),
    stop=stop_after_delay(KNOWN_SECONDS),
    reraise=True,
)
def _until_known(config: KafkaConfig, names: TopicNames) -> None:
    """Wait until the brokers know new topics, with the leaders of their partitions."""
    end_offsets(config, names, KNOWN_SECONDS)
