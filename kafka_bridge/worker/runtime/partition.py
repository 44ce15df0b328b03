"""One assignment of a partition, and which of its offsets may be committed."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, islice

from kafka_bridge.kafka.consumer import Position
from kafka_bridge.kafka.finished_runs import (
    ConsumedRecord,
    FinishedRuns,
    Run,
    to_metadata,
)

LEAST_FINISHED = 10
"""Of fewer finished offsets above the committed one nothing is written: quick jobs that run beside
each other always leave some, and to write them costs time in each commit."""
MOST_UNFINISHED = 20_000
"""Behind how many unfinished offsets a commit looks for finished ones: it takes a few ms."""
SEEK_RECORDS = 10_000
"""Of how many finished records it is worth to seek over them: to read and drop them costs a few
microseconds each, a seek some tens of milliseconds."""


@dataclass(slots=True)
class OffsetTracker:
    """Tracks the offsets of one assignment of a partition: consumed, skipped and finished.

    Jobs finish out of order. Only the offset up to which everything is finished may be committed:
    after a crash Kafka delivers from there, and a job that was not finished is delivered again.

    Of a skipped request only the offset is kept, by the lane that had no room for it. Of a finished
    one nothing is kept: it lies between the position and the next offset, and is not unfinished.

    :param finished_before: what is finished above the committed offset, as an earlier commit says
    """

    finished_before: FinishedRuns | None = None
    committed: Position | None = None
    _unfinished: set[int] = field(default_factory=set)
    _skipped: dict[str, deque[int]] = field(default_factory=dict)
    _next: int | None = None
    _ahead: deque[Run] = field(default_factory=deque)
    _last: ConsumedRecord | None = None
    _sought: int | None = None

    def __post_init__(self) -> None:
        if self.finished_before is not None:
            self._ahead.extend(self.finished_before.runs)
            self._last = self.finished_before.last

    def consume(self, offset: int) -> None:
        """Note that the record at this offset was consumed."""
        self._unfinished.add(offset)
        self._next = offset + 1

    def passes(self, offset: int) -> bool:
        """Note that a record has arrived; tell whether an earlier commit says that it is finished.

        Then it is not to be consumed.
        """
        ahead = self._ahead
        if not ahead:
            return False
        if self._next is not None and offset < self._next:
            ahead.clear()  # offsets went back: they may belong to other records now
            return False
        while ahead and ahead[0][1] <= offset:
            ahead.popleft()
        if not ahead or offset < ahead[0][0]:
            return False
        self._next, self._sought = offset + 1, None
        return True

    def seek(self) -> int | None:
        """Return where to continue, once, if it is worth to seek over finished records."""
        if self._next is None or not self._ahead or self._ahead[0][0] > self._next:
            return None
        end = self._ahead[0][1]
        if end == self._sought or end - self._next < SEEK_RECORDS:
            return None
        self._sought = end
        return end

    def note_last(self, record: ConsumedRecord) -> None:
        """Note the last record that has arrived."""
        if self._last is None or record.offset > self._last.offset:
            self._last = record

    def finish(self, offset: int) -> None:
        """Note that the record at this offset is finished."""
        self._unfinished.discard(offset)

    def jump_to(self, offset: int) -> None:
        """Note that the next record to be consumed has this offset or a later one."""
        self._next = max(offset, self._next or 0)

    def may_skip(self, offset: int, lane: str) -> bool:
        """Tell whether a record can be skipped: it comes after those skipped before."""
        waiting = self._skipped.get(lane)
        return not waiting or waiting[-1] < offset

    def skip(self, offset: int, lane: str) -> None:
        """Note that the record at this offset, just consumed, is to be read again later."""
        self._unfinished.discard(offset)
        self._skipped.setdefault(lane, deque()).append(offset)

    def read_again(self, offset: int, lane: str) -> bool:
        """Note that a skipped record was read again.

        Return False if it is not the next one of its lane. Records that should have come before it
        no longer exist.
        """
        self.drop_before(offset, lane)
        if self.first_skipped(lane) != offset:
            return False
        self._unfinished.add(offset)
        self.drop_before(offset + 1, lane)
        return True

    def drop_before(self, offset: int, lane: str) -> None:
        """Forget the skipped records before this offset: they no longer exist."""
        waiting = self._skipped.get(lane)
        while waiting and waiting[0] < offset:
            waiting.popleft()
        if not waiting:
            self._skipped.pop(lane, None)

    def first_skipped(self, lane: str) -> int | None:
        """Return the first offset that a lane has to read again; None if it skipped nothing."""
        waiting = self._skipped.get(lane)
        return waiting[0] if waiting else None

    @property
    def lanes_with_skipped(self) -> list[str]:
        """The lanes that have skipped records."""
        return list(self._skipped)

    @property
    def skipped(self) -> int:
        """How many records have to be read again."""
        return sum(map(len, self._skipped.values()))

    @property
    def position(self) -> int | None:
        """The offset to continue from after a crash; None if nothing was consumed."""
        firsts = (waiting[0] for waiting in self._skipped.values())
        return min(chain(self._unfinished, firsts), default=self._reached)

    @property
    def _reached(self) -> int | None:
        """The first offset of which it is not known that it is finished, if all before it are."""
        reached = self._next
        for start, end in self._ahead:
            if reached is None or reached < start:
                break
            reached = max(reached, end)
        return reached

    @property
    def finished(self) -> FinishedRuns | None:
        """What is finished from the position on; None if nothing was consumed."""
        at, following, last = self.position, self._next, self._last
        if at is None or following is None or last is None:
            return None
        runs = list[Run]()
        waiting = merge(sorted(self._unfinished), *self._skipped.values())
        for offset in islice(waiting, MOST_UNFINISHED):
            runs.append((at, offset))
            at = offset + 1
        if next(waiting, None) is None:
            runs.append((at, following))
        runs += [(max(start, following), end) for start, end in self._ahead]
        return FinishedRuns.up_to(last, runs)

    @property
    def to_commit(self) -> Position | None:
        """The position, with what is finished above it; None if nothing was consumed."""
        offset = self.position
        if offset is None:
            return None
        finished = self.finished if self._finished_above(offset) >= LEAST_FINISHED else None
        return Position(offset, "" if finished is None else to_metadata(offset, finished))

    def _finished_above(self, position: int) -> int:
        """Return how many offsets are finished above the position; more if some do not exist."""
        reached = max(self._next or 0, self._ahead[-1][1] if self._ahead else 0)
        return reached - position - len(self._unfinished) - self.skipped

    def moved(self) -> Position | None:
        """Return what to commit, or None when it has not changed since it was last returned."""
        position = self.to_commit
        if position == self.committed:
            return None
        self.committed = position
        return position


@dataclass(slots=True, eq=False)
class Partition:
    """One assignment of a partition.

    :ivar epoch: numbers the assignments of this process
    :ivar unbegun: how many requests were consumed that no worker had begun
    :ivar oldest_skipped: when the oldest skipped request was created, in seconds since 1970
    """

    number: int
    epoch: int
    unbegun: int = 0
    oldest_skipped: float = math.inf
    offsets: OffsetTracker = field(default_factory=OffsetTracker)
