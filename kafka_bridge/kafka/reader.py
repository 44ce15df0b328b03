"""The response reader: one consumer on one thread for all the jobs that wait on a topic.

It assigns itself all partitions, in a consumer group of its own, and commits nothing. Records are
matched to waiting jobs by one dictionary look-up on the key; only a match is decoded.

A job says from which offsets it waits: where the topic ended before its request was published. When
those lie behind the reader, the reader goes back, once for all the jobs that came since it last
looked, and each job's own position keeps records that it has seen from reaching it twice.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import confluent_kafka as ck

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.failures import heals_by_itself, translate
from kafka_bridge.kafka.offsets import partition_count
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import (
    KafkaBridgeError,
    ReaderClosed,
    RecordLocation,
    RemoteProtocolError,
)
from kafka_bridge.protocol.messages import StatusEvent

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
"""How long the thread waits for a record before it looks for new jobs."""
BATCH_RECORDS = 1000
LINGER_SECONDS = 30.0
"""How long a reader without waiting jobs stays open: the next job often comes soon."""
METADATA_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A status event, and where its record lies."""

    event: StatusEvent
    location: RecordLocation


Notice: TypeAlias = Arrival | KafkaBridgeError
"""What a waiting job is told: an event, a record that cannot be read, or that the reader failed."""


@dataclass(slots=True, eq=False)
class Subscription:
    """One waiting job. ``positions`` are, by partition, the offsets it has not seen yet."""

    correlation_id: str
    positions: dict[int, int]
    notify: Callable[[Notice], None]


Delivery: TypeAlias = list[tuple[Subscription, Notice]]


@dataclass(slots=True)
class ReaderCounts:
    """What a reader did since it was opened."""

    records: int = 0
    matched: int = 0
    without_key: int = 0
    undecodable: int = 0
    rewinds: int = 0


@dataclass(slots=True)
class _Inbox:
    """What waiting jobs ask of the reader's thread; ``closed`` once it takes no more."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    joined: deque[Subscription] = field(default_factory=deque)
    left: deque[Subscription] = field(default_factory=deque)
    closed: bool = False


class ResponseReader:
    """Reads one response topic for all the jobs of a process that wait on it.

    :param config: how to reach Kafka
    :param topic: the response topic
    :param hand_over: called on the reader's thread with each batch of notices; must return at once
        and see to it that every subscription's ``notify`` is called, in order
    :param linger: seconds that the reader stays open without a waiting job
    """

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        hand_over: Callable[[Delivery], None],
        *,
        linger: float = LINGER_SECONDS,
    ) -> None:
        self.topic = topic
        self.counts = ReaderCounts()
        self._config = config
        self._hand_over = hand_over
        self._linger = linger
        self._process = os.getpid()
        self._inbox = _Inbox()
        self._waiting: dict[bytes, Subscription] = {}
        self._positions: dict[int, int] = {}
        self._fatal: ck.KafkaError | None = None
        self._idle_since = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"kafka-bridge-reader-{topic}", daemon=True
        )
        self._thread.start()

    def subscribe(
        self, correlation_id: str, start_offsets: Sequence[int], notify: Callable[[Notice], None]
    ) -> Subscription:
        """Wait for a job's events from these offsets on (by partition; others from 0).

        :raises ReaderClosed: the reader has ended, or belongs to the process that this one was
            forked from: open another one
        """
        subscription = Subscription(correlation_id, dict(enumerate(start_offsets)), notify)
        with self._inbox.lock:
            if self._inbox.closed or self._process != os.getpid():
                raise ReaderClosed(f"the reader of {self.topic!r} has ended")
            self._inbox.joined.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Wait for this job no longer."""
        self._inbox.left.append(subscription)

    def close(self) -> None:
        """End the thread; jobs that still wait are told so."""
        self._stopping.set()
        self._thread.join()

    # Everything below runs on the reader's thread.

    def _run(self) -> None:
        failure: KafkaBridgeError = ReaderClosed(f"the reader of {self.topic!r} was closed")
        try:
            self._read_until_idle()
        except KafkaBridgeError as error:
            failure = error
        except Exception as error:
            _log.exception("The reader of %s failed", self.topic)
            failure = ReaderClosed(f"the reader of {self.topic!r} failed: {error!r}")
        finally:
            self._end(failure)

    def _read_until_idle(self) -> None:
        settings = {**self._config.reader("responses"), "error_cb": self._on_error}
        consumer = make(ck.Consumer, settings)
        try:
            while not self._stopping.is_set() and not self._closes_for_idleness():
                self._admit(consumer)
                self._dispatch(self._poll(consumer))
        finally:
            consumer.close()

    def _closes_for_idleness(self) -> bool:
        if self._waiting or self._inbox.joined:
            self._idle_since = time.monotonic()
        if time.monotonic() - self._idle_since < self._linger:
            return False
        with self._inbox.lock:
            self._inbox.closed = not self._inbox.joined
        return self._inbox.closed

    def _end(self, failure: KafkaBridgeError) -> None:
        with self._inbox.lock:
            self._inbox.closed = True
        everyone = [*self._waiting.values(), *self._inbox.joined]
        self._waiting.clear()
        if everyone:
            self._hand_over([(subscription, failure) for subscription in everyone])

    def _on_error(self, error: ck.KafkaError) -> None:
        if not heals_by_itself(error):
            self._fatal = error

    def _admit(self, consumer: ck.Consumer) -> None:
        """Take in the jobs that came and let go those that left; go back where they ask for it."""
        inbox = self._inbox
        newcomers = [inbox.joined.popleft() for _ in range(len(inbox.joined))]
        for subscription in newcomers:
            self._waiting[subscription.correlation_id.encode()] = subscription
        for _ in range(len(inbox.left)):
            leaving = inbox.left.popleft()
            key = leaving.correlation_id.encode()
            if self._waiting.get(key) is leaving:
                del self._waiting[key]
        if newcomers:
            self._go_back(consumer, newcomers)

    def _go_back(self, consumer: ck.Consumer, newcomers: Iterable[Subscription]) -> None:
        if not self._positions:
            count = partition_count(
                consumer, self.topic, self._config.bootstrap_servers, METADATA_SECONDS
            )
            self._positions = dict.fromkeys(range(count), _NOWHERE)
        before = dict(self._positions)
        for subscription in newcomers:
            for partition, position in self._positions.items():
                wanted = subscription.positions.get(partition, 0)
                self._positions[partition] = min(position, wanted)
        if self._positions != before:
            self.counts.rewinds += 1
            consumer.assign(
                [ck.TopicPartition(self.topic, p, offset) for p, offset in self._positions.items()]
            )

    def _poll(self, consumer: ck.Consumer) -> list[ck.Message]:
        """Return what has arrived: nothing is held back in the hope of a fuller batch."""
        first = consumer.poll(POLL_SECONDS)
        if self._fatal is not None:
            raise self._translated(self._fatal)
        if first is None:
            return []
        return [first, *consumer.consume(BATCH_RECORDS - 1, timeout=0)]

    def _translated(self, error: ck.KafkaError) -> KafkaBridgeError:
        return translate(
            error,
            doing=f"reading responses from topic {self.topic!r}",
            servers=self._config.bootstrap_servers,
            topic=self.topic,
        )

    def _dispatch(self, messages: list[ck.Message]) -> None:
        delivery: Delivery = []
        for message in messages:
            if (error := message.error()) is not None:
                self._on_error(error)
                continue
            partition, offset, key = message.partition(), message.offset(), message.key()
            assert partition is not None and offset is not None  # noqa: S101, PT018
            self._positions[partition] = offset + 1
            self.counts.records += 1
            if key is None:
                self._count_without_key(message)
                continue
            subscription = self._waiting.get(key)
            if subscription is not None and offset >= subscription.positions.get(partition, 0):
                subscription.positions[partition] = offset + 1
                delivery.append((subscription, self._decode(message)))
        if delivery:
            self._hand_over(delivery)

    def _decode(self, message: ck.Message) -> Notice:
        record = Record.of(message)
        try:
            arrival = Arrival(record.decode(StatusEvent), record.location)
        except RemoteProtocolError as error:
            self.counts.undecodable += 1
            if self.counts.undecodable == 1:
                _log.warning(
                    "Record on a response topic is passed over, and others may be: %s", error
                )
            return error
        self.counts.matched += 1
        return arrival

    def _count_without_key(self, message: ck.Message) -> None:
        self.counts.without_key += 1
        if self.counts.without_key == 1:
            _log.warning(
                "Record %s has no key and is passed over, as are others like it: "
                "the key of every response is the job's correlation id",
                Record.of(message).location,
            )


_NOWHERE = 2**63 - 1
"""The position of a partition that nobody has asked for yet."""
