"""Readers and producers on the session's broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.testing import Broker

from ..jobs import config_of
from .waiters import hand_over


@pytest.fixture
def config(real_broker: Broker) -> KafkaConfig:
    """Give the configuration of an Airflow connection, which has a group of its own."""
    return config_of(
        real_broker.bootstrap_servers, group_id="their-group", enable_auto_commit="true"
    )


@pytest.fixture
def open_reader(config: KafkaConfig) -> Iterator[Callable[..., ResponseReader]]:
    """Give a function that opens a reader of a topic, closed after the test."""
    opened: list[ResponseReader] = []

    def make(topic: str, linger: float = 30) -> ResponseReader:
        opened.append(ResponseReader(config, topic, hand_over, linger=linger))
        return opened[-1]

    yield make
    for reader in opened:
        reader.close()


@pytest.fixture
def producer(config: KafkaConfig) -> Iterator[RecordProducer]:
    """Give a producer."""
    with RecordProducer(config) as producer:
        yield producer
