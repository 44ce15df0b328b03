"""The response topic as the ledger: what is finished, and how often the unfinished was delivered.

A worker that was given partitions may have requests before it which others have finished, or begun.
The response topic says so, and nothing else has to: it is read once for each assignment, from the
time of the oldest request at hand to where it ends. What this worker finishes itself it remembers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.control import ControlReader
from kafka_bridge.kafka.lookups.job_events import CLOCK_SKEW
from kafka_bridge.kafka.unreadable import SkippedBatches
from kafka_bridge.protocol.errors import AccessDenied, KafkaBridgeError, TopicNotFound
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.ledger_snapshot import (
    SCAN_SECONDS,
    LedgerSnapshot,
    read_snapshot,
)
from kafka_bridge.worker.runtime.topic_access import TopicAccess

_log = bounded_logger(__name__)

RETRY_SECONDS = 1.0
REACH = 4
"""By how much a reading that was not far enough back is exceeded by the next one, at the least: so
that requests, each older than the last, have the topic read a few times, not once each."""
OWN_JOBS = 100_000
"""How many of its own finished jobs a worker remembers. A request that was published twice comes
again within moments; Airflow looks for it before it publishes anew."""


Asking: TypeAlias = tuple[float, bytes]
"""When a request was made, seconds since 1970, and the correlation id of its job."""


class Ledger:
    """Knows of each request at hand what the response topic says of its job.

    For the polling thread; what takes time is done on a thread of its own.

    :param call_soon: has a function called on the polling thread, soon
    :param access: which topics are waited for where they may not be read
    """

    def __init__(
        self,
        config: KafkaConfig,
        control: ControlReader,
        observer: Observer,
        call_soon: Callable[..., None],
        access: TopicAccess | None = None,
    ) -> None:
        self._config = config
        self._control = control
        self._observer = observer
        self._call_soon = call_soon
        self._access = access or TopicAccess()
        self._snapshots: dict[str, LedgerSnapshot] = {}
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

    def snapshot_for(self, request: JobRequest, epoch: int) -> LedgerSnapshot | None:
        """Return what the request's response topic says; None where it has to be read for that.

        :param epoch: the assignment that the request came with
        """
        snapshot = self._snapshots.get(request.response_topic)
        if snapshot is None:
            return None
        job = request.correlation_id.encode()
        return snapshot if snapshot.covers(request.created_at, epoch, job) else None

    def read(
        self,
        topic: str,
        asking: Sequence[Asking],
        epoch: int,
        then: Callable[[LedgerSnapshot], None],
    ) -> None:
        """Begin to read a topic, where :meth:`may_read` says so.

        :param asking: the requests at hand that it is read for
        :param epoch: the present assignment
        :param then: called on the polling thread with what it says
        """
        self._reading = topic
        since = self._since(topic, min(made for made, _ in asking), epoch)
        asked = frozenset(job for _, job in asking)
        threading.Thread(
            target=self._read,
            args=(topic, since, epoch, asked, then),
            name="kafka-bridge-ledger",
            daemon=True,
        ).start()

    def _since(self, topic: str, oldest: float, epoch: int) -> float:
        """Return from when on to read: some more than is needed, since older requests may come."""
        now = time.time()
        # A sender's clock may be wrong: nothing was said later than now.
        since = min(oldest, now) - 2 * CLOCK_SKEW.total_seconds()
        last = self._snapshots.get(topic)
        if last is not None and last.epoch == epoch and last.failure is None and not last.is_cut:
            since = min(since, now - REACH * (now - last.since))
        return since

    def _read(
        self,
        topic: str,
        since: float,
        epoch: int,
        asked: frozenset[bytes],
        then: Callable[[LedgerSnapshot], None],
    ) -> None:
        snapshot: LedgerSnapshot | None = None
        try:
            self._control.catch_up(SCAN_SECONDS)
            snapshot = self._snapshot(topic, since, epoch, asked)
        except KafkaBridgeError as error:
            _log.error("Response topic %s cannot be read; its jobs do not start: %s", topic, error)
        except Exception:  # were this thread to end without a word, no job would begin any more
            _log.exception("Reading response topic %s failed; trying again", topic)
        self._call_soon(self._turn, topic, snapshot, then)

    def _snapshot(
        self, topic: str, since: float, epoch: int, asked: frozenset[bytes]
    ) -> LedgerSnapshot:
        began = time.monotonic()
        try:
            snapshot = read_snapshot(self._config, topic, since, epoch, asked, self._skipped)
        except TopicNotFound as error:
            return LedgerSnapshot(since, epoch, failure=error)
        except AccessDenied as error:
            if self._access.may_come_back(topic):
                raise
            return LedgerSnapshot(since, epoch, failure=error)
        self._access.used(topic)
        seconds = time.monotonic() - began
        self._observer.ledger_read(records=snapshot.records, seconds=seconds)
        _log.info(
            "Read %d records of %s in %.1f s: %d jobs are finished, %d begun",
            snapshot.records,
            topic,
            seconds,
            len(snapshot.finished),
            len(snapshot.unfinished),
        )
        return snapshot

    def _skipped(self, skipped: SkippedBatches) -> None:
        self._observer.unreadable(skipped.offsets)

    @property
    def has_unfinished(self) -> bool:
        """Whether there may be jobs that others have begun and not finished."""
        return any(snapshot.unfinished for snapshot in self._snapshots.values())

    def has_read(self, epoch: int) -> bool:
        """Tell whether any topic was read since this assignment."""
        return any(snapshot.epoch >= epoch for snapshot in self._snapshots.values())

    def _turn(
        self, topic: str, snapshot: LedgerSnapshot | None, then: Callable[[LedgerSnapshot], None]
    ) -> None:
        self._reading = None
        if snapshot is None:
            self._again_at[topic] = time.monotonic() + RETRY_SECONDS
        else:
            self._again_at.pop(topic, None)
            self._snapshots = {
                name: each for name, each in self._snapshots.items() if not each.is_stale
            }
            self._snapshots[topic] = snapshot
            then(snapshot)
