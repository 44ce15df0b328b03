"""Follows the topics of jobs on a thread of its own, and keeps a book of the jobs up to date."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.records import Received
from kafka_bridge.kafka.responses.topic_consumer import POLL_SECONDS, TopicConsumer
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.intake import Intake, TopicKind
from kafka_bridge.monitor.reading import (
    ANSWER_SECONDS,
    HistoryReading,
    MonitoredTopics,
    TopicProgress,
)
from kafka_bridge.protocol.errors import KafkaBridgeError, KafkaError, ReaderClosed

_log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""How long to wait before a topic that could not be read is tried again; then twice as long."""
MOST_RETRY_SECONDS = 60.0
"""Requests may name many response topics that do not exist: to try one takes time."""


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """How a topic is being followed.

    :ivar is_live: whether everything in the topic is received in time
    :ivar failure: why it cannot be read now, in words that say what to do; None if it can
    :ivar undecodable: how many records are not what they should be
    :ivar unreadable: how many offsets were skipped because their batch cannot be unpacked
    """

    topic: str
    kind: TopicKind
    is_live: bool
    failure: str | None
    records: int
    undecodable: int
    unreadable: int


class JobFollower:
    """Reads the topics from a time on, and then what comes, until it is closed.

    A topic that is missing, or may not be read, is tried again from time to time: :meth:`statuses`
    says why it cannot be read. A topic that was deleted and created again is read from its
    beginning. The follower is in no consumer group of a service and commits nothing.

    :param since: records from this time on are read
    :param timeout: the longest silence of the brokers, seconds
    """

    def __init__(
        self,
        config: KafkaConfig,
        topics: MonitoredTopics,
        since: datetime,
        book: JobBook,
        *,
        timeout: float = ANSWER_SECONDS,
    ) -> None:
        self._config = config
        self._since = since
        self._timeout = timeout
        self._intake = Intake(book)
        self._followed = {topic: _Followed(topic, kind) for topic, kind in topics.kinds().items()}
        self._stopping = threading.Event()
        self._caught_up = threading.Event()
        self._failure: KafkaBridgeError | None = None
        self._thread = threading.Thread(target=self._run, name="kafka-bridge-monitor", daemon=True)
        self._thread.start()

    def wait_until_caught_up(self, timeout: float) -> bool:
        """Wait until all that the topics had at the start was read; return whether it was.

        Topics that cannot be read are not waited for.

        :param timeout: seconds
        :raises ReaderClosed: the follower has ended because of a bug
        """
        is_caught_up = self._caught_up.wait(timeout)
        self.check()
        return is_caught_up

    def check(self) -> None:
        """Raise what ended the follower, if it has ended by itself.

        :raises ReaderClosed: the follower has ended because of a bug
        """
        if self._failure is not None:
            raise self._failure

    def statuses(self) -> list[TopicStatus]:
        """Return how each topic is being followed."""
        return [
            TopicStatus(
                topic=topic,
                kind=each.progress.kind,
                is_live=each.is_live,
                failure=None if each.progress.failure is None else str(each.progress.failure),
                records=each.progress.records,
                undecodable=self._intake.undecodable[topic],
                unreadable=each.progress.unreadable,
            )
            for topic, each in list(self._followed.items())
        ]

    def close(self) -> None:
        """Stop reading. It may take as long as Kafka may be silent."""
        self._stopping.set()
        self._thread.join()

    # Everything below runs on the follower's thread.

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._open(self._due())
                self._caught_up.set()
                self._poll()
        except BaseException as error:
            _log.exception("Following the jobs stopped because of a bug")
            self._failure = ReaderClosed(f"following the jobs stopped: {error!r}")
            self._caught_up.set()
        finally:
            for each in self._followed.values():
                each.close()

    def _due(self) -> list[str]:
        """Return the topics that are not open and should be tried now."""
        for topic in self._intake.response_topics:
            if topic not in self._followed:
                self._followed[topic] = _Followed(topic, TopicKind.RESPONSES)
        now = time.monotonic()
        return [name for name, each in self._followed.items() if each.is_due(now)]

    def _open(self, topics: Iterable[str]) -> None:
        """Read what these topics have, and open them to read what comes."""
        by_since: dict[datetime, dict[str, TopicKind]] = {}
        for topic in topics:
            progress = self._followed[topic].progress
            since = progress.continues_at(self._since)
            by_since.setdefault(since, {})[topic] = progress.kind
        for since, kinds in by_since.items():
            reading = HistoryReading(
                self._config,
                self._intake,
                since,
                timeout=self._timeout,
                is_stopped=self._stopping.is_set,
            )
            for progress in reading.read(kinds, except_for=self._followed):
                if progress.topic not in self._followed:
                    self._followed[progress.topic] = _Followed(progress.topic, progress.kind)
                self._followed[progress.topic].open(self._config, progress)

    def _poll(self) -> None:
        """Read what has come from all open topics, waiting for a moment if that is nothing."""
        open_ = [each for each in self._followed.values() if each.consumer is not None]
        if not open_:
            self._stopping.wait(POLL_SECONDS)
        counts = [each.poll(self._intake, 0.0) for each in open_]
        if not any(counts):
            for each in open_:
                each.poll(self._intake, POLL_SECONDS / len(open_))


class _Followed:
    """One topic: its progress, and the consumer that reads what comes."""

    def __init__(self, topic: str, kind: TopicKind) -> None:
        self.progress = TopicProgress(topic, kind)
        self.consumer: TopicConsumer | None = None
        self._retry_at = 0.0
        self._pause = RETRY_SECONDS
        self._reported = ""

    @property
    def is_live(self) -> bool:
        """Whether everything in the topic is received in time."""
        return self.consumer is not None and self.consumer.health.is_live

    def is_due(self, now: float) -> bool:
        """Return whether the topic is not open and should be tried now (monotonic seconds)."""
        return self.consumer is None and now >= self._retry_at

    def open(self, config: KafkaConfig, progress: TopicProgress) -> None:
        """Go on where a reading has ended, if it has not failed."""
        progress.add(self.progress)
        self.progress = progress
        if progress.failure is not None:
            self._fail(progress.failure)
            return
        self._reported, self._pause = "", RETRY_SECONDS
        self.consumer = TopicConsumer(config, progress.topic)
        self.consumer.open()
        self.consumer.assign(dict(enumerate(progress.ends)))

    def close(self) -> None:
        """Disconnect."""
        if self.consumer is not None:
            self.consumer.close()
            self.consumer = None

    def poll(self, intake: Intake, seconds: float) -> int:
        """Take the records that have come, waiting for the first; return how many."""
        if self.consumer is None:
            return 0
        try:
            self._look_at_topic(self.consumer)
            batch = self.consumer.poll(seconds)
        except KafkaError as error:
            self.close()
            self._fail(error)
            return 0
        records = []
        for message in batch:
            if message.error() is None:
                records.append(Received(message))
            else:
                self.consumer.note_bad(message)
        self.progress.took(intake, records)
        if batch:
            self.progress.unreadable += sum(each.offsets for each in self.consumer.note_positions())
        return len(records)

    def _fail(self, failure: KafkaError) -> None:
        self.progress.failure = failure
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, MOST_RETRY_SECONDS)
        if str(failure) != self._reported:
            self._reported = str(failure)
            _log.warning(
                "Topic %s is not read, and is tried again later: %s", self.progress.topic, failure
            )

    def _look_at_topic(self, consumer: TopicConsumer) -> None:
        """Read new partitions, and a topic that was created again, from the beginning."""
        if (partitions := consumer.changed_partitions()) is not None:
            consumer.assign({each: consumer.positions.get(each, 0) for each in partitions})
        if consumer.was_recreated():
            _log.warning("Topic %s was deleted and created again", consumer.topic)
            consumer.assign(dict.fromkeys(consumer.positions, 0))
        if refused := consumer.refused_positions():
            consumer.assign(
                {**consumer.positions, **{each.partition: each.first for each in refused}}
            )
