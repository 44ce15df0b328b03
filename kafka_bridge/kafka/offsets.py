"""Find the ends of topics, and read one record at a known location."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, OffsetSpec

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import (
    PARTITION_END,
    heals_by_itself,
    kafka_error,
    translate,
)
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.topic_metadata import partition_count
from kafka_bridge.kafka.unreadable import is_unreadable
from kafka_bridge.protocol.errors import BrokerUnreachable, RecordGone, RecordLocation

RETRY_SECONDS = 0.2
FETCH_BYTES = 16 * 1024
"""How much is fetched for one record of a partition; a larger batch comes as a whole."""
_OUT_OF_RANGE = ck.KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001  librdkafka's local codes begin so


class EndOffsets:
    """Finds the ends of topics.

    It starts to connect when it is made, so that a later call waits less.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._servers = config.bootstrap_servers
        self._admin = make(AdminClient, config.admin())

    def of(self, topics: Iterable[str], timeout: float) -> dict[str, list[int]]:
        """Return for each topic the offset that each partition's next record will get.

        The lists are indexed by partition. Creates no topic.

        :param timeout: seconds for each of the two questions to the brokers
        :raises TopicNotFound: one of them does not exist
        :raises AccessDenied: it may not be described
        :raises BrokerUnreachable: no broker answered in time
        """
        ends = {}
        for topic in topics:
            count = partition_count(self._admin, topic, self._servers, timeout)
            ends[topic] = _ends(self._admin, topic, count, self._servers, timeout)
        return ends


def end_offsets(config: KafkaConfig, topics: Iterable[str], timeout: float) -> dict[str, list[int]]:
    """Return where topics end now, as :meth:`EndOffsets.of` does."""
    return EndOffsets(config).of(topics, timeout)


def _ends(
    admin: AdminClient, topic: str, partitions: int, servers: str, timeout: float
) -> list[int]:
    asked = {
        ck.TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for partition in range(partitions)
    }
    deadline = time.monotonic() + timeout
    while True:
        answers = admin.list_offsets(asked, request_timeout=timeout)
        try:
            found = {asked.partition: answer.result().offset for asked, answer in answers.items()}
        except ck.KafkaException as error:
            if _is_passing(kafka_error(error)) and time.monotonic() < deadline:
                time.sleep(RETRY_SECONDS)
                continue
            raise translate(
                error, doing=f"asking where topic {topic!r} ends", servers=servers, topic=topic
            ) from error
        return [found[partition] for partition in range(partitions)]


def _is_passing(error: ck.KafkaError) -> bool:
    """Return whether the brokers are only choosing a new leader, or not all know it yet."""
    return error.code() in {
        ck.KafkaError.NOT_LEADER_FOR_PARTITION,
        ck.KafkaError.LEADER_NOT_AVAILABLE,
        ck.KafkaError.FENCED_LEADER_EPOCH,
        ck.KafkaError.UNKNOWN_LEADER_EPOCH,
    }


def read_record(config: KafkaConfig, location: RecordLocation, timeout: float) -> Record:
    """Return the record at a known location.

    :param timeout: seconds
    :raises RecordGone: retention removed it, or the topic was deleted and created again
    :raises TopicNotFound: the topic was deleted
    :raises BrokerUnreachable: it did not arrive in time
    :raises AccessDenied: the topic may not be read
    """
    deadline = time.monotonic() + timeout
    with _consumer_at(config, location, timeout) as consumer:
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is None and message.offset() == location.offset:
                return Record.of(message)
            if error is None or error.code() == _OUT_OF_RANGE:
                raise RecordGone(
                    f"record {location} no longer exists: the topic's retention is shorter than "
                    "the time until the task resumes, or the topic was deleted and created again"
                )
            if is_unreadable(error):
                raise RecordGone(f"record {location} cannot be read: {error.str()}")
            _raise_unless_healing(error, location.topic, config.bootstrap_servers)
    raise BrokerUnreachable(
        f"record {location} did not arrive from {config.bootstrap_servers} within {timeout:g} s"
    )


def records_at(
    config: KafkaConfig, topic: str, offsets: Mapping[int, int], timeout: float
) -> dict[int, Record]:
    """Return the records at these offsets, one of each partition: those that are found in time.

    :param offsets: by partition
    :param timeout: seconds
    """
    settings = {
        **config.reader("record"),
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "max.partition.fetch.bytes": FETCH_BYTES,
    }
    found, left = dict[int, Record](), dict(offsets)
    deadline = time.monotonic() + timeout
    with contextlib.closing(make(ck.Consumer, settings)) as consumer:
        consumer.assign([ck.TopicPartition(topic, number, at) for number, at in offsets.items()])
        while left and (seconds := deadline - time.monotonic()) > 0:
            message = consumer.poll(seconds)
            if message is None:
                continue
            number, error = cast(int, message.partition()), message.error()
            if error is None and left.get(number) == message.offset():
                found[number] = Record.of(message)
            if error is None or error.code() in (PARTITION_END, _OUT_OF_RANGE):
                left.pop(number, None)
    return found


@contextlib.contextmanager
def _consumer_at(
    config: KafkaConfig, location: RecordLocation, timeout: float
) -> Iterator[ck.Consumer]:
    # Another offset would not help: the one record is there, or it is gone.
    consumer = make(ck.Consumer, {**config.reader("result"), "auto.offset.reset": "error"})
    try:
        # A consumer waits in silence for a topic that is not there.
        partition_count(consumer, location.topic, config.bootstrap_servers, timeout)
        consumer.assign([ck.TopicPartition(location.topic, location.partition, location.offset)])
        yield consumer
    finally:
        consumer.close()


def _raise_unless_healing(error: ck.KafkaError, topic: str, servers: str) -> None:
    if not heals_by_itself(error):
        raise translate(error, doing=f"reading topic {topic!r}", servers=servers, topic=topic)
