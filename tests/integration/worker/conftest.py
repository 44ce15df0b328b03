"""Fixtures of the tests that run workers as programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.jobs import config_of
from integration.worker.programs import Stage
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import TopicFactory


@pytest.fixture(scope="session")
def producer(real_broker: Broker) -> Iterator[RecordProducer]:
    """Give one producer to all tests: each takes half a second to get its first record out."""
    with RecordProducer(config_of(real_broker.bootstrap_servers)) as producer:
        yield producer


@pytest.fixture
def stage(
    real_broker: Broker,
    producer: RecordProducer,
    topics: TopicFactory,
    unique_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Stage]:
    """Give topics and a group that nobody else uses; workers started on them end with the test."""
    stage = Stage(
        config_of(real_broker.bootstrap_servers),
        producer,
        requests=topics("requests", 4),
        responses=topics("responses", 4),
        dead_letters=topics("dead-letters"),
        control=topics("control", 1),
        group=unique_name("service"),
        folder=tmp_path,
    )
    yield stage
    stage.close()
