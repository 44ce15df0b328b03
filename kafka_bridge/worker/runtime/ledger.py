"""The response topic as the ledger: which jobs are finished, and how often others were delivered.

Other workers may have finished or started the requests of a partition that is new to this one. The
response topic is the only record of that. It is read once for each assignment, from the time of the
oldest waiting request to its end. The worker remembers the jobs that it finishes itself.
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
from kafka_bridge.protocol.recent_ids import RecentIds
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
"""If a reading did not go back far enough, the next one goes back this many times as far: requests
of which each is older than the last one cause a few readings, not one each."""
OWN_JOBS = 200_000
"""How many of its own finished jobs a worker remembers, at least half of them: about 4 MB. A
request that was published twice arrives again within moments; Airflow looks for it before it
publishes again."""


Asking: TypeAlias = tuple[float, bytes]
"""When a request was created, in seconds since 1970, and the correlation id of its job."""


class Ledger:
    """Knows, for each waiting request, the events of its job in the response topic.

    Used by the polling thread. Topics are read on another thread.

    :param call_soon: calls a function on the polling thread soon
    :param access: knows for which topics a missing permission is waited for
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
        self._own = RecentIds(OWN_JOBS)
        self._reading: str | None = None
        self._again_at: dict[str, float] = {}

    @property
    def is_reading(self) -> bool:
        """Whether a topic is being read."""
        return self._reading is not None

    def may_read(self, topic: str) -> bool:
        """Tell whether a reading may start: one at a time, with a pause after one that failed."""
        return self._reading is None and time.monotonic() >= self._again_at.get(topic, 0.0)

    def finished_here(self, correlation_id: str) -> None:
        """Note that the terminal event of a job, published here, is acknowledged."""
        self._own.add(correlation_id.encode())

    def is_finished_here(self, correlation_id: str) -> bool:
        """Tell whether this worker has finished a job, as far as it remembers."""
        return correlation_id.encode() in self._own

    def snapshot_for(self, request: JobRequest, epoch: int) -> LedgerSnapshot | None:
        """Return the snapshot of the request's response topic; None if it has to be read first.

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
        """Start to read a topic; :meth:`may_read` has to be true.

        :param asking: the waiting requests that it is read for
        :param epoch: the present assignment
        :param then: called on the polling thread with the snapshot
        """
        self._reading = topic
        since = self._since(topic, min(made for made, _ in asking), epoch)
        skew = CLOCK_SKEW.total_seconds()
        asked = frozenset(job for made, job in asking if since <= made - skew)
        thread = threading.Thread(
            target=self._read,
            args=(topic, since, epoch, asked, then),
            name="kafka-bridge-ledger",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread to spare
            _log.error("Reading response topic %s failed; retrying: %s", topic, error)
            self._turn(topic, None, then)

    def _since(self, topic: str, oldest: float, epoch: int) -> float:
        """Return the time to read from: earlier than needed, since older requests may arrive.

        The first reading is a short one, so that requests of the last minute need not wait until
        hours of events are read for an old one.
        """
        now = time.time()
        last = self._snapshots.get(topic)
        margin = 2 * CLOCK_SKEW.total_seconds()
        if last is None:
            return now - margin
        # A sender's clock may be wrong: no event is later than now.
        since = min(oldest, now) - margin
        if (later := self._later(topic, epoch)) is not None:
            since = min(since, now - REACH * (now - later.since))
        return since

    def _later(self, topic: str, epoch: int) -> LedgerSnapshot | None:
        """Return the last snapshot, if it has all since its beginning for this assignment."""
        last = self._snapshots.get(topic)
        if last is None or last.epoch != epoch or last.failure is not None or last.is_cut:
            return None
        return last

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
            _log.error(
                "Reading response topic %s failed; its jobs do not start. Retrying: %s",
                topic,
                error,
            )
        except Exception:  # if this thread ended in silence, no job would start any more
            _log.exception("Reading response topic %s failed; retrying", topic)
        self._call_soon(self._turn, topic, snapshot, then)

    def _snapshot(
        self, topic: str, since: float, epoch: int, asked: frozenset[bytes]
    ) -> LedgerSnapshot:
        began = time.monotonic()
        try:
            snapshot = read_snapshot(
                self._config, topic, since, epoch, asked, self._skipped, self._later(topic, epoch)
            )
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
            "Read %d records of %s in %.1f s: %d jobs are finished, %d are not",
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
        """Whether there may be jobs that other workers have started and not finished."""
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
