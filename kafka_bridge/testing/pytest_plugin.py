"""A pytest plugin: a Kafka broker for the tests of a worker, with nothing to install.

pytest loads it automatically if kafka-bridge is installed. It has one session fixture::

    from confluent_kafka import Producer

    def test_my_service_answers(kafka_broker):
        kafka_broker.create_topic("jobs.requests")
        producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers})
        producer.produce("jobs.requests", b"...", key="a-correlation-id")
        assert producer.flush(10) == 0

The broker runs in the test process; other processes reach it at the same address. Its limits are
documented in `kafka_bridge.testing.EmbeddedBroker`. pytest imports this module in every run, so it
must not import a Kafka client: the fixture does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_bridge.testing.brokers.embedded import EmbeddedBroker


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[EmbeddedBroker]:
    """Give an embedded broker that the session shares; use different topic names in each test."""
    # Not at the top: pytest loads this module in every project that has kafka-bridge installed.
    from kafka_bridge.testing.brokers.embedded import EmbeddedBroker  # noqa: PLC0415

    with EmbeddedBroker() as broker:
        yield broker
