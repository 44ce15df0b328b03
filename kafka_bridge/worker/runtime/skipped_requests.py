"""Requests that were skipped because their lane had no room, and are read again when it has.

A partition is a queue of requests for all job types. To reach the requests behind, a worker skips
those that it has no room for: it keeps only the offset, about 40 bytes, and commits nothing from
there on. When half of the lane is empty, a separate consumer goes back to the first skipped request
and continues from there. So each request is read twice, not once for each free place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kafka_bridge.kafka.records import Received
from kafka_bridge.worker.runtime.assignment import Assignment
from kafka_bridge.worker.runtime.backlog import Backlog
from kafka_bridge.worker.runtime.partition import Partition

MAX_SKIPPED = 1_000_000
"""How many requests a worker skips, about 40 MB, before it fetches no more."""


class Rereader(Protocol):
    """Reads one partition at a time again.

    :ivar end: the end of the partition, when it was read to its end
    """

    end: int | None

    def start(self, partition: int, offset: int) -> None:
        """Read a partition from an offset on, instead of the one before."""

    def poll(self) -> list[Received]:
        """Return the records that have arrived."""

    def stop(self) -> None:
        """Read nothing until started again."""


class SkippedRequests:
    """Reads skipped requests again, for one lane of one partition at a time."""

    def __init__(self, rereader: Rereader, assignment: Assignment, backlog: Backlog) -> None:
        self._rereader = rereader
        self._assignment = assignment
        self._backlog = backlog
        self._reading: tuple[Partition, str] | None = None
        self._is_filling = False

    @property
    def is_reading(self) -> bool:
        """Whether skipped requests are being read."""
        return self._is_filling

    def read_again(self, take: Callable[[Partition, Received], None]) -> None:
        """Read the skipped requests that there is room for now.

        :param take: gets each request
        """
        if not self._is_filling:
            self._choose()
        if not self._is_filling or self._reading is None:
            return
        partition, lane = self._reading
        if self._assignment.partitions.get(partition.number) is partition:
            for received in self._rereader.poll():
                if received.partition == partition.number and partition.offsets.read_again(
                    received.offset, lane
                ):
                    take(partition, received)
            if self._rereader.end is not None:  # what has not arrived by now was deleted
                partition.offsets.drop_before(self._rereader.end, lane)
            if partition.offsets.first_skipped(lane) is not None:
                self._is_filling = self._backlog.lane(lane).has_room
                return
        self._reading, self._is_filling = None, False
        self._rereader.stop()

    def _choose(self) -> None:
        """Choose a lane that has room again, each in turn; if it is the only one, continue it."""
        choices = [
            (partition, lane)
            for partition in self._assignment.partitions.values()
            for lane in partition.offsets.lanes_with_skipped
            if self._backlog.lane(lane).is_half_empty
        ]
        if not choices:
            return
        last = choices.index(self._reading) if self._reading in choices else -1
        partition, lane = chosen = choices[(last + 1) % len(choices)]
        first = partition.offsets.first_skipped(lane)
        if chosen != self._reading and first is not None:
            self._rereader.start(partition.number, first)
        self._reading, self._is_filling = chosen, True
