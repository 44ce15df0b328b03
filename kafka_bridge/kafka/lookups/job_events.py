"""Read the events of jobs from a response topic once: the one loop behind every lookup."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from typing import TypeVar

import confluent_kafka as ck

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.records import headers_of
from kafka_bridge.kafka.response_records import HeadReader, candidates, event_head, id_in_headers
from kafka_bridge.kafka.unreadable import SkippedBatches
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.event_head import EventHead, read_head
from kafka_bridge.protocol.ids import CORRELATION_ID_LENGTH
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState

CLOCK_SKEW = timedelta(seconds=60)
"""How far the clocks of Airflow, workers and brokers may differ. A lookup from a job's creation
time on starts this much earlier. See docs/decisions/0033-clock-skew.md."""
_EARLIEST = datetime.fromtimestamp(0, UTC) + CLOCK_SKEW

J = TypeVar("J")
JobEvent = tuple[J, EventHead | None, ck.Message]
"""A job, the head of one of its records (None where it cannot be read), and the record."""


def with_skew(since: datetime) -> datetime:
    """Return where to start for what happened since a time: clocks differ. Not before 1970."""
    return max(since, _EARLIEST) - CLOCK_SKEW


@dataclass(slots=True)
class JobEventScan:
    """Reads a part of a response topic, from ``start`` up to where the topic ends now.

    ``start`` is a time, or by partition the first offset. ``until`` is by partition the offset to
    stop before, if that is not the end. ``timeout`` is the longest silence of the
    brokers, in seconds. ``read_head`` reads status events, or plain replies. ``skipped`` is called
    with each range that cannot be unpacked. ``records`` counts all records that were read.

    Every method reads the topic, and raises :class:`KafkaError` as
    :func:`~kafka_bridge.kafka.lookups.scan.scan` does.
    """

    config: KafkaConfig
    topic: str
    start: datetime | Sequence[int]
    timeout: float
    read_head: HeadReader = event_head
    skipped: Callable[[SkippedBatches], None] = lambda _: None
    until: Sequence[int] = ()
    records: int = 0

    def events_of(self, jobs: Mapping[bytes | None, J]) -> Iterator[JobEvent[J]]:
        """Yield the events of these jobs, given by correlation id, in the order of their partition.

        Of the records of other jobs, only the key is read.
        """
        for batch in self._batches():
            for message in candidates(batch, methodcaller("key"), jobs):
                job = jobs.get(message.key())
                if job is None:
                    job = jobs.get(id_in_headers(headers_of(message)))
                if job is not None:
                    yield job, self._head(message), message

    def keyed_events(
        self, jobs: Container[bytes | None] | None = None
    ) -> Iterator[tuple[bytes, EventHead, ck.Message]]:
        """Yield the status events whose key is a job's correlation id, as workers publish them.

        :param jobs: the correlation ids; None is all jobs. Of the records of other jobs, only the
            key is read.
        """
        for batch in self._batches():
            for message in batch:
                key = message.key()
                if not isinstance(key, bytes) or len(key) != CORRELATION_ID_LENGTH:
                    continue
                if jobs is not None and key not in jobs:
                    continue
                try:
                    head = read_head(message.value())
                except RemoteProtocolError:
                    continue  # a plain reply, or damage: not a worker's event
                yield key, head, message

    def terminal_events(
        self, jobs: Mapping[bytes | None, J]
    ) -> Iterator[tuple[J, JobState, ck.Message]]:
        """Yield the terminal events of these jobs with their states. The first of a job counts."""
        for job, head, message in self.events_of(jobs):
            if head is not None and head.state in TERMINAL:
                yield job, head.state, message

    def _batches(self) -> Iterator[Sequence[ck.Message]]:
        for batch in scan(
            self.config,
            self.topic,
            self.start,
            timeout=self.timeout,
            until=self.until,
            skipped=self.skipped,
        ):
            self.records += len(batch)
            yield batch

    def _head(self, message: ck.Message) -> EventHead | None:
        try:
            if self.read_head is event_head:
                # Reading headers takes as long as all the rest, and an event does not need them.
                return read_head(message.value())
            return self.read_head(message.value(), headers_of(message))
        except RemoteProtocolError:
            return None
