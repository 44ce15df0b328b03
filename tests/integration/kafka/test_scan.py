"""A scan reads a topic to its end, on a real Kafka, whatever is at its end."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import confluent_kafka as ck
import pytest

from integration.jobs import WAIT_SECONDS, config_of
from integration.kafka.test_offsets import delete_before, fill
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.scan import offsets_since, scan
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.records import location_of
from kafka_bridge.protocol.errors import BrokerUnreachable
from kafka_bridge.testing import Broker, EmbeddedBroker

if TYPE_CHECKING:
    from conftest import TopicFactory


def values(
    config: KafkaConfig, topic: str, start: datetime | Sequence[int] = (), timeout: float = 10
) -> list[bytes | None]:
    """Return the values of all records of a scan."""
    return [each.value() for batch in scan(config, topic, start, timeout=timeout) for each in batch]


def test_all_partitions_are_read_once(real_broker: Broker, topics: TopicFactory) -> None:
    """From the first record that retention has left to the end of the topic."""
    config = config_of(real_broker.bootstrap_servers)
    topic, empty = topics(partitions=3), topics(partitions=2)
    places = fill(real_broker, topic, 2_500)
    cut = max(place.offset for place in places if place.partition == 0)
    delete_before(real_broker, topic, cut)
    kept = [place for place in places if place.partition != 0 or place.offset == cut]
    batches = scan(config, topic, (), timeout=30)
    found = list(next(batches))
    fill(real_broker, topic, 100)
    found += [each for batch in batches for each in batch]
    assert sorted(str(location_of(each)) for each in found) == sorted(map(str, kept))
    assert values(config, empty) == []
    assert values(config, topic, datetime(2100, 1, 1, tzinfo=UTC)) == []


def test_scan_begins_at_a_time(real_broker: Broker, topics: TopicFactory) -> None:
    """In each partition, with the first record since that time."""
    config, topic = config_of(real_broker.bootstrap_servers), topics(partitions=2)
    producer = ck.Producer({"bootstrap.servers": real_broker.bootstrap_servers})
    for second in range(1, 7):
        producer.produce(topic, b"%d" % second, partition=second % 2, timestamp=second * 1000)
    producer.flush(WAIT_SECONDS)
    assert sorted(values(config, topic, datetime.fromtimestamp(4, UTC))) == [b"4", b"5", b"6"]  # type: ignore[type-var]
    for second, offsets in ((4, [1, 2]), (6, [2, 3]), (7, [3, 3])):
        assert offsets_since(config, topic, datetime.fromtimestamp(second, UTC), timeout=30) == (
            offsets
        )


def test_scan_ends_behind_transaction_markers_and_aborted_records(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """No record is before the end then; an open transaction is a separate case."""
    config, topic = config_of(real_broker.bootstrap_servers), topics(partitions=1)
    producer = ck.Producer({**config.producer(30), "transactional.id": topic})
    producer.init_transactions(WAIT_SECONDS)
    producer.begin_transaction()
    producer.produce(topic, b"committed")
    producer.commit_transaction(WAIT_SECONDS)
    producer.begin_transaction()
    producer.produce(topic, b"aborted")
    producer.flush(WAIT_SECONDS)
    with pytest.raises(BrokerUnreachable, match=r"was not reached .*an open transaction holds"):
        values(config, topic, timeout=0.5)
    producer.abort_transaction(WAIT_SECONDS)
    assert values(config, topic) == [b"committed"]
    assert end_offsets(config, [topic], WAIT_SECONDS) == {topic: [4]}


def test_broker_that_finds_nothing_by_time_is_read_from_the_beginning() -> None:
    """The mock cluster of librdkafka finds none: a scan that trusted it would miss all records."""
    with EmbeddedBroker(topics=["t"]) as broker:
        fill(broker, "t", 20)
        config = config_of(broker.bootstrap_servers)
        assert len(values(config, "t", datetime.fromtimestamp(0, UTC))) == 20


def test_scan_from_a_time_waits_for_a_transaction_that_is_open(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """It begins before the records that the transaction holds back, and yields them once it ends.

    A reader of committed records that asks for the first one since a time is told of none there:
    the question has to be that of a reader of all records.
    """
    config, topic = config_of(real_broker.bootstrap_servers), topics(partitions=1)
    plain = ck.Producer({"bootstrap.servers": real_broker.bootstrap_servers})
    plain.produce(topic, b"old", timestamp=1_000)
    plain.flush(WAIT_SECONDS)
    since = datetime.fromtimestamp(4, UTC)
    theirs = ck.Producer({**config.producer(30), "transactional.id": topic})
    theirs.init_transactions(WAIT_SECONDS)
    theirs.begin_transaction()
    theirs.produce(topic, b"theirs", timestamp=5_000)
    theirs.flush(WAIT_SECONDS)
    plain.produce(topic, b"ours", timestamp=6_000)
    plain.flush(WAIT_SECONDS)
    with pytest.raises(BrokerUnreachable, match=r"was not reached .*an open transaction holds"):
        values(config, topic, since, timeout=0.5)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(values, config, topic, since, WAIT_SECONDS)
        theirs.commit_transaction(WAIT_SECONDS)
        assert found.result() == [b"theirs", b"ours"]
