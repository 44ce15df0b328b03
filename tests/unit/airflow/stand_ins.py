"""What stands in for Kafka, and for Airflow, where operators are tested without them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import confluent_kafka as ck

from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.submit.earlier import Earlier
from kafka_bridge.airflow.submit.submission import Submission
from kafka_bridge.airflow.triggerer.waiter import JobNotice, Waiter
from kafka_bridge.kafka.admin.diagnosis import QueueReport
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import JobEvent
from kafka_bridge.kafka.records import Record, headers_of
from kafka_bridge.kafka.response_records import HeadReader
from kafka_bridge.kafka.responses.subscriptions import Notice
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.errors import RecordGone, RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import JobRequest, StatusEvent

from .samples import T0, record

ENDS = {"jobs.requests": [3, 0], "jobs.responses": [4, 5, 6]}


@dataclass
class Kafka:
    """Notes in ``journal`` what is asked of the brokers, in order.

    ``earlier`` are the submissions of the task instance by the id of their job, and ``events`` the
    records of the last job. ``ended`` is the record that is read, and ``failure`` what a publish
    raises. ``state`` is what Airflow says of the task, and ``now`` the time.
    """

    journal: list[str] = field(default_factory=list)
    published: list[tuple[str, bytes, bytes, Headers]] = field(default_factory=list)
    cancelled: list[tuple[str, str]] = field(default_factory=list)
    earlier: dict[str, Submission] = field(default_factory=dict)
    events: list[ck.Message] = field(default_factory=list)
    scanned: list[tuple[Any, ...]] = field(default_factory=list)
    now: float = T0 + 1
    ended: StatusEvent | None = None
    failure: Exception | None = None
    state: str = "running"
    read_head: HeadReader | None = None
    report: QueueReport = field(default_factory=lambda: QueueReport("jobs.requests"))

    @property
    def requests(self) -> list[JobRequest]:
        """The requests that were published."""
        return [decode(JobRequest, value) for _, _, value, _ in self.published]

    @property
    def submissions(self) -> list[Submission | None]:
        """What the requests that were published tell later tries."""
        return [Submission.of_headers(headers) for _, _, _, headers in self.published]

    def end_offsets(
        self, _: KafkaConfig, topics: Iterable[str], timeout: float
    ) -> dict[str, list[int]]:
        """Say where topics end."""
        self.journal.append(f"asked for {', '.join(sorted(topics))} within {timeout:g} s")
        return {topic: ENDS.get(topic, [0]) for topic in topics}

    def producer(self, _: KafkaConfig, timeout: float) -> Self:
        """Be the producer."""
        self.journal.append(f"opened for {timeout:g} s")
        return self

    def connect(self, topic: str) -> None:
        """Be connected."""
        self.journal.append(f"connected for {topic}")

    def publish(self, topic: str, key: bytes, value: bytes, headers: Headers) -> RecordLocation:
        """Take a record, or fail."""
        self.journal.append("published")
        if self.failure:
            raise self.failure
        self.published.append((topic, key, value, headers))
        return RecordLocation(topic, 1, 17)

    def cancel(
        self, _: KafkaConfig, topic: str, job: str, reason: str, **_options: Any
    ) -> RecordLocation:
        """Take a command, or fail."""
        self.journal.append("cancelled")
        if self.failure:
            raise self.failure
        self.cancelled.append((job, reason))
        return RecordLocation(topic, 0, 3)

    def earlier_requests(self, _: KafkaAccess, topic: str, _context: Any) -> Earlier:
        """Tell what the task has submitted."""
        self.journal.append(f"searched {topic}")
        return Earlier(list(self.earlier.items()), frozenset(self.earlier))

    def scan(
        self, _: KafkaConfig, topic: str, start: Any, timeout: float, read_head: HeadReader
    ) -> Self:
        """Be the scan of the response topic."""
        self.scanned.append((topic, start, timeout))
        self.read_head = read_head
        return self

    def events_of(self, jobs: Mapping[bytes | None, Any]) -> Iterator[JobEvent[Any]]:
        """Yield the events of a job."""
        (job,) = jobs.values()
        for each in self.events:
            yield job, self._head_of(each), each

    def _head_of(self, message: ck.Message) -> EventHead | None:
        assert self.read_head is not None
        try:
            return self.read_head(message.value(), headers_of(message))
        except RemoteProtocolError:
            return None

    def time(self) -> float:
        """Tell the time."""
        return self.now

    def read_record(self, _: KafkaConfig, location: RecordLocation, _timeout: float) -> Record:
        """Return the terminal record."""
        if self.ended is None:
            raise RecordGone(f"record {location} is no longer there")
        return record(self.ended, location)

    def diagnose(self, _: KafkaConfig, topic: str, _timeout: float) -> QueueReport:
        """Tell what is known of a topic."""
        self.journal.append(f"diagnosed {topic}")
        return self.report

    def is_in_state(self, _: Any, state: str) -> bool:
        """Tell whether the task is in a state."""
        return self.state == state

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.journal.append("closed")


@dataclass
class TaskReader:
    """The reader of a task's own process: gives what ``script`` says, and then nothing more.

    ``script`` is called with the id of each job that is waited for, and ``meanwhile`` when the wait
    begins.
    """

    script: Callable[[str], Iterable[Notice]] = lambda _: ()
    meanwhile: Callable[[], None] = lambda: None
    opened: list[tuple[str, str]] = field(default_factory=list)
    waiting: bool = False
    live_since: float = 0.0
    _notices: list[tuple[str, Notice]] = field(default_factory=list)

    def open_for_task(self, _: KafkaConfig, kafka_config_id: str, topic: str) -> None:
        """Be opened."""
        self.opened.append((kafka_config_id, topic))
        self.meanwhile()

    async def join_hub(self, waiter: Waiter, *_: str) -> Self:
        """Take the place of the waiter, until the block ends."""
        jobs = [each.key.decode() for each in waiter._subscriptions]
        self._notices = [(job, notice) for job in jobs for notice in self.script(job)]
        return self

    def __enter__(self) -> Self:
        self.waiting = True
        return self

    def __exit__(self, *_: object) -> None:
        self.waiting = False

    async def next(self, _: float | None) -> JobNotice:
        """Return the next notice, or wait for ever."""
        if not self._notices:
            await asyncio.Event().wait()
        return self._notices.pop(0)


@dataclass
class Log:
    """Keeps the lines that an operator logs."""

    lines: list[str] = field(default_factory=list)

    def info(self, words: str, *arguments: object) -> None:
        """Keep a line."""
        self.lines.append(words % arguments)

    warning = error = info

    def log(self, _level: int, words: str, *arguments: object) -> None:
        """Keep a line at any level."""
        self.info(words, *arguments)
