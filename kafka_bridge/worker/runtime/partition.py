"""One assignment of a partition, and which of its offsets may be committed."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import chain


@dataclass(slots=True)
class OffsetTracker:
    """Tracks the offsets of one assignment of a partition: consumed, skipped and finished.

    Jobs finish out of order. Only the offset up to which everything is finished may be committed:
    after a crash Kafka delivers from there, and a job that was not finished is delivered again.

    Of a skipped request only the offset is kept, by the lane that had no room for it.
    """

    committed: int | None = None
    _unfinished: set[int] = field(default_factory=set)
    _skipped: dict[str, deque[int]] = field(default_factory=dict)
    _next: int | None = None

    def consume(self, offset: int) -> None:
        """Note that the record at this offset was consumed."""
        self._unfinished.add(offset)
        self._next = offset + 1

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
        return min(chain(self._unfinished, firsts), default=self._next)

    def to_commit(self) -> int | None:
        """Return the position, or None when it has not moved since it was last returned."""
        position = self.position
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
