"""A pytest plugin: a Kafka for the tests of whoever writes a worker, with nothing to install.

It is loaded by itself wherever kafka-bridge is installed, and offers one session fixture::

    from confluent_kafka import Producer

    def test_my_service_answers(kafka_broker):
        kafka_broker.create_topic("jobs.requests")
        producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers})
        producer.produce("jobs.requests", b"...", key="a-correlation-id")
        assert producer.flush(10) == 0

The broker lives in the test process; services started as other processes reach it at the same
address. What it cannot do stands in `kafka_bridge.testing.EmbeddedBroker`. Because pytest imports
this module in every run, it must not import a Kafka client: that happens in the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka_bridge.testing.brokers.embedded import EmbeddedBroker


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[EmbeddedBroker]:
    """Give the session one embedded broker; use topic names of your own in each test."""
    from kafka_bridge.testing.brokers.embedded import EmbeddedBroker

    with EmbeddedBroker() as broker:
        yield broker
