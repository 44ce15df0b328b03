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


@pytest.fixture(scope="module")
def shared(
    real_broker: Broker,
    producer: RecordProducer,
    unique_name: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Give a stage with one worker, for all tests that leave it as it was."""
    stage = Stage(
        config_of(real_broker.bootstrap_servers),
        producer,
        requests=unique_name("requests"),
        responses=unique_name("responses"),
        dead_letters=unique_name("dead-letters"),
        control=unique_name("control"),
        group=unique_name("service"),
        folder=tmp_path_factory.mktemp("worker"),
    )
    names = [stage.requests, stage.responses, stage.dead_letters, stage.control]
    for name in names:
        real_broker.create_topic(name, 2)
    try:
        stage.start("--concurrency", "2")
        yield stage
        assert stage.programs[0].stop() == 0
    finally:
        stage.close()
        real_broker.delete_topics(names)
