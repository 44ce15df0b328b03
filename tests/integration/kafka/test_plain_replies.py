"""Plain replies, as Spring and NestJS services send them, reach the job that waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.response_records import plain_head
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.headers import CORRELATION_ID
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.plain_replies import NEST_ERROR

from ..jobs import event
from .waiters import Waiter

if TYPE_CHECKING:
    from conftest import TopicFactory

ANSWER = b'{"rows": 12}'
NEST = ("kafka_nest-is-disposed", b"00")
REFUSED = (NEST_ERROR, b'{"status":"error","message":"no such table"}')


def of(waiter: Waiter, *more: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    """Return the headers of a reply to this job."""
    return [(CORRELATION_ID, waiter.job.encode()), *more]


@pytest.mark.parametrize("comes", ["after", "before", "long before"])
@pytest.mark.parametrize("key", [None, b"order-4711", b""], ids=["null", "other", "empty"])
def test_reply_is_matched_by_its_header(
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
    key: bytes | None,
    comes: str,
) -> None:
    """If the key is not a correlation id, the header has it.

    Whether the reply arrives while the job waits, is among the reader's recent records, or the
    reader must go back for it.
    """
    topic, waiter, other = topics(), Waiter(), Waiter()
    reader = open_reader(topic)
    if comes != "long before":
        other.join(reader, [0], plain_head)
    if comes == "after":
        waiter.join(reader, [0], plain_head)
    producer.publish(topic, key, ANSWER, of(other))
    place = producer.publish(topic, key, ANSWER, of(waiter, NEST))
    if comes == "long before":
        other.join(reader, [1], plain_head)
    else:
        assert other.arrival().location.offset == 0
    if comes != "after":
        waiter.join(reader, [0], plain_head)
    arrival = waiter.arrival()
    assert (arrival.head.state, arrival.location, arrival.value) == (
        JobState.SUCCEEDED,
        place,
        ANSWER,
    )
    assert reader.counts.without_key == 0


def test_key_that_is_the_id_needs_no_header(
    topics: TopicFactory, producer: RecordProducer, open_reader: Callable[..., ResponseReader]
) -> None:
    """Spring's replies also have the id as their key; one reply is received once."""
    topic, waiter = topics(), Waiter()
    waiter.join(open_reader(topic), [0], plain_head)
    producer.publish(topic, waiter.job.encode(), ANSWER, of(waiter))
    assert waiter.arrival().value == ANSWER
    assert waiter.is_told_nothing()


def test_failure_of_a_nest_service(
    topics: TopicFactory, producer: RecordProducer, open_reader: Callable[..., ResponseReader]
) -> None:
    """A null value with NestJS's error header is a failure; a null value alone is an answer."""
    topic, failed, answered = topics(), Waiter(), Waiter()
    reader = open_reader(topic)
    failed.join(reader, [0], plain_head)
    answered.join(reader, [0], plain_head)
    producer.publish(topic, None, None, of(failed, REFUSED))
    producer.publish(topic, None, None, of(answered))
    assert failed.arrival().head.state is JobState.FAILED
    assert answered.arrival().head.state is JobState.SUCCEEDED


def test_status_event_is_matched_by_its_header_too(
    topics: TopicFactory, producer: RecordProducer, open_reader: Callable[..., ResponseReader]
) -> None:
    """Of a worker that sets no key; the id of an unknown job matches no job."""
    topic, waiter, stranger = topics(), Waiter(), Waiter()
    reader = open_reader(topic)
    waiter.join(reader, [0])
    producer.publish(topic, None, encode(event(stranger.job)), of(stranger))
    producer.publish(topic, None, encode(event(waiter.job, sequence=4)), of(waiter))
    assert waiter.event().sequence == 4
    assert (reader.counts.matched, reader.counts.without_key) == (1, 0)
