"""Fixtures that the integration tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.jobs import config_of
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.testing import Broker


@pytest.fixture(scope="session")
def producer(real_broker: Broker) -> Iterator[RecordProducer]:
    """Give one producer to all tests: each takes half a second to get its first record out."""
    with RecordProducer(config_of(real_broker.bootstrap_servers)) as producer:
        yield producer
