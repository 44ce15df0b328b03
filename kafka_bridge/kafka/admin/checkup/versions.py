"""The versions of what every side of the bridge uses."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import confluent_kafka as ck

from kafka_bridge import __version__
from kafka_bridge.findings import Finding, ok


def versions(_: float) -> Iterator[Finding]:
    """Yield the versions. Kafka's protocol does not tell the brokers' version."""
    yield ok(
        f"kafka-bridge {__version__}, Python {platform.python_version()}, confluent-kafka "
        f"{ck.version()}, librdkafka {ck.libversion()[0]}, {platform.system()} "
        f"{platform.machine()}"
    )
