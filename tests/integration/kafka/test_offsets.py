"""The ends of topics, and the record at a known offset, on a real Kafka."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient

from integration.jobs import WAIT_SECONDS, config_of
from kafka_bridge.kafka.offsets import end_offsets, read_record
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.errors import (
    BrokerUnreachable,
    RecordGone,
    RecordLocation,
    TopicNotFound,
)
from kafka_bridge.testing import Broker
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from conftest import TopicFactory


def fill(broker: Broker, topic: str, count: int) -> list[RecordLocation]:
    """Write records with different keys, and return where they lie."""
    with RecordProducer(config_of(broker.bootstrap_servers)) as producer:
        sent = [producer.send(topic, b"%d" % n, b"value %d" % n, []) for n in range(count)]
    return [each.result() for each in sent]


def delete_before(broker: Broker, topic: str, offset: int) -> None:
    """Delete the records of a partition that lie before an offset, as retention does."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    (answer,) = admin.delete_records([ck.TopicPartition(topic, 0, offset)]).values()
    answer.result(WAIT_SECONDS)


def test_ends_are_those_of_each_partition(real_broker: Broker, topics: TopicFactory) -> None:
    """By topic and partition, the offset of the next record; 0 if empty."""
    full, empty = topics(partitions=4), topics(partitions=2)
    expected = [0] * 4
    for place in fill(real_broker, full, 20):
        expected[place.partition] = max(expected[place.partition], place.offset + 1)
    ends = end_offsets(config_of(real_broker.bootstrap_servers), [full, empty], WAIT_SECONDS)
    assert ends == {full: expected, empty: [0, 0]}
    assert sum(expected) == 20


def test_ends_of_a_missing_topic_are_an_error(real_broker: Broker, topics: TopicFactory) -> None:
    """The error names the one missing topic, which is not created."""
    config = config_of(real_broker.bootstrap_servers, allow_auto_create_topics=True)
    there = topics()
    for _ in range(2):
        with pytest.raises(TopicNotFound, match=r"topic 'no.such.topic' does not exist"):
            end_offsets(config, [there, "no.such.topic"], WAIT_SECONDS)


def test_ends_of_unreachable_brokers_are_an_error_in_time() -> None:
    """Within the timeout, with the addresses."""
    servers = f"127.0.0.1:{free_port()}"
    before = time.monotonic()
    with pytest.raises(BrokerUnreachable, match=servers):
        end_offsets(config_of(servers), ["t"], timeout=1)
    assert time.monotonic() - before < 15


def test_record_is_read_by_its_offset(real_broker: Broker, topics: TopicFactory) -> None:
    """Each record of each partition, also the first and the last."""
    topic = topics(partitions=2)
    config = config_of(real_broker.bootstrap_servers)
    places = fill(real_broker, topic, 6)
    for n in (0, 3, 5):
        record = read_record(config, places[n], WAIT_SECONDS)
        assert (record.location, record.value) == (places[n], b"value %d" % n)


@pytest.mark.parametrize("deleted", [3, 5], ids=["some", "all"])
def test_record_that_retention_removed_is_gone(
    real_broker: Broker, topics: TopicFactory, deleted: int
) -> None:
    """It is a separate error, raised at once, whether or not other records are left."""
    topic = topics()
    config = config_of(real_broker.bootstrap_servers)
    places = fill(real_broker, topic, 5)
    delete_before(real_broker, topic, deleted)
    before = time.monotonic()
    with pytest.raises(RecordGone, match=r"record .*\[0\]@2 no longer exists: the topic's ret"):
        read_record(config, places[2], WAIT_SECONDS)
    assert time.monotonic() - before < 25


def test_record_of_a_recreated_topic_is_gone(real_broker: Broker, topics: TopicFactory) -> None:
    """An offset beyond the end of the topic is not waited for."""
    topic = topics()
    fill(real_broker, topic, 1)
    with pytest.raises(RecordGone, match="or the topic was deleted and created"):
        read_record(
            config_of(real_broker.bootstrap_servers), RecordLocation(topic, 0, 9), WAIT_SECONDS
        )


def test_record_of_a_missing_topic_is_an_error(real_broker: Broker) -> None:
    """The error names the topic."""
    place = RecordLocation("no.such.topic", 0, 0)
    before = time.monotonic()
    with pytest.raises(TopicNotFound, match=r"topic 'no.such.topic' does not exist"):
        read_record(config_of(real_broker.bootstrap_servers), place, WAIT_SECONDS)
    assert time.monotonic() - before < 25


def test_record_that_does_not_arrive_is_an_error_in_time() -> None:
    """Within the timeout, with the topic and the addresses."""
    servers = f"127.0.0.1:{free_port()}"
    before = time.monotonic()
    words = f"no Kafka broker answered at {servers} while looking for topic 't'"
    with pytest.raises(BrokerUnreachable, match=words):
        read_record(config_of(servers), RecordLocation("t", 0, 7), timeout=1)
    assert time.monotonic() - before < 15
