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
from collections.abc import Callable, Mapping, Sequence

import confluent_kafka as ck

from kafka_bridge.kafka.clients import failure_of, make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.dispatcher import Dispatcher, ReaderCounts
from kafka_bridge.kafka.failures import heals_by_itself, is_missing_topic
from kafka_bridge.kafka.heads import HeadReader, event_head
from kafka_bridge.kafka.hearing import STATISTICS_MS, Hearing, hearing_of
from kafka_bridge.kafka.late_jobs import LateJobs
from kafka_bridge.kafka.notices import Delivery, Inbox, Notice, Subscription, drain
from kafka_bridge.kafka.retention import truncations, watermarks
from kafka_bridge.kafka.topic_watch import METADATA_SECONDS, TopicWatch
from kafka_bridge.kafka.unreadable import UnreadableBatches, is_unreadable
from kafka_bridge.protocol.errors import KafkaBridgeError, ReaderClosed

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
"""How long the thread waits for a record before it looks for new jobs."""
FIRST_POLL_SECONDS = 0.001
"""The same before the first job, for which the reader was opened."""
BATCH_RECORDS = 500
"""Fewer than the 700 new objects at which Python looks for garbage: a batch costs no collection."""
MANY_RECORDS = 100
BURST_RECORDS = 100_000
"""So many records are kept after the reader went back: jobs come in bursts, with like offsets."""
FILL_SECONDS = 0.005
"""How long a batch may take to fill where records come so many at a time."""
LINGER_SECONDS = 30.0
"""How long a reader without waiting jobs stays open: the next job often comes soon."""


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
        self._dispatcher = Dispatcher(topic, self._on_bad_message)
        self._unreadable = UnreadableBatches(config, topic)
        self._blocked: list[ck.Message] = []
        self._late = LateJobs()
        self._watch = TopicWatch(topic, config.bootstrap_servers)
        self._positions: dict[int, int] = {}
        self._read_since_rewind = 0
        self._to_head = 0
        self._last_batch = 0
        self._fatal: ck.KafkaError | None = None
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
        return self.served + len(self._late) + len(self._inbox.joined)

    @property
    def served(self) -> int:
        """How many of them hear what comes from now on."""
        return len(self._dispatcher.waiting)

    @property
    def positions(self) -> Mapping[int, int]:
        """By partition, the offset that is read next; empty while the reader has not begun."""
        return self._positions

    @property
    def is_open(self) -> bool:
        """Whether jobs can still be waited for here."""
        return not self._inbox.closed

    def subscribe(
        self,
        correlation_id: str,
        start_offsets: Sequence[int],
        notify: Callable[[Notice], None],
        *,
        read_head: HeadReader = event_head,
    ) -> Subscription:
        """Wait for a job's events from these offsets on (by partition; others from 0).

        :param read_head: :func:`~kafka_bridge.kafka.heads.plain_head` for plain replies
        :raises ReaderClosed: the reader has ended, or belongs to the process that this one was
            forked from: open another one
        """
        subscription = Subscription(
            correlation_id.encode(), array("q", start_offsets), notify, read_head
        )
        self.join([subscription])
        return subscription

    def join(self, subscriptions: Sequence[Subscription]) -> None:
        """Wait for the events of many jobs at once, which may share one array of positions.

        They are taken in together, so that of each partition they have all seen the same.

        :raises ReaderClosed: as in :meth:`subscribe`
        """
        if self._process != os.getpid():
            raise ReaderClosed(f"the reader of {self.topic!r} belongs to the parent process")
        with self._inbox.lock:
            if self._inbox.closed:
                raise ReaderClosed(f"the reader of {self.topic!r} has ended")
            # One step for the reader's thread, which takes no lock: it finds all of them or none.
            self._inbox.joined.extend(subscriptions)

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
                self._look_at_topic(consumer)
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
        everyone = [*self._dispatcher.waiting.values(), *self._late, *self._inbox.joined]
        if everyone:
            self._hand_over([(subscription, failure) for subscription in everyone])

    def _on_error(self, error: ck.KafkaError) -> None:
        if is_missing_topic(error):
            self._watch.note_missing()
        elif not heals_by_itself(error):
            self._fatal = error

    def _on_bad_message(self, message: ck.Message) -> None:
        error = message.error()
        assert error is not None  # noqa: S101  a programming error
        if is_unreadable(error):
            self._blocked.append(message)
        else:
            self._on_error(error)

    def _on_statistics(self, statistics: str) -> None:
        self.hearing = hearing_of(statistics, self.topic, self._positions)
        self._to_head = self.hearing.lag

    # Jobs come and go.

    def _admit(self, consumer: ck.Consumer) -> None:
        """Take in the jobs that came and let go those that left."""
        if self._inbox.joined:
            partitions = self._positions or self._watch.partitions(consumer)
            missed, late = self._dispatcher.admit(drain(self._inbox.joined))
            self._late.add(late, partitions)
            if missed:
                self._hand_over(missed)
        for leaving in drain(self._inbox.left):
            self._dispatcher.release(leaving)
            self._late.discard(leaving)
        if not self._late:
            return
        if not self._positions:
            self._read_for_the_late(consumer)
        elif self._late.are_worth_it(self._positions, self._read_since_rewind):
            self.counts.rewinds += 1
            self._read_for_the_late(consumer)

    def _read_for_the_late(self, consumer: ck.Consumer) -> None:
        """Begin, or go back, to where the late jobs ask for."""
        starts = self._late.starts(self._positions)
        jobs = self._late.take()
        self._dispatcher.serve(jobs)
        self._assign(consumer, starts)
        limits = watermarks(consumer, self.topic, starts, METADATA_SECONDS)
        self._to_head = sum(max(0, end - starts[number]) for number, (_, end) in limits.items())
        if truncated := truncations(jobs, {number: first for number, (first, _) in limits.items()}):
            self._hand_over(truncated)

    def _assign(self, consumer: ck.Consumer, starts: dict[int, int]) -> None:
        self._positions = starts
        self._dispatcher.recent.start_at(starts)
        self._read_since_rewind = 0
        consumer.assign([ck.TopicPartition(self.topic, p, at) for p, at in starts.items()])

    def _look_at_topic(self, consumer: ck.Consumer) -> None:
        """Read new partitions, too, from their beginning."""
        if self._positions:
            new = self._watch.changed(consumer, self._positions)
            if new is not None:
                self._assign(consumer, {**self._positions, **dict.fromkeys(new, 0)})

    # Records.

    def _poll(self, consumer: ck.Consumer) -> list[ck.Message]:
        """Return what has arrived.

        Nothing is held back in the hope of a fuller batch, but where records come in masses.
        """
        if self._last_batch >= MANY_RECORDS:
            batch = consumer.consume(BATCH_RECORDS, timeout=FILL_SECONDS)
        else:
            first = consumer.poll(POLL_SECONDS if self._positions else FIRST_POLL_SECONDS)
            more = [] if first is None else consumer.consume(BATCH_RECORDS - 1, timeout=0)
            batch = [] if first is None else [first, *more]
        self._raise_what_will_not_heal(consumer)
        self._last_batch = len(batch)
        return batch

    def _raise_what_will_not_heal(self, consumer: ck.Consumer) -> None:
        if self._fatal is not None:
            raise failure_of(
                consumer,
                self._fatal,
                doing=f"reading responses from topic {self.topic!r}",
                servers=self._config.bootstrap_servers,
                topic=self.topic,
            )

    def _dispatch(self, consumer: ck.Consumer, batch: list[ck.Message]) -> None:
        if not batch:
            return
        delivery = self._dispatcher.dispatch(batch)
        if delivery:
            self._hand_over(delivery)
        self._read_since_rewind += len(batch)
        self._to_head -= len(batch)
        self._note_positions(consumer)
        self._skip_unreadable(consumer)
        recent = self._dispatcher.recent
        if self._read_since_rewind > BURST_RECORDS and self._to_head > recent.capacity:
            recent.start_at(self._positions)
        else:
            recent.add(batch, self._positions)

    def _skip_unreadable(self, consumer: ck.Consumer) -> None:
        for skipped in self._unreadable.skip_all(consumer, self._blocked):
            self.counts.unreadable += skipped.offsets
            self._positions = {**self._positions, skipped.partition: skipped.end}
        self._blocked = []

    def _note_positions(self, consumer: ck.Consumer) -> None:
        partitions = [ck.TopicPartition(self.topic, partition) for partition in self._positions]
        moved = {
            each.partition: each.offset
            for each in consumer.position(partitions)
            if each.offset >= 0  # else nothing of it was read since the assignment
        }
        self._positions = {**self._positions, **moved}
