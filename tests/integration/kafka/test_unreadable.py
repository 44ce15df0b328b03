"""A batch that unpacks to more than librdkafka allows is skipped, on a real Kafka."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from queue import Queue
from typing import TYPE_CHECKING

import confluent_kafka as ck
import pytest

from integration.jobs import WAIT_SECONDS, event
from integration.kafka.waiters import Waiter, say
from integration.unreadable import publish_unreadable
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.consumer import RequestConsumer
from kafka_bridge.kafka.follower import TopicFollower
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.offsets import read_record
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.unreadable import SkippedBatches, find_end
from kafka_bridge.protocol.errors import RecordGone, RecordLocation
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

BETWEEN = 40
"""How many records the first of two unreadable batches has."""


@pytest.fixture(scope="module")
def blocked(real_broker: Broker, unique_name: Callable[[str], str]) -> Iterator[str]:
    """Give a topic: ``before``, a batch of 40 records, a batch of one, ``after``."""
    topic = unique_name("blocked")
    real_broker.create_topic(topic, 1)
    servers = real_broker.bootstrap_servers
    producer = ck.Producer({"bootstrap.servers": servers})
    producer.produce(topic, b"before")
    producer.flush(WAIT_SECONDS)
    publish_unreadable(servers, topic, records=BETWEEN)
    publish_unreadable(servers, topic)
    producer.produce(topic, b"after")
    assert producer.flush(WAIT_SECONDS) == 0
    yield topic
    real_broker.delete_topics([topic])


def ranges(skipped: list[SkippedBatches]) -> list[tuple[int, int, int]]:
    """Return what was skipped: first offset, end, batches."""
    return [(each.first, each.end, each.batches) for each in skipped]


WHAT_IS_SKIPPED = [(1, BETWEEN + 2, 2)]


def test_end_of_a_batch_is_found_and_so_is_that_of_the_next(
    config: KafkaConfig, blocked: str
) -> None:
    """From the first of a batch's 40 records, and from the middle of it."""
    assert find_end(config, blocked, 0, 1) == (BETWEEN + 2, 2)
    assert find_end(config, blocked, 0, 1 + BETWEEN) == (BETWEEN + 2, 1)


def test_scan_goes_on_behind_it(
    config: KafkaConfig, blocked: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ledger, look-ups and dead letters read all other records; the log has the loss."""
    skipped: list[SkippedBatches] = []
    batches = scan(config, blocked, (), timeout=30, skipped=skipped.append)
    with caplog.at_level(logging.ERROR, "kafka_bridge"):
        assert [each.value() for batch in batches for each in batch] == [b"before", b"after"]
    assert ranges(skipped) == WHAT_IS_SKIPPED
    assert f"{blocked}[0]: the batch at offset 1 cannot be read" in caplog.text
    assert f"Skipped {blocked}[0] offsets 1 to {BETWEEN + 1}: 2 unreadable batch(es)" in caplog.text


def test_scan_from_the_middle_of_it_and_up_to_its_end(
    real_broker: Broker, topics: TopicFactory, config: KafkaConfig
) -> None:
    """A topic that ends with such a batch is read to its end from any offset."""
    topic = topics(partitions=1)
    publish_unreadable(real_broker.bootstrap_servers, topic, records=BETWEEN)
    assert list(scan(config, topic, [BETWEEN // 2], timeout=30)) == []


def test_worker_goes_on_behind_it(
    config: KafkaConfig, blocked: str, unique_name: Callable[[str], str]
) -> None:
    """Its consumer returns the following records, and reports what it has skipped."""
    skipped: list[SkippedBatches] = []
    consumer = RequestConsumer(
        config,
        blocked,
        unique_name("group"),
        assigned=lambda _: None,
        revoked=lambda _: None,
        lost=lambda _: None,
        skipped=skipped.append,
    )
    values: list[bytes | None] = []
    with contextlib.closing(consumer):
        while b"after" not in values:
            values += [each.value for each in consumer.poll(WAIT_SECONDS)]
    assert values == [b"before", b"after"]
    assert ranges(skipped) == WHAT_IS_SKIPPED


def test_follower_goes_on_behind_it(config: KafkaConfig, blocked: str) -> None:
    """Commands behind it are received, and the records before it count as read."""
    seen, skipped = Queue[Record](), list[SkippedBatches]()
    follower = TopicFollower(
        config, blocked, "test", seen.put, timeout=WAIT_SECONDS, skipped=skipped.append
    )
    with contextlib.closing(follower):
        follower.catch_up(WAIT_SECONDS)
        assert [seen.get_nowait().value for _ in range(2)] == [b"before", b"after"]
    assert ranges(skipped) == WHAT_IS_SKIPPED


def test_waiting_job_receives_events_behind_it(
    real_broker: Broker,
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
    eventually: Eventually,
) -> None:
    """If the batch arrives while the job waits, and for a job for which the reader goes back."""
    topic = topics(partitions=1)
    reader = open_reader(topic)
    first, second = Waiter().join(reader, [0]), Waiter()
    say(producer, topic, event(second.job, JobState.ACCEPTED), event(first.job))
    assert first.event().state is JobState.SUCCEEDED
    publish_unreadable(real_broker.bootstrap_servers, topic, records=BETWEEN)
    say(producer, topic, event(first.job, JobState.RUNNING, sequence=1), event(second.job))
    assert first.event().state is JobState.RUNNING
    assert reader.counts.unreadable == BETWEEN
    eventually(lambda: reader.positions == {0: 2 + BETWEEN + 2}, "the reader is at the end")
    reader._dispatcher.recent.start_at(reader.positions)  # forgotten by then
    second.join(reader, [0])
    assert [second.event().state for _ in range(2)] == [JobState.ACCEPTED, JobState.SUCCEEDED]
    assert reader.counts.unreadable == 2 * BETWEEN


def test_record_in_it_is_gone(config: KafkaConfig, blocked: str) -> None:
    """Reading a record of such a batch is an error at once."""
    with pytest.raises(RecordGone, match=r"\[0\]@3 cannot be read: Decompression .* failed"):
        read_record(config, RecordLocation(blocked, 0, 3), WAIT_SECONDS)
