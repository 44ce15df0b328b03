"""Reading a topic to its end: to where it ended when the reading began.

The end is a position, not a record: transaction markers and compacted records take offsets, so no
last record may ever come. librdkafka says with a partition's end (``enable.partition.eof``) how far
it has come.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import confluent_kafka as ck

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.failures import heals_by_itself, translate
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.protocol.errors import BrokerUnreachable

BATCH_RECORDS = 1000
POLL_SECONDS = 0.1
_EPOCH = datetime.fromtimestamp(0, UTC)
_END = ck.KafkaError._PARTITION_EOF  # noqa: SLF001  librdkafka's local codes begin so


def scan(
    config: KafkaConfig, topic: str, start: datetime | Sequence[int], *, timeout: float
) -> Iterator[Sequence[ck.Message]]:
    """Yield a topic's records in batches, up to where the topic ends now.

    Records of a partition come in order, those of one transaction once it is committed.

    :param start: from records of this time on, or by partition the first offset (others from their
        beginning)
    :param timeout: the longest silence of the brokers, seconds
    :raises TopicNotFound: the topic does not exist
    :raises AccessDenied: it may not be read
    :raises BrokerUnreachable: nothing came for that long; or somebody's open transaction held the
        records back for that long
    """
    ends = dict(enumerate(end_offsets(config, [topic], timeout)[topic]))
    consumer = make(ck.Consumer, {**config.reader("scan"), "enable.partition.eof": True})
    with contextlib.closing(consumer):
        starts = _starts(consumer, config, topic, ends, start, timeout)
        left = {number: end for number, end in ends.items() if max(starts[number], 0) < end}
        consumer.assign([ck.TopicPartition(topic, number, starts[number]) for number in left])
        give_up = time.monotonic() + timeout
        while left:
            batch = consumer.consume(BATCH_RECORDS, POLL_SECONDS)
            records = [each for each in batch if each.error() is None]
            if len(records) < len(batch):
                _raise_what_will_not_heal(batch, config, topic)
            moved = _note_progress(batch, left)
            if records:
                yield [each for each in records if each.offset() < ends[each.partition()]]  # type: ignore[operator, index]
            if moved:
                give_up = time.monotonic() + timeout
            elif time.monotonic() > give_up:
                raise _stuck(config, topic, left, timeout)


def _starts(
    consumer: ck.Consumer,
    config: KafkaConfig,
    topic: str,
    ends: Mapping[int, int],
    start: datetime | Sequence[int],
    timeout: float,
) -> dict[int, int]:
    if not isinstance(start, datetime):
        given = dict(enumerate(start))
        return {number: given.get(number, ck.OFFSET_BEGINNING) for number in ends}
    found = _by_time(consumer, config, topic, start, ends, timeout)
    if none := [number for number, offset in found.items() if offset < 0 < ends[number]]:
        # Is nothing as young as that, or are offsets not found by time, as in librdkafka's mock
        # cluster? Any record is younger than the epoch.
        any_record = _by_time(consumer, config, topic, _EPOCH, none, timeout)
        found |= {
            number: ends[number] if any_record[number] >= 0 else ck.OFFSET_BEGINNING
            for number in none
        }
    return found


def _by_time(
    consumer: ck.Consumer,
    config: KafkaConfig,
    topic: str,
    moment: datetime,
    partitions: Iterable[int],
    timeout: float,
) -> dict[int, int]:
    """Return by partition the first offset since a moment; negative where there is none."""
    milliseconds = int(moment.timestamp() * 1000)
    asked = [ck.TopicPartition(topic, number, milliseconds) for number in partitions]
    try:
        found = consumer.offsets_for_times(asked, timeout=timeout)
    except ck.KafkaException as error:
        raise translate(
            error,
            doing=f"looking for records of topic {topic!r} by their time",
            servers=config.bootstrap_servers,
            topic=topic,
        ) from error
    return {each.partition: each.offset for each in found}


def _note_progress(batch: Sequence[ck.Message], left: dict[int, int]) -> bool:
    """Take out of ``left`` the partitions that were read to their end; tell whether any moved."""
    moved = False
    for message in batch:
        error, number, offset = message.error(), message.partition(), message.offset()
        if number is None or offset is None or (error is not None and error.code() != _END):
            continue
        moved = moved or error is None
        reached = offset if error is not None else offset + 1
        if number in left and reached >= left[number]:
            del left[number]
            moved = True
    return moved


def _raise_what_will_not_heal(batch: Sequence[ck.Message], config: KafkaConfig, topic: str) -> None:
    for message in batch:
        error = message.error()
        if error is not None and error.code() != _END and not heals_by_itself(error):
            raise translate(
                error,
                doing=f"reading topic {topic!r}",
                servers=config.bootstrap_servers,
                topic=topic,
            )


def _stuck(
    config: KafkaConfig, topic: str, left: Mapping[int, int], timeout: float
) -> BrokerUnreachable:
    where = ", ".join(f"{topic}[{number}]@{end}" for number, end in sorted(left.items()))
    return BrokerUnreachable(
        f"{where} was not reached within {timeout:g} s: no broker answered at "
        f"{config.bootstrap_servers}, or an open transaction holds the records back"
    )
