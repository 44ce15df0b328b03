"""Where the board gets its jobs from: one follower for all visitors, open while there are some."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from kafka_bridge.kafka.admin.dead_letter_topic import DeadLetter
from kafka_bridge.kafka.commands import cancel
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.monitor.book import JobBook, Limits
from kafka_bridge.monitor.dead_letters import DeadLetters, NewestLetters, Replayed
from kafka_bridge.monitor.follower import JobFollower, TopicStatus
from kafka_bridge.monitor.lookup import JobTimeline, read_job
from kafka_bridge.monitor.reading import ANSWER_SECONDS, MonitoredTopics
from kafka_bridge.monitor.task_lookup import JobsOfTask, read_jobs_of_task
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import KafkaBridgeError, RecordLocation
from kafka_bridge.protocol.messages import Task, utc_now

_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0
"""How long a topic may be late: connecting to it takes a moment."""
IDLE = timedelta(minutes=5)
"""How long the follower stays open after the last visitor has gone."""


class Follower(Protocol):
    """What the board needs of :class:`~kafka_bridge.monitor.follower.JobFollower`."""

    def wait_until_caught_up(self, timeout: float) -> bool:
        """Wait until all that the topics had at the start was read; return whether it was."""

    def statuses(self) -> list[TopicStatus]:
        """Return how each topic is being followed."""

    def close(self) -> None:
        """Stop reading."""


class FollowedJobs:
    """The jobs while they are being followed.

    :ivar epoch: names this reading: versions of the book of another one mean something else
    :param clock: returns monotonic seconds
    """

    def __init__(
        self, book: JobBook, follower: Follower, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.book = book
        self.follower = follower
        self.epoch = secrets.token_hex(4)
        self._clock = clock
        self._late_since: dict[str, float] = {}

    @property
    def is_reading(self) -> bool:
        """Whether what the topics had at the start is still being read."""
        try:
            return not self.follower.wait_until_caught_up(0)
        except KafkaBridgeError:
            return False

    def problems(self) -> list[str]:
        """Return what prevents the jobs from being up to date, in words that say what to do."""
        try:
            self.follower.wait_until_caught_up(0)
        except KafkaBridgeError as error:
            return [f"{error}. Restart the board; its log says more"]
        found = (self._problem(each) for each in self.follower.statuses())
        return list(dict.fromkeys(each for each in found if each is not None))

    def _problem(self, status: TopicStatus) -> str | None:
        if status.failure is not None:
            return status.failure
        if status.is_live or self.is_reading:
            self._late_since.pop(status.topic, None)
            return None
        late_since = self._late_since.setdefault(status.topic, self._clock())
        if self._clock() - late_since < PATIENCE_SECONDS:
            return None
        return f"topic {status.topic!r} is not up to date: Kafka does not send what is new in it"

    @property
    def is_away(self) -> bool:
        """Whether nothing is received from any topic."""
        statuses = self.follower.statuses()
        return bool(self.problems()) and not any(each.is_live for each in statuses)


class LetterSource(Protocol):
    """What the board needs of :class:`~kafka_bridge.monitor.dead_letters.DeadLetters`."""

    def newest(self) -> NewestLetters:
        """Return the newest dead letters."""

    def letter(self, place: RecordLocation) -> DeadLetter | None:
        """Return a dead letter; None if the place is in no dead-letter topic.

        :raises KafkaError: it is not there, or cannot be read
        """

    def replay(self, letter: DeadLetter, *, as_new: bool) -> Replayed:
        """Send a dead letter to its topic again.

        :raises ReplayRefused: it would be useless or harmful
        :raises KafkaError: the brokers do not have it
        """


class JobSource(Protocol):
    """Gives the board its jobs. Its methods may block: they are not called on an event loop."""

    @property
    def letters(self) -> LetterSource:
        """The dead letters of the jobs."""

    def visit(self) -> AbstractContextManager[FollowedJobs]:
        """Return a context in which the jobs are followed. Entering it returns at once."""

    def timeline(self, job: str, since: datetime | None) -> JobTimeline | None:
        """Return everything that Kafka holds of a job, or None.

        :param since: records before this time are not read; None: all are
        :raises KafkaBridgeError: it is not known how to reach Kafka
        """

    def jobs_of_task(self, task: Task, since: datetime) -> JobsOfTask:
        """Return what Kafka holds of the jobs of a task that began then.

        :raises KafkaBridgeError: it is not known how to reach Kafka
        """

    def cancel(self, job: str, reason: str) -> RecordLocation:
        """Send the command to cancel a job.

        :raises KafkaBridgeError: the brokers do not have it
        """

    def close(self) -> None:
        """Stop following the jobs."""


Follow: TypeAlias = Callable[
    [Callable[[], KafkaConfig], MonitoredTopics, datetime, JobBook], Follower
]


def follow_at_once(
    config: Callable[[], KafkaConfig], topics: MonitoredTopics, since: datetime, book: JobBook
) -> Follower:
    """Start a follower with settings that are known."""
    return JobFollower(config(), topics, since, book)


class KafkaJobs:
    """Follows topics of Kafka from the first visitor on, until the last one has gone for a while.

    :param config: returns how to reach Kafka; it may take a while, and fail
    :param since: how far back the jobs are read when the first visitor comes
    :param idle: how long to follow the jobs after the last visitor has gone
    :param follow: starts a follower that fills a book; it returns at once
    :param encoding: that of CANCEL commands
    """

    def __init__(
        self,
        config: Callable[[], KafkaConfig],
        topics: MonitoredTopics,
        since: timedelta,
        *,
        idle: timedelta = IDLE,
        follow: Follow = follow_at_once,
        encoding: Encoding = Encoding.AVRO,
    ) -> None:
        self._config = config
        self._topics = topics
        self._since = since
        self._idle = idle
        self._follow = follow
        self._encoding = encoding
        self.letters: LetterSource = DeadLetters(config, topics)
        self._lock = threading.Lock()
        self._visitors = 0
        self._jobs: FollowedJobs | None = None
        self._ending: threading.Timer | None = None

    @contextmanager
    def visit(self) -> Iterator[FollowedJobs]:
        """Follow the jobs, at least until the end of the context."""
        with self._lock:
            self._visitors += 1
            self._stop_timer()
            jobs = self._jobs = self._jobs or self._opened()
        try:
            yield jobs
        finally:
            with self._lock:
                self._visitors -= 1
                if not self._visitors and self._jobs is not None:
                    self._start_timer()

    def _opened(self) -> FollowedJobs:
        usual = Limits()
        book = JobBook(
            Limits(
                live_age=max(usual.live_age, self._since),
                ended_age=max(usual.ended_age, self._since),
            )
        )
        follower = self._follow(self._config, self._topics, utc_now() - self._since, book)
        return FollowedJobs(book, follower)

    def _start_timer(self) -> None:
        self._ending = threading.Timer(self._idle.total_seconds(), self._close_if_idle)
        self._ending.daemon = True
        self._ending.start()

    def _stop_timer(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _close_if_idle(self) -> None:
        with self._lock:
            if self._visitors:
                return
            jobs, self._jobs = self._jobs, None
        if jobs is not None:
            _log.info("No visitors: the topics are no longer followed")
            jobs.follower.close()

    def timeline(self, job: str, since: datetime | None) -> JobTimeline | None:
        """Read everything that Kafka holds of a job."""
        return read_job(self._config(), job, self._topics, since)

    def jobs_of_task(self, task: Task, since: datetime) -> JobsOfTask:
        """Read the jobs of a task."""
        return read_jobs_of_task(self._config(), task, self._topics, since)

    def cancel(self, job: str, reason: str) -> RecordLocation:
        """Send the command to cancel a job, and wait until the brokers have it."""
        return cancel(
            self._config(),
            self._topics.control,
            job,
            reason,
            encoding=self._encoding,
            timeout=ANSWER_SECONDS,
        )

    def close(self) -> None:
        """Stop following. It may take as long as Kafka may be silent."""
        with self._lock:
            self._stop_timer()
            jobs, self._jobs = self._jobs, None
        if jobs is not None:
            jobs.follower.close()
