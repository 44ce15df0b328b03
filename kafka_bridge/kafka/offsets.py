"""Where topics end, and the one record at a known place."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, OffsetSpec

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.failures import heals_by_itself, topic_not_found, translate
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import BrokerUnreachable, RecordGone, RecordLocation


def end_offsets(config: KafkaConfig, topics: Iterable[str], timeout: float) -> dict[str, list[int]]:
    """Return for each topic the offset that each partition's next record will get.

    The lists are indexed by partition. Creates no topic.

    :param timeout: seconds for each of the two questions to the brokers
    :raises TopicNotFound: one of them does not exist
    :raises AccessDenied: it may not be described
    :raises BrokerUnreachable: no broker answered in time
    """
    admin = make(AdminClient, config.admin())
    ends = {}
    for topic in topics:
        count = partition_count(admin, topic, config.bootstrap_servers, timeout)
        ends[topic] = _ends(admin, topic, count, config.bootstrap_servers, timeout)
    return ends


def partition_count(client: Any, topic: str, servers: str, timeout: float) -> int:
    """Return how many partitions a topic has, asked of an admin client, producer or consumer.

    :raises KafkaError: as in :func:`end_offsets`
    """
    try:
        metadata = client.list_topics(topic, timeout=timeout).topics[topic]
    except ck.KafkaException as error:
        raise translate(
            error, doing=f"looking for topic {topic!r}", servers=servers, topic=topic
        ) from error
    if metadata.error is not None:
        raise translate(
            metadata.error, doing=f"looking for topic {topic!r}", servers=servers, topic=topic
        )
    if not metadata.partitions:
        raise topic_not_found(topic, servers)
    return len(metadata.partitions)


def _ends(
    admin: AdminClient, topic: str, partitions: int, servers: str, timeout: float
) -> list[int]:
    asked = {
        ck.TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for partition in range(partitions)
    }
    answers = admin.list_offsets(asked, request_timeout=timeout)
    try:
        found = {asked.partition: answer.result().offset for asked, answer in answers.items()}
    except ck.KafkaException as error:
        raise translate(
            error, doing=f"asking where topic {topic!r} ends", servers=servers, topic=topic
        ) from error
    return [found[partition] for partition in range(partitions)]


def read_record(config: KafkaConfig, location: RecordLocation, timeout: float) -> Record:
    """Return the record that lies at a known place.

    :param timeout: seconds
    :raises RecordGone: retention, or a topic made anew, has removed it
    :raises BrokerUnreachable: it did not arrive in time
    :raises AccessDenied: the topic may not be read
    """
    give_up = time.monotonic() + timeout
    with _consumer_at(config, location) as consumer:
        while time.monotonic() < give_up:
            message = consumer.poll(0.5)
            if message is None:
                continue
            if error := message.error():
                _raise_unless_healing(error, location.topic, config.bootstrap_servers)
            elif message.offset() == location.offset:
                return Record.of(message)
            else:
                raise RecordGone(
                    f"record {location} is no longer there, the next one is {message.offset()}: "
                    "the topic's retention is shorter than jobs wait to be resumed"
                )
    raise BrokerUnreachable(
        f"record {location} did not arrive from {config.bootstrap_servers} within {timeout:g} s"
    )


@contextlib.contextmanager
def _consumer_at(config: KafkaConfig, location: RecordLocation) -> Iterator[ck.Consumer]:
    consumer = make(ck.Consumer, config.reader("result"))
    try:
        consumer.assign([ck.TopicPartition(location.topic, location.partition, location.offset)])
        yield consumer
    finally:
        consumer.close()


def _raise_unless_healing(error: ck.KafkaError, topic: str, servers: str) -> None:
    if not heals_by_itself(error):
        raise translate(error, doing=f"reading topic {topic!r}", servers=servers, topic=topic)
