"""A reader that opens, or goes back, on a real Kafka: nothing waits behind a fetch without records.

The brokers answer such a fetch after half a second (``fetch.wait.max.ms``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from integration.jobs import WAIT_SECONDS, event
from integration.kafka.waiters import Waiter, say
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.reader import ResponseReader

if TYPE_CHECKING:
    from conftest import TopicFactory

PARTITIONS = 200
"""So many that a connected consumer does not start all of them before its first fetch."""
READERS = 12
HALF_A_SECOND = 0.5


def test_reader_that_opens_does_not_wait_for_a_fetch_of_empty_partitions(
    topics: TopicFactory, producer: RecordProducer, open_reader: Callable[..., ResponseReader]
) -> None:
    """Its first fetch asks for all partitions, so the only record comes at once."""
    topic, job = topics(partitions=PARTITIONS), Waiter().job
    say(producer, topic, event(job))
    took = []
    for _ in range(READERS):
        before = time.monotonic()
        reader = open_reader(topic)
        Waiter(job).join(reader, [0] * PARTITIONS).event()
        took.append(time.monotonic() - before)
        reader.close()
    slow = [each for each in took if each >= HALF_A_SECOND]
    # On a busy machine, a thread of librdkafka may pause between two partitions.
    assert len(slow) <= 2, took


def test_late_job_of_a_quiet_reader_receives_its_event_at_once(
    config: KafkaConfig,
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
) -> None:
    """Its event is before all that the reader has read: the reader goes back without a wait.

    Four requests behind fetches, and the pause of a busy reader, would take four seconds.
    """
    topic, late, early = topics(partitions=4), Waiter(), Waiter()
    say(producer, topic, event(late.job))
    reader = open_reader(topic)
    early.join(reader, end_offsets(config, [topic], WAIT_SECONDS)[topic])
    say(producer, topic, event(early.job))
    early.event()
    before = time.monotonic()
    late.join(reader, [0, 0, 0, 0]).event()
    assert time.monotonic() - before < 1.5
    assert reader.counts.rewinds == 1
