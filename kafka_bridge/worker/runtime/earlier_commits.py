"""What earlier commits of the group say of the requests above the committed offset."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.consumer import Position
from kafka_bridge.kafka.finished_runs import ConsumedRecord, FinishedRuns, from_metadata
from kafka_bridge.kafka.offsets import records_at
from kafka_bridge.kafka.records import Record

_log = logging.getLogger(__name__)

CHECK_SECONDS = 3.0
"""How long the brokers may take to return a record of each partition."""
WORTHWHILE = 1000
"""Fewer finished requests are read again: to skip them by the ledger takes less time than to check
whether the offsets still belong to the same records."""


def finished_above(
    committed: Mapping[int, Position], config: KafkaConfig, topic: str
) -> dict[int, FinishedRuns]:
    """Return, by partition, what is finished above its committed offset, where that is known.

    Partitions in which little is finished are left out.

    :param committed: by partition, what was committed last
    :param topic: the request topic
    """
    read = {number: from_metadata(*position) for number, position in committed.items()}
    found = {
        number: each
        for number, each in read.items()
        if each is not None and each.offsets >= WORTHWHILE
    }
    if not found:
        return {}
    lasts = {number: each.last.offset for number, each in found.items()}
    records = records_at(config, topic, lasts, CHECK_SECONDS)
    return {
        number: each
        for number, each in found.items()
        if _is_of(topic, number, each, records.get(number))
    }


def _is_of(topic: str, number: int, finished: FinishedRuns, record: Record | None) -> bool:
    """Tell whether a partition still has the records that the offsets stand for.

    :param record: what it has at the offset of the last one
    """
    last = finished.last
    is_same = (
        record is not None
        and ConsumedRecord.of(last.offset, record.key, record.timestamp_ms) == last
    )
    if is_same:
        _log.info(
            "Partition %d of %s: %d requests above the committed offset are finished and are not "
            "read again",
            number,
            topic,
            finished.offsets,
        )
    else:
        _log.warning(
            "Partition %d of %s: the record at offset %d is not there, or is not the one that was "
            "consumed. All requests from the committed offset on are read again",
            number,
            topic,
            last.offset,
        )
    return is_same
