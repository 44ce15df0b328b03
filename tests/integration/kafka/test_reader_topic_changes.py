"""A response topic whose offsets go back: waiting jobs receive their events all the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import confluent_kafka as ck
import pytest

from integration.jobs import WAIT_SECONDS, event
from integration.kafka.waiters import Waiter, say
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import TopicNotFound
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

RUNNING, SUCCEEDED = JobState.RUNNING, JobState.SUCCEEDED


@pytest.fixture
def recreate(
    real_broker: Broker, config: KafkaConfig, eventually: Eventually
) -> Callable[[str, int], None]:
    """Give a function that deletes a topic and creates it again with so many partitions."""

    def is_gone(topic: str) -> bool:
        try:
            end_offsets(config, [topic], WAIT_SECONDS)
        except TopicNotFound:
            return True
        return False

    def recreate(topic: str, partitions: int) -> None:
        real_broker.delete_topics([topic])
        eventually(lambda: is_gone(topic), "the topic is gone")
        real_broker.create_topic(topic, partitions)

    return recreate


@pytest.mark.parametrize("others", [0, 20], ids=["shorter than before", "longer than before"])
@pytest.mark.parametrize("partitions", [3, 1])
def test_jobs_are_served_from_a_recreated_topic(
    config: KafkaConfig,
    topics: TopicFactory,
    open_reader: Callable[..., ResponseReader],
    recreate: Callable[[str, int], None],
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
    others: int,
    partitions: int,
) -> None:
    """The job's end has a lower offset than its earlier events, and is received; the log says why.

    librdkafka itself continues at its offset if the new topic is long enough, without an error.
    """
    topic = topics(partitions=3)
    reader = open_reader(topic)
    waiter = Waiter().join(reader, [0, 0, 0])
    with RecordProducer(config) as sender:
        for number in range(8):
            say(sender, topic, event(waiter.job, RUNNING, sequence=number))
    assert waiter.sequences(8) == list(range(8))
    eventually(lambda: reader._source._watch._identity._known, "the topic's id is known")
    with caplog.at_level(logging.WARNING, "kafka_bridge"):
        recreate(topic, partitions)
        # At once, in one batch: before librdkafka has noticed.
        producer = ck.Producer({**config.settings, "partitioner": "murmur2_random"})
        for each in [event(waiter.job, sequence=8), *[event(waiter.job, RUNNING)] * others]:
            producer.produce(topic, encode(each), key=waiter.job)
        assert producer.flush(WAIT_SECONDS) == 0
        while waiter.event().state is not SUCCEEDED:
            pass
        eventually(lambda: "created again" in caplog.text, "the log says what happened")
    eventually(lambda: len(reader.positions) == partitions, "the partitions are followed")
    eventually(lambda: reader.health.is_live, "the reader hears again")


def test_job_with_start_offsets_behind_the_end_is_served(
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its request was published before the topic was created again: at the start, and later on."""
    topic = topics(partitions=1)
    first, second = Waiter(), Waiter()
    say(producer, topic, event(first.job, RUNNING), event(second.job, RUNNING))
    reader = open_reader(topic)
    with caplog.at_level(logging.WARNING, "kafka_bridge"):
        first.join(reader, [1_000])
        assert first.event().state is RUNNING
        second.join(reader, [500])
        assert second.event().state is RUNNING
    assert f"{topic}[0] ends at offset 2, before the next offset to read, 1000" in caplog.text
    assert "1 jobs wait for offsets after the end" in caplog.text
    say(producer, topic, event(first.job), event(second.job))
    assert [first.event().state, second.event().state] == [SUCCEEDED, SUCCEEDED]
