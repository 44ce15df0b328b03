"""The response reader: one consumer on one thread for all the jobs that wait on a topic.

It assigns itself all partitions, in a consumer group of its own, and commits nothing. Records are
matched to waiting jobs by one dictionary look-up on the key; of those that match, only what every
reader must know is read (:mod:`~kafka_bridge.protocol.event_head`).

A job says from which offsets it waits: where the topic ended before its request was published. What
has gone by since is looked for among the recent records, or else the reader goes back, once for all
the jobs that ask for it. Each job's own positions keep what it has seen from reaching it twice.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence

import confluent_kafka as ck

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.dispatcher import Dispatcher, ReaderCounts
from kafka_bridge.kafka.failures import heals_by_itself, is_missing_topic, translate
from kafka_bridge.kafka.hearing import STATISTICS_MS, Hearing, hearing_of
from kafka_bridge.kafka.notices import Delivery, Inbox, Notice, Subscription, Truncated
from kafka_bridge.kafka.offsets import partition_count
from kafka_bridge.protocol.errors import KafkaBridgeError, ReaderClosed, TopicNotFound

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
"""How long the thread waits for a record before it looks for new jobs."""
BATCH_RECORDS = 1000
MANY_RECORDS = 100
FILL_SECONDS = 0.005
"""How long a batch may take to fill where they come so many at a time."""
LINGER_SECONDS = 30.0
"""How long a reader without waiting jobs stays open: the next job often comes soon."""
METADATA_SECONDS = 10.0
PARTITIONS_SECONDS = 30.0
"""How often the reader looks for new partitions; what they hold is read from its beginning."""
MISSING_SECONDS = 5.0
"""How long a topic must be missing until it counts as deleted: brokers that start say so, too."""
BEHIND_SECONDS = 2.0
"""The longest that a job which asks to go back waits for others that do."""


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
        self.hearing = Hearing(connected=False, held_back=False, lag=0)
        self._config = config
        self._hand_over = hand_over
        self._linger = linger
        self._process = os.getpid()
        self._inbox = Inbox()
        self._dispatcher = Dispatcher(self._on_error)
        self._behind: list[Subscription] = []
        self._behind_since = 0.0
        self._positions: dict[int, int] = {}
        self._read_since_rewind = 0
        self._last_batch = 0
        self._fatal: ck.KafkaError | None = None
        self._missing_since: float | None = None
        self._next_look = 0.0
        self._idle_since = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"kafka-bridge-reader-{topic}", daemon=True
        )
        self._thread.start()

    @property
    def counts(self) -> ReaderCounts:
        """What the reader did since it was opened."""
        return self._dispatcher.counts

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self.served + len(self._behind) + len(self._inbox.joined)

    @property
    def served(self) -> int:
        """How many of them hear what comes from now on."""
        return len(self._dispatcher.waiting) - 1

    @property
    def is_open(self) -> bool:
        """Whether jobs can still be waited for here."""
        return not self._inbox.closed

    def subscribe(
        self, correlation_id: str, start_offsets: Sequence[int], notify: Callable[[Notice], None]
    ) -> Subscription:
        """Wait for a job's events from these offsets on (by partition; others from 0).

        :raises ReaderClosed: the reader has ended, or belongs to the process that this one was
            forked from: open another one
        """
        subscription = Subscription(correlation_id.encode(), array("q", start_offsets), notify)
        if self._process != os.getpid():
            raise ReaderClosed(f"the reader of {self.topic!r} belongs to the parent process")
        with self._inbox.lock:
            if self._inbox.closed:
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
        settings = {
            **self._config.reader("responses"),
            "error_cb": self._on_error,
            "stats_cb": self._on_statistics,
            "statistics.interval.ms": STATISTICS_MS,
        }
        consumer = make(ck.Consumer, settings)
        try:
            while not self._stopping.is_set() and not self._closes_for_idleness():
                self._admit(consumer)
                self._dispatch(consumer, self._poll(consumer))
                self._look_for_partitions(consumer)
        finally:
            consumer.close()

    def _closes_for_idleness(self) -> bool:
        if self.waiting:
            self._idle_since = time.monotonic()
        if time.monotonic() - self._idle_since < self._linger:
            return False
        with self._inbox.lock:
            self._inbox.closed = not self._inbox.joined
        return self._inbox.closed

    def _end(self, failure: KafkaBridgeError) -> None:
        with self._inbox.lock:
            self._inbox.closed = True
        everyone = [*self._dispatcher.subscriptions(), *self._behind, *self._inbox.joined]
        if everyone:
            self._hand_over([(subscription, failure) for subscription in everyone])

    def _on_error(self, error: ck.KafkaError) -> None:
        if is_missing_topic(error):
            self._missing_since = self._missing_since or time.monotonic()
            self._next_look = 0.0
        elif not heals_by_itself(error):
            self._fatal = error

    def _on_statistics(self, statistics: str) -> None:
        self.hearing = hearing_of(statistics, self.topic, self._positions)

    # Jobs come and go.

    def _admit(self, consumer: ck.Consumer) -> None:
        """Take in the jobs that came and let go those that left."""
        newcomers = _drain(self._inbox.joined)
        if newcomers:
            earlier = self._behind
            self._behind = [*earlier, *newcomers]  # known, should what follows fail
            if not self._positions:
                self._open(consumer, newcomers)
            missed, late = self._dispatcher.admit(newcomers)
            if late and not earlier:
                self._behind_since = time.monotonic()
            self._behind = [*earlier, *late]
            if missed:
                self._hand_over(missed)
        for leaving in _drain(self._inbox.left):
            self._dispatcher.release(leaving)
            if leaving in self._behind:
                self._behind.remove(leaving)
        if self._behind:
            self._go_back_if_worth_it(consumer)

    def _open(self, consumer: ck.Consumer, newcomers: list[Subscription]) -> None:
        """Begin to read, where the first jobs ask for."""
        count = partition_count(
            consumer, self.topic, self._config.bootstrap_servers, METADATA_SECONDS
        )
        starts = {p: min(each.position(p) for each in newcomers) for p in range(count)}
        self._tell_of_truncation(consumer, newcomers, starts)
        self._assign(consumer, starts)
        self._next_look = time.monotonic() + PARTITIONS_SECONDS

    def _go_back_if_worth_it(self, consumer: ck.Consumer) -> None:
        """Go back for the jobs that ask for it, once for all of them.

        Not before as much was read as would be read again, or the first of them has waited long
        enough: jobs that come steadily, each a little behind, must not stop the reader.
        """
        starts = {
            partition: min(position, *(each.position(partition) for each in self._behind))
            for partition, position in self._positions.items()
        }
        again = sum(position - starts[number] for number, position in self._positions.items())
        waited = time.monotonic() - self._behind_since
        if again > self._read_since_rewind and waited <= BEHIND_SECONDS:
            return
        self.counts.rewinds += 1
        self._tell_of_truncation(consumer, self._behind, starts)
        self._dispatcher.serve(self._behind)
        self._behind = []
        self._assign(consumer, starts)

    def _assign(self, consumer: ck.Consumer, starts: dict[int, int]) -> None:
        self._positions = starts
        self._dispatcher.recent.start_at(starts)
        self._read_since_rewind = 0
        consumer.assign([ck.TopicPartition(self.topic, p, at) for p, at in starts.items()])

    def _tell_of_truncation(
        self, consumer: ck.Consumer, askers: Sequence[Subscription], starts: dict[int, int]
    ) -> None:
        """Tell the jobs that ask for records which retention has removed."""
        delivery: Delivery = []
        for partition in starts:
            where = ck.TopicPartition(self.topic, partition)
            try:
                first, _ = consumer.get_watermark_offsets(where, timeout=METADATA_SECONDS)
            except ck.KafkaException:
                return  # the broker is away: the jobs go on under their deadlines in any case
            for each in askers:
                wanted = each.position(partition)
                if wanted < first and partition < len(each.positions):
                    delivery.append((each, Truncated(partition, wanted, first)))
        if delivery:
            self._hand_over(delivery)

    def _look_for_partitions(self, consumer: ck.Consumer) -> None:
        """Take in partitions that were added, and find out whether a missing topic is gone."""
        now = time.monotonic()
        if not self._positions or now < self._next_look:
            return
        self._next_look = now + (PARTITIONS_SECONDS if self._missing_since is None else 1.0)
        try:
            count = partition_count(
                consumer, self.topic, self._config.bootstrap_servers, METADATA_SECONDS
            )
        except TopicNotFound:
            self._missing_since = self._missing_since or now
            if now - self._missing_since > MISSING_SECONDS:
                raise
        except KafkaBridgeError:
            pass  # no broker answers: ask again later
        else:
            new = {partition: 0 for partition in range(count) if partition not in self._positions}
            if new or self._missing_since is not None:
                self._missing_since = None
                self._assign(consumer, {**self._positions, **new})

    # Records.

    def _poll(self, consumer: ck.Consumer) -> list[ck.Message]:
        """Return what has arrived.

        Nothing is held back in the hope of a fuller batch, but where records come in masses.
        """
        first = consumer.poll(POLL_SECONDS)
        if self._fatal is not None:
            raise translate(
                self._fatal,
                doing=f"reading responses from topic {self.topic!r}",
                servers=self._config.bootstrap_servers,
                topic=self.topic,
            )
        if first is None:
            return []
        patience = FILL_SECONDS if self._last_batch >= MANY_RECORDS else 0
        batch = [first, *consumer.consume(BATCH_RECORDS - 1, timeout=patience)]
        self._last_batch = len(batch)
        return batch

    def _dispatch(self, consumer: ck.Consumer, batch: list[ck.Message]) -> None:
        if not batch:
            return
        delivery = self._dispatcher.dispatch(batch)
        if delivery:
            self._hand_over(delivery)
        self._read_since_rewind += len(batch)
        self._note_positions(consumer)
        self._dispatcher.recent.add(batch, self._positions)

    def _note_positions(self, consumer: ck.Consumer) -> None:
        partitions = [ck.TopicPartition(self.topic, partition) for partition in self._positions]
        moved = {
            each.partition: each.offset
            for each in consumer.position(partitions)
            if each.offset >= 0  # else nothing of it was read since the assignment
        }
        self._positions = {**self._positions, **moved}


def _drain(queue: deque[Subscription]) -> list[Subscription]:
    """Take out what is there now; others may be adding."""
    return [queue.popleft() for _ in range(len(queue))]
