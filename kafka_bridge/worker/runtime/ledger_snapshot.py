"""A snapshot of the ledger: what a response topic says of the jobs since a moment.

Any client with the permission to write decides what the topic contains. So the snapshot keeps
little of each job, whatever the size of its events, and a limited number of jobs: always the jobs
of waiting requests, and the latest ones of the others.
"""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import CLOCK_SKEW, JobEventScan
from kafka_bridge.kafka.lookups.scan import offsets_since
from kafka_bridge.kafka.unreadable import SkippedBatches
from kafka_bridge.protocol.checkpoint import CHECKPOINT, checkpoint_in
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.errors import KafkaBridgeError, RemoteProtocolError
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState, StatusEvent
from kafka_bridge.protocol.recent_ids import RecentIds
from kafka_bridge.protocol.sanitize import LINE_BYTES

_SKEW_SECONDS = CLOCK_SKEW.total_seconds()
SCAN_SECONDS = 60.0
"""How long the brokers may send nothing during a reading; an open transaction ends before."""
FAILURE_SECONDS = 10.0
"""How long the failure to read a topic counts; then the topic is read again."""
MOST_FINISHED = 2_000_000
"""How many finished jobs a snapshot holds, about 40 MB, besides those that it was asked for."""
MOST_UNFINISHED = 100_000
"""How many jobs that were begun it holds, at most about 80 MB without checkpoints."""
MOST_CHECKPOINT_BYTES = 32_000_000
"""How much memory their checkpoints take, besides those of the jobs that it was asked for."""
_MARK = CHECKPOINT.encode()
WHOLE_BYTES = 512
"""An event that is no longer is kept until the reading ends: usually a later one replaces it, and
decoding each would take ten times as long. A longer one is decoded at once."""


@dataclass(slots=True)
class Unfinished:
    """A job that was started: its highest delivery, and how many deliveries were released.

    ``is_released``: whether the last event of that delivery released the job. ``external_id``
    and ``sequence`` are that event's. ``checkpoint`` is that of the last event that has one, and
    ``saved_in`` that event's delivery: a worker that does not know checkpoints repeats none.
    """

    delivery: int = 0
    released: int = 0
    is_released: bool = field(default=False, compare=False)
    external_id: str | None = field(default=None, compare=False)
    sequence: int = field(default=0, compare=False)
    checkpoint: str | None = field(default=None, compare=False)
    saved_in: int = field(default=0, compare=False)
    _last: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def interrupted(self) -> int:
        """How many deliveries ended without an event."""
        return max(0, self.delivery - self.released)

    def add(self, head: EventHead, value: bytes | None) -> None:
        """Add the next event of the job."""
        is_released = head.state is JobState.RELEASED
        self.released += is_released
        if head.delivery < self.delivery:
            return
        if self._last is not None and (_MARK in self._last or head.delivery > self.delivery):
            self.settle()
        self.delivery, self.is_released, self._last = head.delivery, is_released, value
        if value is not None and len(value) > WHOLE_BYTES:
            self.settle()

    def with_earlier(self, earlier: Unfinished) -> Unfinished:
        """Return what is known of the job with its events before, too; both are settled."""
        last = self if self.delivery >= earlier.delivery else earlier
        saved = self if self.saved_in >= max(1, earlier.delivery) else earlier
        return replace(
            last,
            released=earlier.released + self.released,
            external_id=last.external_id or earlier.external_id,
            checkpoint=saved.checkpoint,
            saved_in=saved.saved_in,
        )

    @property
    def checkpoint_size(self) -> int:
        """How much memory the checkpoint takes, in bytes."""
        return 0 if self.checkpoint is None else sys.getsizeof(self.checkpoint)

    def settle(self) -> None:
        """Keep what is needed of the last event, and drop the rest."""
        value, self._last = self._last, None
        if value is None:
            return
        try:
            event = decode(StatusEvent, value)
        except RemoteProtocolError:
            return  # its head could be read, what follows is damaged
        self.sequence = event.sequence
        if event.external_id is not None:
            self.external_id = _bounded(event.external_id)
        if (saved := checkpoint_in(event)) is not None:
            self.checkpoint, self.saved_in = saved, event.delivery


def _bounded(external_id: str | None) -> str | None:
    """Return an external id; None if it is too long for a worker's: half of it is another id."""
    return None if external_id is None or len(external_id) > LINE_BYTES else external_id


class Ids(Protocol):
    """A number of correlation ids."""

    def __contains__(self, job: bytes, /) -> bool: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """What a response topic said of the jobs since a moment, by correlation id.

    ``since``: seconds since 1970. ``epoch``: the assignment up to which it counts. ``asked``: older
    jobs that it knows, too. ``failure``: why it could not be read. ``is_cut``: there were more jobs
    than a snapshot holds; ``since`` is the moment since which none was left out. ``starts``: by
    partition the first offset that was read.
    """

    since: float
    epoch: int
    finished: Ids = frozenset()
    unfinished: Mapping[bytes, Unfinished] = field(default_factory=dict)
    failure: KafkaBridgeError | None = None
    records: int = 0
    asked: AbstractSet[bytes] = frozenset()
    is_cut: bool = False
    starts: Sequence[int] = ()
    read_at: float = field(default_factory=time.monotonic)

    @property
    def is_stale(self) -> bool:
        """Whether it records that the topic could not be read, and is no longer recent."""
        return self.failure is not None and time.monotonic() - self.read_at >= FAILURE_SECONDS

    def covers(self, created_at: datetime, epoch: int, job: bytes = b"") -> bool:
        """Tell whether it has all events for a request of this assignment."""
        if self.failure is not None:
            return not self.is_stale
        is_recent = self.since <= created_at.timestamp() - _SKEW_SECONDS
        return self.epoch >= epoch and (is_recent or job in self.asked)


def read_snapshot(
    config: KafkaConfig,
    topic: str,
    since: float,
    epoch: int,
    asked: AbstractSet[bytes] = frozenset(),
    skipped: Callable[[SkippedBatches], None] = lambda _: None,
    later: LedgerSnapshot | None = None,
) -> LedgerSnapshot:
    """Read a response topic from a time on (seconds since 1970) to its end.

    :param asked: the jobs, by correlation id, that must not be left out
    :param skipped: called with each range that cannot be unpacked
    :param later: a complete snapshot of the same assignment, since a later time: only what is
        before it is read
    :raises KafkaError: it cannot be read
    """
    start = datetime.fromtimestamp(max(0.0, since), UTC)
    starts = offsets_since(config, topic, start, timeout=SCAN_SECONDS)
    reading = _Reading(asked)
    scan = JobEventScan(config, topic, starts, SCAN_SECONDS, skipped=skipped)
    if later is not None:
        scan.until = later.starts
    for job, head, message in scan.keyed_events():
        reading.add(job, head, message)
    reading.end()
    read = LedgerSnapshot(
        max(since, reading.complete_since),
        epoch,
        reading.finished,
        reading.unfinished,
        records=scan.records,
        asked=asked,
        is_cut=reading.complete_since > 0,
        starts=starts,
    )
    return read if later is None else _joined(read, later)


def _joined(earlier: LedgerSnapshot, later: LedgerSnapshot) -> LedgerSnapshot:
    """Return a snapshot that knows what two adjacent ones know."""
    finished = _Either(earlier.finished, later.finished)
    unfinished = {**earlier.unfinished, **later.unfinished}
    for job in earlier.unfinished.keys() & later.unfinished.keys():
        unfinished[job] = later.unfinished[job].with_earlier(earlier.unfinished[job])
    for job in [each for each in unfinished if each in finished]:
        del unfinished[job]
    return replace(earlier, finished=finished, unfinished=unfinished)


@dataclass(frozen=True, slots=True)
class _Either:
    """The ids in two collections."""

    one: Ids
    other: Ids

    def __contains__(self, job: bytes) -> bool:
        return job in self.one or job in self.other

    def __len__(self) -> int:
        return len(self.one) + len(self.other)


class _Finished:
    """The finished jobs: all those that were asked for, and the last ones of the others."""

    def __init__(self, asked: AbstractSet[bytes]) -> None:
        self._asked = asked
        self._of_asked: set[bytes] = set()
        self._others = RecentIds(MOST_FINISHED)

    def add(self, job: bytes) -> bool:
        """Add a job; tell whether others were left out for it."""
        if job in self._asked:
            self._of_asked.add(job)
            return False
        return self._others.add(job)

    def __contains__(self, job: bytes) -> bool:
        return job in self._of_asked or job in self._others

    def __len__(self) -> int:
        return len(self._of_asked) + len(self._others)


class _Reading:
    """What is known so far while a snapshot is read.

    ``complete_since``: the moment (seconds since 1970) since which no job was left out.
    """

    def __init__(self, asked: AbstractSet[bytes]) -> None:
        self.finished = _Finished(asked)
        self.unfinished: OrderedDict[bytes, Unfinished] = OrderedDict()
        self.complete_since = 0.0
        self._asked = asked
        self._newest_ms = 0
        self._checkpoint_bytes = 0  # of jobs that were not asked for

    def add(self, key: bytes, head: EventHead, message: Any) -> None:
        """Add an event."""
        timestamp_ms = message.timestamp()[1]
        if timestamp_ms > self._newest_ms:  # max() takes three times as long
            self._newest_ms = timestamp_ms
        if head.state in TERMINAL:
            ended = self.unfinished.pop(key, None)
            if ended is not None and ended.checkpoint is not None:
                self._count(key, -ended.checkpoint_size)
            if self.finished.add(key):
                self._note_left_out()
        else:
            known = self.unfinished.get(key)
            if known is None:
                known = self.unfinished[key] = Unfinished()
                self._limit_unfinished()
            before = known.checkpoint
            known.add(head, message.value())
            if known.checkpoint is not before:
                self._limit_checkpoints(key, known, before)

    def _limit_unfinished(self) -> None:
        """If there are too many jobs, drop the first one that was not asked for."""
        if len(self.unfinished) > MOST_UNFINISHED + len(self._asked):
            self._drop_first()

    def _limit_checkpoints(self, key: bytes, known: Unfinished, before: str | None) -> None:
        """If a new checkpoint makes them too large, drop the first jobs that were not asked for."""
        self._count(key, known.checkpoint_size - (0 if before is None else sys.getsizeof(before)))
        while self._checkpoint_bytes > MOST_CHECKPOINT_BYTES:
            self._drop_first()

    def _count(self, key: bytes, size: int) -> None:
        if key not in self._asked:
            self._checkpoint_bytes += size

    def _drop_first(self) -> None:
        jobs = self.unfinished
        while (first := next(iter(jobs))) in self._asked:
            jobs.move_to_end(first)
        self._checkpoint_bytes -= jobs.pop(first).checkpoint_size
        self._note_left_out()

    def _note_left_out(self) -> None:
        # The events of what was left out are no younger than the youngest that was read so far.
        self.complete_since = self._newest_ms / 1000

    def end(self) -> None:
        """Drop what is not needed of the events, and the jobs of which one came after the end."""
        for job in [each for each in self.unfinished if each in self.finished]:
            del self.unfinished[job]
        for known in self.unfinished.values():
            known.settle()
