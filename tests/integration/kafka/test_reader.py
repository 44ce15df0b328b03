"""The response reader on a real Kafka: every job gets its own events, once, in order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import (
    KafkaBridgeError,
    Undecodable,
)
from kafka_bridge.protocol.messages import JobState

from ..jobs import WAIT_SECONDS, event
from .waiters import Waiter, say

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

R, S = JobState.RUNNING, JobState.SUCCEEDED


def test_reply_from_before_the_subscription_is_found(
    config: KafkaConfig,
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
) -> None:
    """Events between the request and the subscription are read from the start offsets on."""
    topic, waiter = topics(partitions=3), Waiter()
    say(producer, topic, event(waiter.job, sequence=7))  # from before the job's offsets: not its
    start = end_offsets(config, [topic], WAIT_SECONDS)[topic]
    say(producer, topic, event(waiter.job, R, sequence=0), event(waiter.job, S, sequence=1))
    waiter.join(open_reader(topic), start)
    assert waiter.sequences(2) == [0, 1]
    assert waiter.is_told_nothing()


def test_reply_from_after_the_subscription_is_received_at_once(
    topics: TopicFactory, producer: RecordProducer, open_reader: Callable[..., ResponseReader]
) -> None:
    """A reader at the end of the topic passes on new events with their location."""
    topic = topics(partitions=3)
    waiter = Waiter().join(open_reader(topic), [0, 0, 0])
    for sequence in range(3):
        place = producer.publish(
            topic, waiter.job.encode(), encode(event(waiter.job, R, sequence=sequence)), []
        )
        before = time.monotonic()
        notice = waiter.next()
        assert isinstance(notice, Arrival)
        assert (notice.location, notice.event().sequence) == (place, sequence)
        assert time.monotonic() - before < 10


def test_each_waiter_gets_its_own_in_order_and_once(
    config: KafkaConfig,
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
    eventually: Eventually,
) -> None:
    """A later job catches up, and no job receives an event twice.

    20 jobs with 20 events each, mixed; half of the events exist before the first job waits, the
    jobs join one after another, and the rest is published meanwhile.
    """
    topic, random = topics(partitions=4), Random(20260301)
    waiters = [Waiter() for _ in range(20)]
    start = end_offsets(config, [topic], WAIT_SECONDS)[topic]
    written = dict.fromkeys((waiter.job for waiter in waiters), 0)

    def say_some(share: int) -> None:
        order = [waiter.job for waiter in waiters for _ in range(share)]
        random.shuffle(order)
        for job in order:
            say_one = event(job, R, sequence=written[job])
            written[job] += 1
            producer.send(topic, job.encode(), encode(say_one), [])

    say_some(10)
    reader = open_reader(topic)
    for number, waiter in enumerate(waiters):
        waiter.join(reader, start)
        if number % 5 == 4:
            eventually(lambda: not waiter.told.empty(), "the newest job is told something")  # noqa: B023
            say_some(2)
    say_some(2)
    for waiter in waiters:
        assert waiter.sequences(20) == list(range(20))
    assert all(waiter.is_told_nothing(0.02) for waiter in waiters)
    assert reader.counts.matched == 20 * 20


def test_reader_goes_back_for_a_job_from_before_it(
    config: KafkaConfig,
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
) -> None:
    """A job whose start offsets are before all that the reader has read is served by a re-read.

    The job for which the reader was opened receives no event twice, and goes on.
    """
    topic, old, new = topics(partitions=2), Waiter(), Waiter()
    say(producer, topic, event(old.job, R, sequence=0), event(old.job, R, sequence=1))
    middle = end_offsets(config, [topic], WAIT_SECONDS)[topic]
    reader = open_reader(topic)
    new.join(reader, middle)
    say(producer, topic, event(new.job, R, sequence=0), event(old.job, R, sequence=2))
    assert new.sequences(1) == [0]
    old.join(reader, [0, 0])
    assert old.sequences(3) == [0, 1, 2]
    say(producer, topic, event(new.job, sequence=1), event(old.job, sequence=3))
    assert (new.sequences(1), old.sequences(1)) == ([1], [3])
    assert reader.counts.rewinds >= 1
    assert new.is_told_nothing()


def test_jobs_that_come_together_share_one_scan(
    topics: TopicFactory, producer: RecordProducer, open_reader: Callable[..., ResponseReader]
) -> None:
    """For 500 jobs that begin to wait at once, the reader goes back only a few times."""
    topic = topics()
    waiters = [Waiter() for _ in range(500)]
    say(producer, topic, *(event(waiter.job) for waiter in waiters))
    reader = open_reader(topic)
    for waiter in waiters:
        waiter.join(reader, [0])
    for waiter in waiters:
        assert waiter.event().state is S
    assert reader.counts.rewinds <= 5


def test_unsubscribed_job_receives_nothing(
    topics: TopicFactory, producer: RecordProducer, open_reader: Callable[..., ResponseReader]
) -> None:
    """Other waiting jobs go on."""
    topic = topics()
    reader, gone, stays = open_reader(topic), Waiter(), Waiter()
    subscription = reader.subscribe(gone.job, [0], gone.told.put)
    stays.join(reader, [0])
    say(producer, topic, event(gone.job, R), event(stays.job, R))
    assert (gone.event().state, stays.event().state) == (R, R)
    reader.unsubscribe(subscription)
    time.sleep(0.2)  # two rounds of the reader
    say(producer, topic, event(gone.job), event(stays.job))
    assert stays.event().state is S
    assert gone.is_told_nothing()


def test_new_subscription_of_a_job_outlives_its_old_one(
    topics: TopicFactory, producer: RecordProducer, open_reader: Callable[..., ResponseReader]
) -> None:
    """When a trigger moves, the old subscription may end after the new one began."""
    topic = topics()
    reader, first = open_reader(topic), Waiter()
    old = reader.subscribe(first.job, [0], first.told.put)
    second = Waiter(first.job).join(reader, [0])
    reader.unsubscribe(old)
    say(producer, topic, event(first.job))
    assert second.event().state is S


BAD_RECORDS = [
    ("undecodable", b"no message at all", "undecodable"),
    ("of a later schema", b"\xc3\x01" + bytes(range(8)) + b"x", "undecodable"),
    ("tombstone", None, "undecodable"),
]


@pytest.mark.parametrize(
    ("value", "count"),
    [(v, c) for _, v, c in BAD_RECORDS],
    ids=[name for name, _, _ in BAD_RECORDS],
)
def test_unreadable_record_of_a_job_is_reported_and_skipped(
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
    caplog: pytest.LogCaptureFixture,
    value: bytes | None,
    count: str,
) -> None:
    """To its own waiter; all jobs go on. It is counted, and logged once."""
    topic = topics()
    reader, hit, other = open_reader(topic), Waiter(), Waiter()
    hit.join(reader, [0])
    other.join(reader, [0])
    with caplog.at_level(logging.WARNING, "kafka_bridge"):
        for _ in range(3):
            producer.publish(topic, hit.job.encode(), value, [])
        say(producer, topic, event(hit.job), event(other.job))
        for _ in range(3):
            error = hit.next()
            assert isinstance(error, KafkaBridgeError)
            assert f"{topic}[0]@" in str(error)
        assert (hit.event().state, other.event().state) == (S, S)
    assert getattr(reader.counts, count) == 3
    assert [each.levelname for each in caplog.records if topic in each.getMessage()] == ["WARNING"]


def test_records_without_a_key_or_of_unknown_jobs_are_skipped(
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No job receives them; those without a key are counted and logged once."""
    topic, stranger = topics(), Waiter()
    reader, waiter = open_reader(topic), Waiter()
    waiter.join(reader, [0])
    with caplog.at_level(logging.WARNING, "kafka_bridge"):
        for _ in range(3):
            producer.publish(topic, None, encode(event(waiter.job)), [])
            producer.publish(topic, b"what is this", b"\xff", [])
            producer.publish(topic, stranger.job.encode(), b"bad, but nobody waits for it", [])
        say(producer, topic, event(waiter.job, sequence=5))
        assert waiter.sequences(1) == [5]
    assert reader.counts.without_key == 3
    assert (reader.counts.undecodable, reader.counts.matched, reader.counts.records) == (0, 1, 10)
    (line,) = [each.getMessage() for each in caplog.records if topic in each.getMessage()]
    assert f"Skipped record {topic}[0]@0, which has no key" in line


def test_bad_notice_is_a_protocol_error(
    topics: TopicFactory, producer: RecordProducer, open_reader: Callable[..., ResponseReader]
) -> None:
    """The notice of an unreadable record says that its publisher is at fault."""
    topic = topics()
    waiter = Waiter().join(open_reader(topic), [0])
    producer.publish(topic, waiter.job.encode(), b"{", [])
    notice = waiter.next()
    assert isinstance(notice, Undecodable)
    assert notice.location is not None
    assert notice.location.topic == topic
