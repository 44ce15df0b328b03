"""A whole topic, followed on real Kafka from some offsets on."""

from __future__ import annotations

import contextlib
import re
from queue import Queue
from typing import TYPE_CHECKING

import pytest

from integration.jobs import WAIT_SECONDS
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.follower import TopicFollower
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import ReaderClosed, TopicNotFound

if TYPE_CHECKING:
    from conftest import TopicFactory


def test_topic_is_followed_from_some_offsets_on(
    config: KafkaConfig, producer: RecordProducer, topics: TopicFactory
) -> None:
    """Existing records are read before ``catch_up`` returns, then new ones.

    Partitions without an offset are read from their beginning.
    """
    topic, seen = topics(partitions=2), Queue[Record]()
    places = [producer.publish(topic, b"%d" % number, b"", []) for number in range(40)]
    wanted = {place for place in places if place.partition == 1 or place.offset >= 3}
    assert 3 < len(wanted) < len(places)
    follower = TopicFollower(config, topic, "test", seen.put, starts=[3], timeout=WAIT_SECONDS)
    with contextlib.closing(follower):
        follower.catch_up(WAIT_SECONDS)
        assert {seen.get_nowait().location for _ in wanted} == wanted
        place = producer.publish(topic, b"later", b"", [])
        assert seen.get(timeout=WAIT_SECONDS).location == place
        assert seen.empty()


@pytest.mark.parametrize("bug", [ValueError("a bug"), SystemExit(3)])
def test_end_of_its_thread_is_an_error(
    config: KafkaConfig, producer: RecordProducer, topics: TopicFactory, bug: BaseException
) -> None:
    """Whatever ended the thread, ``catch_up`` and ``check`` raise it."""
    topic = topics(partitions=1)
    producer.publish(topic, b"key", b"", [])

    def take(_: Record) -> None:
        raise bug

    follower = TopicFollower(config, topic, "test", take, timeout=WAIT_SECONDS)
    with contextlib.closing(follower):
        with pytest.raises(ReaderClosed, match=re.escape(repr(bug))):
            follower.catch_up(WAIT_SECONDS)
        with pytest.raises(ReaderClosed):
            follower.check()


def test_missing_topic_is_an_error(config: KafkaConfig) -> None:
    """The error names the topic."""
    with pytest.raises(TopicNotFound, match=r"'no\.such\.topic' does not exist"):
        TopicFollower(config, "no.such.topic", "test", print, timeout=WAIT_SECONDS)
