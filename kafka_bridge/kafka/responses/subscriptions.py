"""The requests of waiting jobs to the reader, and the notices that they get."""

from __future__ import annotations

import threading
from array import array
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeAlias

from kafka_bridge.kafka.records import decode_at
from kafka_bridge.kafka.response_records import HeadReader, event_head
from kafka_bridge.protocol.errors import KafkaBridgeError, RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import StatusEvent


@dataclass(slots=True, eq=False)  # not frozen: thousands are made at once
class Arrival:
    """A status event or a plain reply as it arrived: its ``head`` is read, the rest on request."""

    head: EventHead
    location: RecordLocation
    value: bytes | None

    def event(self) -> StatusEvent:
        """Return the whole event.

        :raises RemoteProtocolError: what follows the head is damaged, or this is a plain reply
        """
        return decode_at(StatusEvent, self.value, self.location)


@dataclass(frozen=True, slots=True)
class Truncated:
    """Records that a job asked for are gone: retention removed them.

    ``wanted`` and ``first`` are the offset asked for and the first one there is.
    """

    partition: int
    wanted: int
    first: int


Notice: TypeAlias = Arrival | Truncated | KafkaBridgeError
"""An event, records lost to retention, a record that cannot be read
(:class:`RemoteProtocolError`), or, as any other error, that the reader has ended."""


@dataclass(slots=True, eq=False)
class Subscription:
    """One waiting job. ``positions`` are, by partition, the offsets it has not seen yet.

    ``read_head`` says what it makes of its records: status events, or plain replies. ``has_left``:
    it waits no longer, wherever the reader still has it.
    """

    key: bytes
    positions: array[int]
    notify: Callable[[Notice], None]
    read_head: HeadReader = event_head
    has_left: bool = False

    def go_back(self, starts: Mapping[int, int]) -> None:
        """Want to see what lies at these offsets, by partition, and after them."""
        for partition, start in starts.items():
            if start < self.position(partition):
                self.positions[partition] = start

    def position(self, partition: int) -> int:
        """Return the first offset of a partition that the job has not seen."""
        return self.positions[partition] if partition < len(self.positions) else 0

    def wants(self, partition: int, offset: int) -> bool:
        """Return whether the job has not seen this record, and note that it has now."""
        if offset < self.position(partition):
            return False
        missing = partition + 1 - len(self.positions)
        if missing > 0:  # a partition that is younger than the job
            self.positions.extend([0] * missing)
        self.positions[partition] = offset + 1
        return True


Delivery: TypeAlias = list[tuple[Subscription, Notice]]

MOST_PENDING = 20
"""How many notices a job may have that it has not looked at yet. A job whose worker publishes
faster than that gets its latest progress and its terminal event."""


def truncations(jobs: Sequence[Subscription], firsts: Mapping[int, int]) -> Delivery:
    """Return notices for the jobs whose records are gone.

    :param firsts: by partition, the first offset that is still there
    """
    return [
        (job, Truncated(partition, job.position(partition), first))
        for partition, first in firsts.items()
        for job in jobs
        if partition < len(job.positions) and job.position(partition) < first
    ]


def is_passing(notice: Notice) -> bool:
    """Return whether a notice may be left out for a later one: it ends neither job nor reader."""
    if isinstance(notice, Arrival):
        return notice.head.state not in TERMINAL
    return isinstance(notice, Truncated | RemoteProtocolError)


def add_pending(pending: list[Notice], notice: Notice) -> None:
    """Add a notice to those that a job has yet to look at.

    Where there are :data:`MOST_PENDING`, it takes the place of the latest one. What follows the
    job's end is left out.
    """
    if len(pending) < MOST_PENDING:
        pending.append(notice)
    elif is_passing(pending[-1]):
        pending[-1] = notice


def bounded(delivery: Delivery) -> Delivery:
    """Return a delivery that has, for each job, no more than what it may have pending."""
    if len(delivery) <= MOST_PENDING:
        return delivery
    if max(Counter(map(itemgetter(0), delivery)).values()) <= MOST_PENDING:
        return delivery
    pending: dict[Subscription, list[Notice]] = {}
    for subscription, notice in delivery:
        add_pending(pending.setdefault(subscription, []), notice)
    return [(job, notice) for job, notices in pending.items() for notice in notices]


@dataclass(slots=True)
class Inbox:
    """The jobs that join and leave; ``closed`` once the reader accepts no more."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    joined: deque[Subscription] = field(default_factory=deque)
    left: deque[Subscription] = field(default_factory=deque)
    closed: bool = False


def drain(queue: deque[Subscription]) -> list[Subscription]:
    """Take out what is there now; others may be adding."""
    return [queue.popleft() for _ in range(len(queue))]
