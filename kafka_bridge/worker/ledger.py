"""The response topic as the ledger: what is finished, and how often the unfinished was delivered.

A worker that was given partitions may have requests before it which others have finished, or begun.
The response topic says so, and nothing else has to: it is read once for each assignment, from the
time of the oldest request at hand to where it ends. What this worker finishes itself it remembers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.control import ControlReader
from kafka_bridge.kafka.scan import scan
from kafka_bridge.kafka.unreadable import SkippedBatches
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.errors import (
    AccessDenied,
    KafkaBridgeError,
    RemoteProtocolError,
    TopicNotFound,
)
from kafka_bridge.protocol.event_head import read_head
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent
from kafka_bridge.worker.observation import Observer
from kafka_bridge.worker.topic_access import TopicAccess

_log = bounded_logger(__name__)

CLOCK_SKEW_SECONDS = 60.0
"""How far the clocks of Airflow and of other workers may differ from each other."""
SCAN_SECONDS = 60.0
"""The longest silence of the brokers while the topic is read; an open transaction ends in time."""
RETRY_SECONDS = 1.0
FAILURE_SECONDS = 10.0
"""How long a topic that cannot be read is taken to stay so."""
OWN_JOBS = 100_000
"""How many of its own finished jobs a worker remembers. A request that was published twice comes
again within moments; Airflow looks for it before it publishes anew."""


@dataclass(slots=True)
class Unfinished:
    """A job that was begun: the highest delivery seen, and how many were handed back.

    ``last`` is the latest event of that delivery, as it lies in the topic.
    """

    delivery: int = 0
    released: int = 0
    last: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def broken_off(self) -> int:
        """How many deliveries ended without a word."""
        return max(0, self.delivery - self.released)

    @property
    def external_id(self) -> str | None:
        """What the system that does the work calls the job, as far as its events say."""
        try:
            return None if self.last is None else decode(StatusEvent, self.last).external_id
        except RemoteProtocolError:
            return None  # its head could be read, what follows is damaged


@dataclass(frozen=True, slots=True)
class Page:
    """What a response topic said of the jobs since a moment, by correlation id.

    ``since``: seconds since 1970. ``epoch``: the assignment up to which it counts. ``failure``: why
    it could not be read.
    """

    since: float
    epoch: int
    finished: AbstractSet[bytes] = frozenset()
    unfinished: dict[bytes, Unfinished] = field(default_factory=dict)
    failure: KafkaBridgeError | None = None
    records: int = 0
    read_at: float = field(default_factory=time.monotonic)

    def covers(self, created_at: datetime, epoch: int) -> bool:
        """Tell whether it knows all of a request that came with this assignment."""
        if self.failure is not None:
            return time.monotonic() - self.read_at < FAILURE_SECONDS
        return self.epoch >= epoch and self.since <= created_at.timestamp() - CLOCK_SKEW_SECONDS


def read_page(
    config: KafkaConfig,
    topic: str,
    since: float,
    epoch: int,
    skipped: Callable[[SkippedBatches], None] = lambda _: None,
) -> Page:
    """Read a response topic from a time on (seconds since 1970) to its end.

    :param skipped: called with each range that cannot be unpacked
    :raises KafkaError: it cannot be read
    """
    finished: set[bytes] = set()
    unfinished: dict[bytes, Unfinished] = {}
    records = 0
    start = datetime.fromtimestamp(max(0.0, since), UTC)
    for batch in scan(config, topic, start, timeout=SCAN_SECONDS, skipped=skipped):
        records += len(batch)
        for message in batch:
            key = message.key()
            if isinstance(key, bytes) and key not in finished:
                _note(key, message.value(), finished, unfinished)
    return Page(since, epoch, finished, unfinished, records=records)


def _note(
    key: bytes, value: bytes | None, finished: set[bytes], unfinished: dict[bytes, Unfinished]
) -> None:
    try:
        head = read_head(value)
    except RemoteProtocolError:
        return  # a plain reply, or damage: no word of a worker
    if head.state in TERMINAL:
        finished.add(key)
        unfinished.pop(key, None)
        return
    known = unfinished.setdefault(key, Unfinished())
    if head.delivery >= known.delivery:
        known.delivery, known.last = head.delivery, value
    known.released += head.state is JobState.RELEASED


class Ledger:
    """Knows of each request at hand what the response topic says of its job.

    For the polling thread; what takes time is done on a thread of its own.

    :param post: has a function called on the polling thread, soon
    :param access: which topics are waited for where they may not be read
    """

    def __init__(
        self,
        config: KafkaConfig,
        control: ControlReader,
        observer: Observer,
        post: Callable[..., None],
        access: TopicAccess | None = None,
    ) -> None:
        self._config = config
        self._control = control
        self._observer = observer
        self._post = post
        self._access = access or TopicAccess()
        self._pages: dict[str, Page] = {}
        self._own: dict[bytes, None] = {}
        self._reading: str | None = None
        self._again_at: dict[str, float] = {}

    @property
    def is_reading(self) -> bool:
        """Whether a topic is being read."""
        return self._reading is not None

    def may_read(self, topic: str) -> bool:
        """Tell whether a reading may begin: one at a time, and of what failed not the next one."""
        return self._reading is None and time.monotonic() >= self._again_at.get(topic, 0.0)

    def finished_here(self, correlation_id: str) -> None:
        """Note that a job's end, written here, is acknowledged."""
        self._own[correlation_id.encode()] = None
        if len(self._own) > OWN_JOBS:
            del self._own[next(iter(self._own))]

    def is_finished_here(self, correlation_id: str) -> bool:
        """Tell whether this worker has finished a job, as far as it remembers."""
        return correlation_id.encode() in self._own

    def page_for(self, request: JobRequest, epoch: int) -> Page | None:
        """Return what the request's response topic says; None where it has to be read for that.

        :param epoch: the assignment that the request came with
        """
        page = self._pages.get(request.response_topic)
        return page if page is not None and page.covers(request.created_at, epoch) else None

    def read(self, topic: str, oldest: datetime, epoch: int, then: Callable[[Page], None]) -> None:
        """Begin to read a topic, where :meth:`may_read` says so.

        :param oldest: when the oldest request at hand was made
        :param epoch: the present assignment
        :param then: called on the polling thread with what it says
        """
        self._reading = topic
        # Twice the skew: requests that are a little older must not have it read again.
        since = oldest.timestamp() - 2 * CLOCK_SKEW_SECONDS
        threading.Thread(
            target=self._read,
            args=(topic, since, epoch, then),
            name="kafka-bridge-ledger",
            daemon=True,
        ).start()

    def _read(self, topic: str, since: float, epoch: int, then: Callable[[Page], None]) -> None:
        page: Page | None = None
        try:
            self._control.catch_up(SCAN_SECONDS)
            page = self._page(topic, since, epoch)
        except KafkaBridgeError as error:
            _log.error("Reading response topic %s failed; no job starts before: %s", topic, error)
        except Exception:  # were this thread to end without a word, no job would begin any more
            _log.exception("Reading response topic %s failed; trying again", topic)
        self._post(self._turn, topic, page, then)

    def _page(self, topic: str, since: float, epoch: int) -> Page:
        began = time.monotonic()
        try:
            page = read_page(self._config, topic, since, epoch, self._skipped)
        except TopicNotFound as error:
            return Page(since, epoch, failure=error)
        except AccessDenied as error:
            if self._access.may_come_back(topic):
                raise
            return Page(since, epoch, failure=error)
        self._access.used(topic)
        seconds = time.monotonic() - began
        self._observer.ledger_read(records=page.records, seconds=seconds)
        _log.info(
            "Read %d records of %s in %.1f s: %d jobs are finished, %d begun",
            page.records,
            topic,
            seconds,
            len(page.finished),
            len(page.unfinished),
        )
        return page

    def _skipped(self, skipped: SkippedBatches) -> None:
        self._observer.unreadable(skipped.offsets)

    def _turn(self, topic: str, page: Page | None, then: Callable[[Page], None]) -> None:
        self._reading = None
        if page is None:
            self._again_at[topic] = time.monotonic() + RETRY_SECONDS
        else:
            self._again_at.pop(topic, None)
            self._pages[topic] = page
            then(page)
