"""Find the ends of topics, and read one record at a known location."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import cast

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import (
    PARTITION_END,
    ends_reading,
    kafka_error,
    translate,
)
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.topic_metadata import partition_count
from kafka_bridge.kafka.unreadable import is_unreadable
from kafka_bridge.protocol.errors import BrokerUnreachable, RecordGone, RecordLocation

RETRY_SECONDS = 0.2
SILENCE_SECONDS = 0.5
"""How long a record may take until the brokers are asked whether its topic exists."""
FETCH_BYTES = 16 * 1024
"""How much is fetched for one record of a partition; a larger batch comes as a whole."""
_OUT_OF_RANGE = ck.KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001  librdkafka's local codes begin so


class TopicOffsets:
    """Asks the brokers for the offsets of topics.

    It starts to connect when it is made, so that a later call waits less. The connections are its
    own. Over a consumer's connection the brokers would answer behind its fetch, which takes half a
    second where no record comes (``fetch.wait.max.ms``).
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._servers = config.bootstrap_servers
        self.admin = make(AdminClient, config.admin())

    def partitions(self, topic: str, timeout: float) -> range:
        """Return the partitions of a topic. Creates no topic.

        :param timeout: seconds
        :raises TopicNotFound: it does not exist
        :raises AccessDenied: it may not be described
        :raises BrokerUnreachable: no broker answered in time
        """
        return range(partition_count(self.admin, topic, self._servers, timeout))

    def ends(self, topics: Iterable[str], timeout: float) -> dict[str, list[int]]:
        """Return for each topic the offset that each partition's next record will get.

        The lists are indexed by partition. Creates no topic.

        :param timeout: seconds for each of the two questions to the brokers
        :raises KafkaError: as :meth:`partitions`
        """
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        ends = {}
        for topic in topics:
            partitions = self.partitions(topic, timeout)
            found = self._find(topic, partitions, latest, timeout, "ends")
            ends[topic] = [found[partition] for partition in partitions]
        return ends

    def firsts(self, topic: str, partitions: Iterable[int], timeout: float) -> dict[int, int]:
        """Return by partition the offset of its first record, or its end where it has none.

        :param timeout: seconds
        :raises KafkaError: as :meth:`partitions`
        """
        earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
        return self._find(topic, partitions, earliest, timeout, "begins")

    def since(
        self, topic: str, partitions: Iterable[int], moment: datetime, timeout: float
    ) -> dict[int, int]:
        """Return by partition the offset of its first record since a moment; negative without one.

        :param timeout: seconds
        :raises KafkaError: as :meth:`partitions`
        """
        # Below 0 it would ask for something else.
        by_time = OffsetSpec.for_timestamp(max(0, int(moment.timestamp() * 1000)))
        return self._find(topic, partitions, by_time, timeout, f"continues after {moment}")

    def newest(self, topic: str, timeout: float) -> float | None:
        """Return the newest timestamp of a topic's records, in seconds since 1970.

        None if it has no records.

        :param timeout: seconds for each of the two questions to the brokers
        :raises KafkaError: as :meth:`partitions`, or the brokers are older than Kafka 3.0
        """
        spec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
        places = [ck.TopicPartition(topic, each) for each in self.partitions(topic, timeout)]
        try:
            answers = self._ask(places, spec, timeout).values()
            found = max(answer.result().timestamp for answer in answers)
        except ck.KafkaException as error:
            doing = f"asking for the newest timestamp of topic {topic!r}"
            raise translate(error, doing=doing, servers=self._servers, topic=topic) from error
        return found / 1000 if found >= 0 else None

    def bounds(
        self, topic: str, partitions: Iterable[int], timeout: float
    ) -> dict[int, tuple[int, int]]:
        """Return by partition its first offset and its end, as far as the brokers answer.

        :param timeout: seconds
        """
        places = [ck.TopicPartition(topic, partition) for partition in partitions]
        firsts = self._ask(places, OffsetSpec.earliest(), timeout)  # type: ignore[no-untyped-call]
        ends = self._ask(places, OffsetSpec.latest(), timeout)  # type: ignore[no-untyped-call]
        found = {}
        for place in places:
            with contextlib.suppress(ck.KafkaException):
                found[place.partition] = firsts[place].result().offset, ends[place].result().offset
        return found

    def _find(
        self, topic: str, partitions: Iterable[int], spec: OffsetSpec, timeout: float, what: str
    ) -> dict[int, int]:
        """Return offsets by partition; ask again while the brokers choose a leader.

        :param what: completes "asking where the topic …"
        """
        places = [ck.TopicPartition(topic, partition) for partition in partitions]
        deadline = time.monotonic() + timeout
        while True:
            answers = self._ask(places, spec, timeout)
            try:
                return {asked.partition: each.result().offset for asked, each in answers.items()}
            except ck.KafkaException as error:
                if _is_passing(kafka_error(error)) and time.monotonic() < deadline:
                    time.sleep(RETRY_SECONDS)
                    continue
                doing = f"asking where topic {topic!r} {what}"
                raise translate(error, doing=doing, servers=self._servers, topic=topic) from error

    def _ask(
        self, places: Iterable[ck.TopicPartition], spec: OffsetSpec, timeout: float
    ) -> dict[ck.TopicPartition, Future[ListOffsetsResultInfo]]:
        asked = dict.fromkeys(places, spec)
        return self.admin.list_offsets(asked, request_timeout=timeout) if asked else {}


def end_offsets(config: KafkaConfig, topics: Iterable[str], timeout: float) -> dict[str, list[int]]:
    """Return where topics end now, as :meth:`TopicOffsets.ends` does."""
    return TopicOffsets(config).ends(topics, timeout)


def _is_passing(error: ck.KafkaError) -> bool:
    """Return whether the brokers are only choosing a new leader, or not all know it yet."""
    return error.code() in {
        ck.KafkaError.NOT_LEADER_FOR_PARTITION,
        ck.KafkaError.LEADER_NOT_AVAILABLE,
        ck.KafkaError.FENCED_LEADER_EPOCH,
        ck.KafkaError.UNKNOWN_LEADER_EPOCH,
        ck.KafkaError._NOENT,  # noqa: SLF001  "No leaders found": no partition of them has one
    }


def read_record(config: KafkaConfig, location: RecordLocation, timeout: float) -> Record:
    """Return the record at a known location.

    :param timeout: seconds
    :raises RecordGone: retention removed it, or the topic was deleted and created again
    :raises TopicNotFound: the topic was deleted
    :raises BrokerUnreachable: it did not arrive in time
    :raises AccessDenied: the topic may not be read
    """
    topic, servers = location.topic, config.bootstrap_servers
    deadline = time.monotonic() + timeout
    # Another offset would not help: the one record is there, or it is gone.
    settings = {**config.reader_to_end("result"), "auto.offset.reset": "error"}
    with contextlib.closing(make(ck.Consumer, settings)) as consumer:
        consumer.assign([ck.TopicPartition(topic, location.partition, location.offset)])
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(min(SILENCE_SECONDS, left))
            if message is None:
                # A consumer waits in silence for a topic that is not there.
                partition_count(consumer, topic, servers, max(0.0, deadline - time.monotonic()))
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
            if ends_reading(error):
                doing = f"reading topic {topic!r}"
                raise translate(error, doing=doing, servers=servers, topic=topic)
    raise BrokerUnreachable(f"record {location} did not arrive from {servers} within {timeout:g} s")


def records_at(
    config: KafkaConfig, topic: str, offsets: Mapping[int, int], timeout: float
) -> dict[int, Record]:
    """Return the records at these offsets, one of each partition: those that are found in time.

    :param offsets: by partition
    :param timeout: seconds
    """
    settings = {
        **config.reader_to_end("record"),
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
