"""The versions of what every side of the bridge uses."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import confluent_kafka as ck

from kafka_bridge import __version__
from kafka_bridge.findings import Finding, ok
from kafka_bridge.kafka.broker_release import broker_release
from kafka_bridge.kafka.config import KafkaConfig


def versions(_: float) -> Iterator[Finding]:
    """Yield the versions of this side."""
    yield ok(
        f"kafka-bridge {__version__}, Python {platform.python_version()}, confluent-kafka "
        f"{ck.version()}, librdkafka {ck.libversion()[0]}, {platform.system()} "
        f"{platform.machine()}"
    )


def release(config: KafkaConfig, _: float) -> Iterator[Finding]:
    """Yield the release of a broker, if it tells it."""
    found = broker_release(config.settings)
    if found is not None:
        yield ok(f"Kafka {found}, by the features that a broker supports")
    else:
        yield ok(
            "not known: brokers before Kafka 3.3 do not tell it, nor does a listener that wants a "
            "client's certificate first"
        )
