"""Read a topic up to where it ended when the reading began.

The end is a position, not a record: transaction markers and compacted records take offsets, so no
last record may ever come. librdkafka says with a partition's end (``enable.partition.eof``) how far
it has come.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import confluent_kafka as ck

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import PARTITION_END, ends_reading, translate
from kafka_bridge.kafka.offsets import TopicOffsets
from kafka_bridge.kafka.records import arrived
from kafka_bridge.kafka.unreadable import SkippedBatches, UnreadableBatches
from kafka_bridge.protocol.errors import BrokerUnreachable, KafkaError

BATCH_RECORDS = 1000
POLL_SECONDS = 0.1
QUEUE_KB = 1024
"""How much is fetched ahead. With librdkafka's own 64 MB, a lookup is no faster, and short records
take 200 MB of memory."""
_EPOCH = datetime.fromtimestamp(0, UTC)


def scan(
    config: KafkaConfig,
    topic: str,
    start: datetime | Sequence[int],
    *,
    timeout: float,
    until: Sequence[int] = (),
    skipped: Callable[[SkippedBatches], None] = lambda _: None,
) -> Iterator[Sequence[ck.Message]]:
    """Yield a topic's records in batches, up to where the topic ends now.

    Records of a partition come in order, those of one transaction once it is committed.

    :param start: from records of this time on, or by partition the first offset (others from their
        beginning)
    :param timeout: the longest silence of the brokers, seconds
    :param until: by partition the offset to stop before; others are read to their end
    :param skipped: called with each range that was skipped because it cannot be unpacked
    :raises TopicNotFound: the topic does not exist
    :raises AccessDenied: it may not be read
    :raises BrokerUnreachable: nothing came for that long; or somebody's open transaction held the
        records back for that long
    """
    offsets = TopicOffsets(config)
    ends = dict(enumerate(offsets.ends([topic], timeout)[topic]))
    starts = _starts(offsets, topic, ends, start, timeout)
    ends |= {number: min(end, ends[number]) for number, end in enumerate(until) if number in ends}
    left = {number: end for number, end in ends.items() if starts[number] < end}
    unreadable = UnreadableBatches(config, topic)
    settings = {"queued.max.messages.kbytes": QUEUE_KB, "enable.partition.eof": True}
    consumer = make(ck.Consumer, {**config.reader_to_end("scan"), **settings})
    with contextlib.closing(consumer):
        consumer.assign([ck.TopicPartition(topic, number, starts[number]) for number in left])
        deadline = time.monotonic() + timeout
        while left:
            batch = arrived(consumer, POLL_SECONDS, BATCH_RECORDS)
            records = [each for each in batch if each.error() is None]
            moved = _note_progress(batch, left)
            if len(records) < len(batch):
                _raise_what_will_not_heal(batch, config, topic)
                for each in unreadable.skip_all(consumer, batch):
                    skipped(each)
                    _note_position(each.partition, each.end, left)
                    moved = True
            if records:
                yield [each for each in records if each.offset() < ends[each.partition()]]  # type: ignore[operator, index]
            if moved:
                deadline = time.monotonic() + timeout
            elif time.monotonic() > deadline:
                raise _stuck(config, topic, left, timeout)


def offsets_since(
    config: KafkaConfig, topic: str, moment: datetime, *, timeout: float
) -> list[int]:
    """Return for each partition the offset of its first record since a moment, or its end.

    :param timeout: seconds for each question to the brokers
    :raises TopicNotFound: the topic does not exist
    :raises AccessDenied: it may not be read
    :raises BrokerUnreachable: no broker answered in time
    """
    offsets = TopicOffsets(config)
    ends = dict(enumerate(offsets.ends([topic], timeout)[topic]))
    starts = _starts(offsets, topic, ends, moment, timeout)
    return [starts[number] for number in ends]


def _starts(
    offsets: TopicOffsets,
    topic: str,
    ends: Mapping[int, int],
    start: datetime | Sequence[int],
    timeout: float,
) -> dict[int, int]:
    firsts = offsets.firsts(topic, ends, timeout)
    if not isinstance(start, datetime):
        return firsts | dict(enumerate(start[: len(ends)]))
    young = offsets.since(topic, ends, start, timeout)
    oldest = offsets.since(topic, ends, _EPOCH, timeout)
    # librdkafka's mock cluster finds nothing by time, whatever there is.
    nothing = {number: ends[number] if oldest[number] >= 0 else firsts[number] for number in ends}
    return {number: at if at >= 0 else nothing[number] for number, at in young.items()}


def _note_progress(batch: Sequence[ck.Message], left: dict[int, int]) -> bool:
    """Take out of ``left`` the partitions that were read to their end; tell whether any moved."""
    moved = False
    for message in batch:
        error, number, offset = message.error(), message.partition(), message.offset()
        is_failure = error is not None and error.code() != PARTITION_END
        if number is None or offset is None or is_failure:
            continue
        reached = offset if error is not None else offset + 1
        moved = _note_position(number, reached, left) or error is None or moved
    return moved


def _note_position(number: int, reached: int, left: dict[int, int]) -> bool:
    if number not in left or reached < left[number]:
        return False
    del left[number]
    return True


def _raise_what_will_not_heal(batch: Sequence[ck.Message], config: KafkaConfig, topic: str) -> None:
    for message in batch:
        error = message.error()
        if error is not None and error.code() != PARTITION_END and ends_reading(error):
            raise _failed(error, config, topic)


def _failed(
    error: ck.KafkaException | ck.KafkaError, config: KafkaConfig, topic: str
) -> KafkaError:
    servers = config.bootstrap_servers
    return translate(error, doing=f"reading topic {topic!r}", servers=servers, topic=topic)


def _stuck(
    config: KafkaConfig, topic: str, left: Mapping[int, int], timeout: float
) -> BrokerUnreachable:
    where = ", ".join(f"{topic}[{number}]@{end}" for number, end in sorted(left.items()))
    return BrokerUnreachable(
        f"{where} was not reached within {timeout:g} s: no broker answered at "
        f"{config.bootstrap_servers}, or an open transaction holds the records back"
    )
