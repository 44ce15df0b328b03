"""How a response topic is read, with scripted clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses import topic_consumer
from kafka_bridge.kafka.responses.topic_consumer import TopicConsumer
from kafka_bridge.testing.fakes import FakeConsumer

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})


class Offsets:
    """Stands in for the questions to the brokers, which have their own connections."""

    admin = None

    def __init__(self, _: KafkaConfig) -> None:
        pass

    def partitions(self, *_: object) -> range:
        """Return the topic's two."""
        return range(2)


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch) -> list[FakeConsumer]:
    """Give the consumers that are made."""
    made: list[FakeConsumer] = []

    def make(kind: object, settings: Mapping[str, Any]) -> FakeConsumer:
        made.append(FakeConsumer("t", partitions=2).make(kind, settings))
        return made[-1]

    monkeypatch.setattr(topic_consumer, "make", make)
    monkeypatch.setattr(topic_consumer, "TopicOffsets", Offsets)
    return made


def test_each_start_has_a_consumer_that_is_not_connected_yet(
    consumers: list[FakeConsumer],
) -> None:
    """Only then the first fetch asks for all partitions."""
    source = TopicConsumer(CONFIG, "t")
    source.open()
    assert source.partitions() == range(2)
    assert not consumers
    for start in (5, 3):
        source.assign({0: start, 1: 7})
        assert {each.partition: each.offset for each in consumers[-1].assignment()} == {
            0: start,
            1: 7,
        }
    assert [each.closed for each in consumers] == [True, False]
    source.close()
    assert [each.closed for each in consumers] == [True, True]


def test_records_come_from_the_latest_start(consumers: list[FakeConsumer]) -> None:
    """What an earlier consumer has fetched is not read."""
    source = TopicConsumer(CONFIG, "t")
    source.open()
    assert source.poll() == []
    source.assign({0: 5, 1: 7})
    consumers[0].add_record(b"not wanted", offset=5)
    source.assign({0: 3, 1: 7})
    consumers[1].add_record(b"wanted", offset=3)
    assert [each.value() for each in source.poll()] == [b"wanted"]
    source.note_positions()
    assert source.positions == {0: 4, 1: 7}
