"""The response reader: one consumer on one thread for all the jobs that wait on a topic.

It assigns all partitions to itself, in its own consumer group, and commits no offsets. A dictionary
look-up on the key finds the waiting job of a record. Of a matching record, it decodes only the head
(:mod:`~kafka_bridge.protocol.event_head`).

Each job waits from certain offsets: the ends of the topic before its request was published. If the
reader is already past them, it looks among the recent records. If they are not there, it goes back,
once for all jobs that need it. Each job has its own positions, so that it gets no record twice.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.health import ReaderHealth
from kafka_bridge.kafka.lookups.scan import offsets_since
from kafka_bridge.kafka.response_records import HeadReader, event_head
from kafka_bridge.kafka.responses.catch_up import CatchUp, JobsAhead
from kafka_bridge.kafka.responses.dispatcher import Dispatcher, ReaderCounts
from kafka_bridge.kafka.responses.subscriptions import (
    Delivery,
    Inbox,
    Notice,
    Subscription,
    drain,
    truncations,
)
from kafka_bridge.kafka.responses.topic_consumer import RefusedPosition, TopicConsumer
from kafka_bridge.protocol.errors import KafkaBridgeError, ReaderClosed

_log = logging.getLogger(__name__)

BURST_RECORDS = 100_000
"""Records that are kept after the reader went back: jobs come in bursts, from similar offsets."""
LINGER_SECONDS = 30.0
"""How long a reader without waiting jobs stays open: the next job often comes soon."""
REREAD_SECONDS = 3600.0
"""If a partition's offsets went back, its records of the last hour are read again. Jobs ignore the
records that they have already received."""
ANSWER_SECONDS = 10.0
WENT_BACK = "the topic was deleted and created again, or lost records (unclean leader election)"


class ResponseReader:
    """Reads one response topic for all the jobs of a process that wait on it.

    :param config: how to reach Kafka
    :param topic: the response topic
    :param hand_over: called on the reader's thread with each batch of notices. It must return at
        once, and must have every subscription's ``notify`` called, in order
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
        self._config = config
        self._source = TopicConsumer(config, topic)
        self._hand_over = hand_over
        self._linger = linger
        self._process = os.getpid()
        self._inbox = Inbox()
        self._dispatcher = Dispatcher(topic, self._source.note_bad)
        self._late = CatchUp()
        self._ahead = JobsAhead()
        self._read_since_rewind = 0
        self._to_head = 0
        self._idle_since = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"kafka-bridge-reader-{topic}", daemon=True
        )
        self._thread.start()

    @property
    def counts(self) -> ReaderCounts:
        """Counts since the reader was opened."""
        return self._dispatcher.counts

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self.served + len(self._late) + len(self._inbox.joined)

    @property
    def served(self) -> int:
        """How many of the waiting jobs receive new records."""
        return len(self._dispatcher.waiting)

    @property
    def positions(self) -> Mapping[int, int]:
        """By partition, the offset that is read next; empty until the reader has started."""
        return self._source.positions

    @property
    def health(self) -> ReaderHealth:
        """Whether everything in the topic is received in time."""
        return self._source.health

    @property
    def is_open(self) -> bool:
        """Whether new jobs can still wait at this reader."""
        return not self._inbox.closed

    def subscribe(
        self,
        correlation_id: str,
        start_offsets: Sequence[int],
        notify: Callable[[Notice], None],
        *,
        read_head: HeadReader = event_head,
    ) -> Subscription:
        """Wait for a job's events from these offsets (by partition; other partitions from 0).

        :param read_head: ``plain_head`` for plain replies
        :raises ReaderClosed: the reader has ended, or belongs to the parent process of this forked
            process: open another one
        """
        subscription = Subscription(
            correlation_id.encode(), array("q", start_offsets), notify, read_head
        )
        self.join([subscription])
        return subscription

    def join(self, subscriptions: Sequence[Subscription]) -> None:
        """Wait for the events of many jobs at once, which may share one array of positions.

        They are added in one step, so that all of them start at the same records.

        :raises ReaderClosed: as in :meth:`subscribe`
        """
        if self._process != os.getpid():
            raise ReaderClosed(f"the reader of {self.topic!r} belongs to the parent process")
        with self._inbox.lock:
            if self._inbox.closed:
                raise ReaderClosed(f"the reader of {self.topic!r} is closed")
            # One step for the reader's thread, which uses no lock: it sees all of them or none.
            self._inbox.joined.extend(subscriptions)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop waiting for this job."""
        subscription.has_left = True  # first: it may be in any list from joined to served
        self._inbox.left.append(subscription)

    def close(self) -> None:
        """Stop the thread; jobs that still wait are notified."""
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
        self._source.open()
        try:
            while not self._stopping.is_set() and not self._closes_for_idleness():
                self._admit()
                self._dispatch()
                self._look_at_topic()
        finally:
            self._source.close()

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

    # Jobs come and go.

    def _admit(self) -> None:
        """Add the jobs that joined and release those that left."""
        if self._inbox.joined:
            partitions = self.positions or self._source.partitions()
            came = [each for each in drain(self._inbox.joined) if not each.has_left]
            missed, late = self._dispatcher.admit(came)
            self._late.add(late, partitions)
            self._ahead.add(came, self.positions or dict.fromkeys(partitions, 0))
            if missed:
                self._hand_over(missed)
        for leaving in drain(self._inbox.left):
            self._dispatcher.release(leaving)
            self._late.discard(leaving)
        if not self._late:
            return
        if not self.positions:
            self._read_for_the_late()
        elif self._late.are_worth_it(self.positions, self._read_since_rewind):
            self.counts.rewinds += 1
            self._read_for_the_late()

    def _read_for_the_late(self) -> None:
        """Start at, or go back to, the offsets of the late jobs."""
        starts = self._late.starts(self.positions)
        jobs = self._late.pop_all()
        self._dispatcher.serve(jobs)
        limits = self._source.bounds(starts)
        firsts = {number: first for number, (first, _) in limits.items()}
        self._assign({number: max(at, firsts.get(number, 0)) for number, at in starts.items()})
        self._to_head = sum(max(0, end - starts[number]) for number, (_, end) in limits.items())
        if truncated := truncations(jobs, firsts):
            self._hand_over(truncated)

    def _assign(self, starts: Mapping[int, int]) -> None:
        self._source.assign(starts)
        self._dispatcher.recent.start_at(starts)
        self._read_since_rewind = 0

    # The topic changes.

    def _look_at_topic(self) -> None:
        """Read new partitions from the beginning, and again those whose offsets went back."""
        if (partitions := self._source.changed_partitions()) is not None:
            self._assign({number: self.positions.get(number, 0) for number in partitions})
        if self._source.was_recreated():
            _log.warning(
                "Topic %s was deleted and created again; waiting jobs now read the new one",
                self.topic,
            )
            self._read_again(dict.fromkeys(self.positions, 0), self._everyone())
        if refused := self._source.refused_positions():
            self._recover(refused)
        if self._source.has_new_statistics:
            self._source.has_new_statistics = False
            self._to_head = self.health.lag
            self._look_for_those_beyond_the_end()

    def _recover(self, refused: Sequence[RefusedPosition]) -> None:
        """Go on where the topic has records, in the partitions that do not have our position."""
        removed = {each.partition: each.first for each in refused if each.was_removed}
        went_back = [each for each in refused if not each.was_removed]
        recent = self._an_hour_ago() if went_back else {}
        starts = {
            each.partition: min(recent.get(each.partition, 0), each.end) for each in went_back
        }
        self._log_refused(refused, starts)
        gone = truncations(self._everyone(), removed)
        self._go_back(starts, self._everyone())
        self._assign({**self.positions, **removed, **starts})
        if gone:
            self._hand_over(gone)

    def _log_refused(self, refused: Iterable[RefusedPosition], starts: Mapping[int, int]) -> None:
        for each in refused:
            place, wanted = (self.topic, each.partition), each.wanted
            if each.was_removed:
                _log.warning(
                    "%s[%d] now begins at offset %d: retention removed the unread records from %d "
                    "on",
                    *(*place, each.first, wanted),
                )
            else:
                _log.warning(
                    "%s[%d] ends at offset %d, before the next offset to read, %d: %s. "
                    "Reading again from %d",
                    *(*place, each.end, wanted, WENT_BACK, starts[each.partition]),
                )

    def _an_hour_ago(self) -> dict[int, int]:
        """Return offsets by partition; an empty dictionary if the brokers do not answer."""
        moment = datetime.fromtimestamp(time.time() - REREAD_SECONDS, UTC)
        try:
            starts = offsets_since(self._config, self.topic, moment, timeout=ANSWER_SECONDS)
        except KafkaBridgeError:
            return {}
        return dict(enumerate(starts))

    def _read_again(self, starts: Mapping[int, int], jobs: Iterable[Subscription]) -> None:
        self._go_back(starts, jobs)
        self._assign({n: min(at, starts.get(n, at)) for n, at in self.positions.items()})

    def _go_back(self, starts: Mapping[int, int], jobs: Iterable[Subscription]) -> None:
        for job in jobs:
            job.go_back(starts)
        self._late.go_back(starts)

    def _everyone(self) -> list[Subscription]:
        return [*self._dispatcher.waiting.values(), *self._late]

    def _look_for_those_beyond_the_end(self) -> None:
        """Read again for jobs whose offsets are after the end of the topic."""
        ends = self._source.ends
        if not self.health.connected or not (jobs := self._ahead.beyond(ends, self.positions)):
            return
        recent = self._an_hour_ago()
        starts = {
            number: min(recent.get(number, 0), end)
            for number, end in ends.items()
            if any(job.position(number) > end for job in jobs)
        }
        _log.warning(
            "%d jobs wait for offsets after the end of topic %s (by partition, now %s): %s. "
            "Reading again from %s",
            *(
                len(jobs),
                self.topic,
                {number: ends[number] for number in starts},
                WENT_BACK,
                starts,
            ),
        )
        self._read_again(starts, jobs)

    # Records.

    def _dispatch(self) -> None:
        batch = self._source.poll()
        if not batch:
            return
        delivery = self._dispatcher.dispatch(batch)
        if delivery:
            self._hand_over(delivery)
        self._read_since_rewind += len(batch)
        self._to_head -= len(batch)
        for skipped in self._source.note_positions():
            self.counts.unreadable += skipped.offsets
        recent = self._dispatcher.recent
        if self._read_since_rewind > BURST_RECORDS and self._to_head > recent.capacity:
            recent.start_at(self._source.positions)
        else:
            recent.add(batch, self._source.positions)
